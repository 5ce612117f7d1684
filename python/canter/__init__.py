"""Canter: composable transformations of array programs, compiled by XLA."""
