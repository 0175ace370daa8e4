"""Measurements: ours against PyTorch, alternated in one process; `docs/performance.md` has results."""
