"""canter_pjrt of Canter."""
