"""Process 0 waits for one that does not come, the others for a process 0 that is not there; all go on alone."""

import sys

import canter as ct
import canter.numpy as cnp

NUMBER, COUNT, ADDRESS = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
host, port = ADDRESS.rsplit(":", 1)
address = ADDRESS if NUMBER == 0 else f"{host}:{int(port) % 65535 + 1}"
try:
    ct.distributed.initialize(address, COUNT, NUMBER, initialization_timeout=2)
except RuntimeError as error:
    print("not met:", error)
assert not ct.distributed.is_initialized() and ct.process_count() == 1
print("alone:", float(ct.jit(cnp.sum)(cnp.arange(4.0))), flush=True)
