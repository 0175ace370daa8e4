"""Pictures drawn from arrays: swap grids, rollout strips and animations."""
