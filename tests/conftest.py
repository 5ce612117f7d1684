"""Settings of the whole test suite, made before anything imports Canter."""

import os

DEVICE_FLAG = "--xla_force_host_platform_device_count"
if DEVICE_FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICE_FLAG}=8".strip()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
# No test reads or writes the cache of the person who runs the suite.
os.environ.setdefault("CANTER_ENABLE_COMPILATION_CACHE", "0")
