"""Canter measured beside JAX and PyTorch, each in a process and an environment of its own."""
