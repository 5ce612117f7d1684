"""Let an exported language model write. Nothing here knows the model: it is all in the file that `train_lm.py` wrote.

python examples/write_text.py demo-output/model.canter --prompt "The Python "
"""

import argparse
import pathlib
import sys

import numpy as np

from canter import export, random


def main() -> None:
    parser = argparse.ArgumentParser(description="Let an exported language model write.")
    parser.add_argument("artifact", type=pathlib.Path, help="model.canter of train_lm.py")
    parser.add_argument("--prompt", default="The Python ", help="what the text begins with")
    parser.add_argument("--seed", type=int, default=0, help="of what is random in it")
    options = parser.parse_args()
    try:
        model = export.deserialize(bytearray(options.artifact.read_bytes()))
    except OSError as error:
        sys.exit(f"write_text: {options.artifact}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"write_text: {options.artifact}: {error}")
    (context,) = model.in_avals[0].shape
    prompt = options.prompt.encode()[-context:]
    window = np.zeros(context, np.int32)
    window[: len(prompt)] = np.frombuffer(prompt, np.uint8)
    written = model.call(window, np.int32(len(prompt)), random.key(options.seed))
    sys.stdout.buffer.write(options.prompt.encode() + bytes(np.asarray(written)))


if __name__ == "__main__":
    main()
