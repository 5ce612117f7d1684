"""transforms of Canter."""
