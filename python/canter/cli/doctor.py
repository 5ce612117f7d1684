"""Looks at the installation, the plugins, the devices, the cache and the environment, and says what is wrong.

Each line begins with ok, note (worth knowing) or WRONG, and what can be mended is followed by the command that does.
The devices are started in a process of their own: whatever a plugin or a flag does to it, the report is complete.
"""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser, Namespace

from . import doctor_checks
from .report import add_json, show

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "say what is wrong with the installation, and what mends it"
_MARKS = {"ok": "   ok", "note": " note", "wrong": "WRONG"}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--no-devices", action="store_true", help="do not start any device")
    parser.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for the start of devices (default: 120)",
    )
    add_json(parser)


def run(options: Namespace) -> int:
    findings = list(doctor_checks.software())
    findings += doctor_checks.plugins(try_them=not options.no_devices)
    findings += doctor_checks.processor()
    if not options.no_devices:
        findings += doctor_checks.devices(options.timeout)
    findings += doctor_checks.compilation_cache()
    findings += doctor_checks.environment()
    wrong = sum(one.state == "wrong" for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{_MARKS[one.state]}  {one.about}: {one.says}")
        if one.mend:
            lines.append(textwrap.indent(one.mend, "         $ "))
    lines += ["", f"{wrong} wrong" if wrong else "all is well"]
    show(options, {"wrong": wrong, "findings": [one._asdict() for one in findings]}, lines)
    return 1 if wrong else 0
