"""The compilation cache on disk: compiled programs, which later processes load instead of compiling again."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from .report import add_json, show, size_text, table

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "list, measure or clear the compiled programs kept on disk"


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("ls", help="every entry: size, last use, key; the latest used first")
    stats = actions.add_parser("stats", help="the folder, the number of entries, their size, the limit")
    stats.add_argument("--verify", action="store_true", help="read every entry and count the damaged ones")
    clear = actions.add_parser("clear", help="remove entries")
    clear.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="only entries not used for so many days"
    )
    clear.add_argument("--dry-run", action="store_true", help="say what would be removed, and keep it")
    for action in (listing, stats, clear):
        action.add_argument(
            "--dir",
            metavar="FOLDER",
            help="of the cache, or a URL that fsspec opens (default: the one that Canter uses)",
        )
        add_json(action)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not days >= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of days")
    return days


def run(options: Namespace) -> int:
    return {"ls": _list, "stats": _stats, "clear": _clear}[options.action](options)


def _folder(options: Namespace) -> str:
    from canter_pjrt import cache

    from ..runtime import compilation_cache  # noqa: F401 - tells the cache its flags

    return options.dir or cache.settings().directory or cache.default_directory()


def _ago(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "now"


def _list(options: Namespace) -> int:
    from canter_pjrt import cache

    folder = _folder(options)
    entries = cache.entries(folder)
    data = [{"key": one.name, "bytes": one.size, "last_used": one.last_used} for one in entries]
    rows = [(size_text(one.size).rjust(8), _ago(one.last_used), one.name) for one in entries]
    show(options, data, table(rows) if rows else [f"no entries in {folder}"])
    return 0


def _stats(options: Namespace) -> int:
    from canter_pjrt import cache

    folder, settings = _folder(options), cache.settings()
    entries = cache.entries(folder)
    total = sum(one.size for one in entries)
    damaged = (
        [one.name for one in entries if not cache.is_sound(folder, one.name)] if options.verify else None
    )
    data = {
        "folder": folder,
        "enabled": settings.enabled,
        "entries": len(entries),
        "bytes": total,
        "limit_bytes": settings.max_bytes,
        "min_compile_seconds": settings.min_compile_seconds,
        "last_used": entries[0].last_used if entries else None,
        "damaged": damaged,
    }
    lines = [
        f"folder     {folder}",
        f"enabled    {'yes' if settings.enabled else 'no (CANTER_ENABLE_COMPILATION_CACHE)'}",
        f"entries    {len(entries)}, {size_text(total)} of {_limit(settings.max_bytes)}",
        f"kept are   programs that take {settings.min_compile_seconds:g} s or more to compile",
    ]
    if entries:
        lines.append(f"last used  {_ago(entries[0].last_used)}")
    if damaged is not None:
        lines.append(f"damaged    {len(damaged)}" + "".join(f"\n           {name}" for name in damaged))
    show(options, data, lines)
    return 1 if damaged else 0


def _limit(max_bytes: int) -> str:
    return "any number" if max_bytes < 0 else f"at most {size_text(max_bytes)}"


def _clear(options: Namespace) -> int:
    from canter_pjrt import cache

    folder = _folder(options)
    limit = time.time() - (options.older_than or 0) * 86400
    entries = [one for one in cache.entries(folder) if options.older_than is None or one.last_used < limit]
    freed = sum(one.size for one in entries)
    if not options.dry_run:
        cache.remove(folder, [one.name for one in entries])
    data = {"folder": folder, "removed": len(entries), "bytes": freed, "dry_run": options.dry_run}
    verb = "would remove" if options.dry_run else "removed"
    noun = "entry" if len(entries) == 1 else "entries"
    show(options, data, [f"{verb} {len(entries)} {noun}, {size_text(freed)}, from {folder}"])
    return 0
