"""Operations on segments of arrays."""

from .segments import segment_max as segment_max
from .segments import segment_min as segment_min
from .segments import segment_prod as segment_prod
from .segments import segment_sum as segment_sum
