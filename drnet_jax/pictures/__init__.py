"""Swap grids, rollout strips and animations, drawn from arrays."""
