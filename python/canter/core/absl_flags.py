"""The flags of Canter's configuration as options of absl's command line."""

from __future__ import annotations

from typing import Any

from .config import Configuration, flags

__all__ = ["define"]


def define(config: Configuration) -> None:
    """Defines an option for every flag, under its `jax_` name, and sets the flags once absl has read its own.

    Args:
      config: what is set.

    Raises:
      ImportError: the package absl-py is not installed.
    """
    try:
        from absl import app, flags as options
    except ImportError as error:
        raise ImportError("config.config_with_absl needs the package absl-py: pip install absl-py") from error
    names = ["jax_" + name for name in flags if "jax_" + name not in options.FLAGS]
    for name in names:
        flag = flags[name.removeprefix("jax_")]
        about = " ".join((flag.help or name).split())
        kind = options.DEFINE_bool if isinstance(flag.default, bool) else options.DEFINE_string
        default: Any = flag.value if isinstance(flag.default, bool) or flag.value is None else str(flag.value)
        kind(name, default, about)

    def set_flags() -> None:
        for name in names:
            if options.FLAGS[name].present:
                config.update(
                    name, _value(options.FLAGS[name].value, flags[name.removeprefix("jax_")].default)
                )

    app.call_after_init(set_flags)


def _value(given: Any, default: Any) -> Any:
    """What a flag takes, of an option's text."""
    if isinstance(default, (int, float)) and not isinstance(default, bool) and isinstance(given, str):
        return type(default)(given)
    return None if given == "None" else given
