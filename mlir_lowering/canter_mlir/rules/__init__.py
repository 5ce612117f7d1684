"""rules of Canter."""
