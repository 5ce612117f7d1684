"""Settings of the whole test suite, made before anything imports Canter."""

import os

# Eight virtual devices; and machine code without optimisation, which the compiler makes in about half the
# time. Nearly all of the suite's time goes into compiling programs that run once.
FLAGS = {"--xla_force_host_platform_device_count": "8", "--xla_backend_optimization_level": "0"}
for flag, value in FLAGS.items():
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}={value}".strip()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
# No test reads or writes the cache of the person who runs the suite.
os.environ.setdefault("CANTER_ENABLE_COMPILATION_CACHE", "0")
