"""`python -m canter` is the command `canter`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
