"""Lowering: from jaxprs to StableHLO modules.

`registry` is light and may be imported at any time: it holds the table of rules. The bindings of
MLIR load with `driver`, at the first compile.
"""
