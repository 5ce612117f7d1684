"""Control flow: branches and loops as single equations with inner programs."""

from . import scan_rules as scan_rules
from .conditionals import cond as cond
from .conditionals import cond_p as cond_p
from .conditionals import switch as switch
from .scan import map as map
from .scan import scan as scan
from .scan import scan_p as scan_p
from .while_loop import fori_loop as fori_loop
from .while_loop import while_loop as while_loop
from .while_loop import while_p as while_p
