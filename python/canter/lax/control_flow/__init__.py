"""Control flow: branches and loops as single equations with inner programs."""

from . import scan_rules as scan_rules
from .conditionals import cond as cond, cond_p as cond_p, switch as switch
from .scan import map as map, scan as scan, scan_p as scan_p
from .while_loop import fori_loop as fori_loop, while_loop as while_loop, while_p as while_p
