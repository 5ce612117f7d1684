"""Which modes of differentiation the program of a seed supports."""

BOTH = frozenset(["forward", "reverse"])


def modes_of(seed: int) -> frozenset[str]:
    """Every fourth program may use `custom_vjp`, which has reverse mode only, and every fourth `while`."""
    return (BOTH, frozenset(["reverse"]), BOTH, frozenset(["forward"]))[seed % 4]
