"""Parallel programs: one function on many devices, each seeing its part."""
