"""Portable artifacts at a chosen version of StableHLO, by number or by a promise."""

from __future__ import annotations

import datetime
import re
from typing import Any

from canter_mlir import portable

from .untrusted import trust

__all__ = ["to_portable", "to_text", "version_for"]

# When versions of StableHLO were tagged (https://github.com/openxla/stablehlo/tags), or, from 1.8.0 on, the day by
# which a release of jaxlib had it: later than the tag, so that no version is thought older than it is. A version that
# is not here is never promised by its age: of those that are, the newest that is old enough is taken.
RELEASES: dict[str, datetime.date] = {
    "0.9.0": datetime.date(2023, 3, 2),
    "1.0.0": datetime.date(2024, 5, 14),
    "1.1.0": datetime.date(2024, 5, 30),
    "1.2.0": datetime.date(2024, 7, 8),
    "1.3.0": datetime.date(2024, 7, 16),
    "1.4.0": datetime.date(2024, 7, 16),
    "1.5.0": datetime.date(2024, 8, 1),
    "1.6.0": datetime.date(2024, 8, 16),
    "1.7.0": datetime.date(2024, 9, 5),
    "1.8.0": datetime.date(2024, 12, 17),  # jaxlib 0.4.38
    "1.10.0": datetime.date(2025, 3, 19),  # 0.5.3
    "1.12.0": datetime.date(2025, 7, 30),  # 0.7.0
    "1.13.0": datetime.date(2026, 1, 20),  # 0.9.0
}
# StableHLO's compatibility.md: what is written today is read by libraries up to 2 years older and 5 years newer.
FORWARD_DAYS = 2 * 365
BACKWARD_DAYS = 5 * 365
_UNITS = {"d": 1, "w": 7, "m": 30, "y": 365}
_WEEKS_THAT_JAXLIB_KNOWS = (0, 4, 12)


def _days(age: str) -> int:
    found = re.fullmatch(r"\s*(\d+)\s*([dwmy])\w*\s*", age) if isinstance(age, str) else None
    if found is None:
        raise ValueError(
            f"compatible_for takes an age such as '4w', '6m' or '2y' (days, weeks, months, years); got {age!r}."
        )
    return int(found[1]) * _UNITS[found[2]]


def _numbers(version: str) -> tuple[int, ...]:
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"A version of StableHLO is written like '1.7.0'; got {version!r}.")
    return tuple(map(int, version.split(".")))


def version_for(compatible_for: str, *, today: datetime.date | None = None) -> str:
    """The newest version of StableHLO that consumers up to an age are promised to read.

    Args:
      compatible_for: how old a consumer's StableHLO may be: "4w", "6m", "2y".
      today: the day to count from; None is the day it is.

    Returns:
      A version, such as "1.7.0". For up to 12 weeks it is what jaxlib itself says; for more, the newest version
      whose release date Canter knows and that is old enough.

    Raises:
      ValueError: more than the two years that StableHLO promises, or no such age.

    Source: https://openxla.org/stablehlo/compatibility.

    Example:
      >>> import datetime
      >>> from canter import export
      >>> export.version_for("2y", today=datetime.date(2026, 9, 10))
      '1.7.0'
    """
    days = _days(compatible_for)
    if days > FORWARD_DAYS:
        raise ValueError(
            f"StableHLO promises that consumers up to 2 years old read what is written today, not {compatible_for}. "
            "(Consumers up to 5 years newer read it too: that needs nothing.) To write for an older one, give its "
            "version: target_version='0.9.0'."
        )
    for weeks in _WEEKS_THAT_JAXLIB_KNOWS:
        if days <= 7 * weeks:
            return portable.version_for_age(weeks)
    limit = (today or datetime.date.today()) - datetime.timedelta(days=days)
    old_enough = [version for version, released in RELEASES.items() if released <= limit]
    if not old_enough:
        raise ValueError(f"Canter knows no version of StableHLO that was {compatible_for} old on {today}.")
    newest = max(old_enough, key=_numbers)
    return min(newest, portable.current_version(), key=_numbers)


def to_portable(
    program: Any, target_version: str | None = None, *, compatible_for: str | None = None, mixed: bool = True
) -> bytes:
    """A program as a portable artifact of StableHLO: bytes that other frameworks and compilers read.

    Args:
      program: an `Exported`, a `Lowered`, a `StablehloFunction`, an MLIR module, or its text or bytes.
      target_version: the version of StableHLO that reads it, such as "1.0.0".
      compatible_for: instead, how old the StableHLO of a reader may be: "4w", "2y". With neither, 12 weeks.
      mixed: keep operations of other dialects (chlo, sdy) as they are. Readers that know StableHLO alone need
        False: then chlo becomes StableHLO, and a module with shardings is refused.

    Returns:
      The bytes.

    Raises:
      ValueError: the program uses what that version does not have, the version cannot be written, or the
        promise is longer than StableHLO's.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> lowered = ct.jit(cnp.tanh).lower(cnp.ones(3))
      >>> artifact = export.to_portable(lowered, compatible_for="2y")
      >>> export.from_stablehlo(artifact)(cnp.zeros(3))
      Array([0., 0., 0.], dtype=float32)
    """
    if target_version is not None and compatible_for is not None:
        raise ValueError("Give target_version or compatible_for, not both.")
    version = version_for(compatible_for or "12w") if target_version is None else target_version
    number = _numbers(version)
    low, high = portable.minimum_version(), portable.current_version()
    if not _numbers(low) <= number <= _numbers(high):
        raise ValueError(f"This jaxlib writes StableHLO from {low} to {high}, not {version}.")
    module = _module(program)
    if not mixed:
        module = portable.without_chlo(module)
    try:
        return trust(portable.module_to_portable_artifact(module, version, mixed=mixed))
    except ValueError as error:
        raise ValueError(_reason(str(error), version, mixed)) from None


def _reason(message: str, version: str, mixed: bool) -> str:
    """What a version lacks, in a line; MLIR prints the whole module."""
    found = re.search(r"failed to legalize operation 'vhlo\.(\w+?)(?:_v\d+)?'", message)
    if found is None:
        found = re.search(r"'([\w.]+)' op", message)
    what = f"'{found[1]}'" if found else message.split("\n\n")[0]
    advice = " Try mixed=False, which needs no composites." if mixed and "composite" in what else ""
    return f"The program cannot be written for StableHLO {version}, which has no {what}.{advice}"


def to_text(program: Any, *, debug_info: bool = False) -> str:
    """A program as MLIR text.

    Args:
      program: as `to_portable` takes it.
      debug_info: print names and lines of the source.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> "stablehlo.tanh" in export.to_text(ct.jit(cnp.tanh).lower(cnp.ones(3)))
      True
    """
    return portable.module_to_text(_module(program), debug_info=debug_info)


def _module(program: Any) -> Any:
    """The MLIR module of a program."""
    from .stablehlo.sources import module_of

    return module_of(program)
