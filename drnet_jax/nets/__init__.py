"""The networks: pure functions of (variables, frames or vectors); built by name in `build`."""
