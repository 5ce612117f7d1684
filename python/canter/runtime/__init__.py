"""runtime of Canter."""
