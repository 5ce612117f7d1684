"""Modules whose names or forms may still change, under the names that they have in JAX."""
