"""canter_mlir of Canter."""
