"""lax of Canter."""
