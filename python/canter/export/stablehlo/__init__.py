"""StableHLO modules as Canter functions: an interpreter over `canter.lax`, and what it reads from.

`function.from_stablehlo` is the way in. `evaluation` walks a module's operations, and one file a family has the
rules that say what each operation is in Canter.
"""
