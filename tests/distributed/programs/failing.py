"""One process fails, in the way that the fourth argument says, while the others go on computing with it."""

import os
import signal
import sys
import time

import numpy as np

import canter as ct

NUMBER, COUNT, ADDRESS, HOW = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
ct.distributed.initialize(ADDRESS, COUNT, NUMBER, heartbeat_timeout_seconds=3)
mesh = ct.make_mesh((ct.device_count(),), ("x",), axis_types=(ct.sharding.AxisType.Auto,))
x = ct.device_put(np.arange(12.0), ct.NamedSharding(mesh, ct.P("x")))


@ct.jit
def train_step(x):
    return x + x.sum()


x = train_step(x)
if NUMBER == COUNT - 1:
    if HOW != "raises":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("no such file: data.npy")
if HOW == "spared":
    with ct.experimental.multihost_utils.live_devices(ct.devices()) as alive:
        rest = ct.NamedSharding(ct.sharding.Mesh(np.array(alive, object), "x"), ct.P("x"))
        print(
            len(alive),
            "devices give",
            float(train_step(ct.device_put(np.arange(12.0), rest))[:1].sum()),
            flush=True,
        )
    sys.exit(4)
start = time.monotonic()
try:
    while time.monotonic() - start < 60:
        x = train_step(x)
except ct.experimental.multihost_utils.ProcessFailureError as error:
    print(f"after {time.monotonic() - start:.1f} s:", error, {d.process_index for d in error.failed_devices})
    sys.exit(3)
