"""Control flow: branches and loops as single equations with inner programs."""

from . import reverse_while as reverse_while, scan_rules as scan_rules
from .associative import associative_scan as associative_scan
from .conditionals import cond as cond, cond_p as cond_p, switch as switch
from .linear_solve import custom_linear_solve as custom_linear_solve, linear_solve_p as linear_solve_p
from .platforms import platform_dependent as platform_dependent, platform_index_p as platform_index_p
from .root import custom_root as custom_root
from .scan import map as map, scan as scan, scan_p as scan_p
from .while_loop import fori_loop as fori_loop, while_loop as while_loop, while_p as while_p
