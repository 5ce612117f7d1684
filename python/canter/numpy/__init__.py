"""numpy of Canter."""
