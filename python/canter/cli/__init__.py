"""The command `canter`: what a person in a terminal wants of the framework."""

from .command_line import main

__all__ = ["main"]
