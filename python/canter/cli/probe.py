"""Starts the devices and prints as JSON what came of it: `canter doctor` runs this in a process of its own."""

from __future__ import annotations

import json
import time
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Prints `{"platforms": [...], "default": name, "seconds": ..., "error": text or None}`."""
    report: dict[str, Any] = {"platforms": [], "default": None, "seconds": 0.0, "error": None}
    try:
        _probe(report)
    except Exception as error:  # whatever it is, it is what the user wants to know
        report["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(report))


def _probe(report: dict[str, Any]) -> None:
    import numpy as np

    import canter as ct
    from canter.runtime import backend
    from canter_pjrt import clients

    options = backend._client_options()
    for name in clients.known_platforms(options):
        one: dict[str, Any] = {"name": name, "wanted": options.platforms is not None}
        report["platforms"].append(one)
        try:
            found = clients.client(name, options).local_devices()
        except clients.BackendError as error:
            one["error"] = str(error)
            continue
        memory = (found[0].memory_stats() or {}).get("bytes_limit") if found else None
        one.update(count=len(found), kind=found[0].device_kind if found else "no device", memory=memory)
    report["default"] = ct.default_backend()
    begin = time.perf_counter()
    x = np.arange(64, dtype=np.float32).reshape(8, 8) / 64
    result = np.asarray(ct.jit(lambda x: x @ x.T)(x))
    report["seconds"] = time.perf_counter() - begin
    if not np.allclose(result, x @ x.T, rtol=1e-2):
        report["error"] = "a product of two small matrices came out wrong"


if __name__ == "__main__":
    main()
