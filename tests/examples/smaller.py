"""`train_lm.py` with a model that trains in no time, as a program: what it is given goes to the example."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))

import train_lm

SIZE = train_lm.Size(layers=1, width=16, heads=2, context=16, batch=8)

if __name__ == "__main__":
    train_lm.SIZES["tiny"], train_lm.SAMPLE_LENGTH = SIZE, 20
    train_lm.main()
