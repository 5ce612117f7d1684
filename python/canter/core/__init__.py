"""core of Canter."""
