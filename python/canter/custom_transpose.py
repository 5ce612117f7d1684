"""Linear functions to which a transpose is attached."""

from .transforms.linear_call import custom_transpose as custom_transpose

__all__ = ["custom_transpose"]
