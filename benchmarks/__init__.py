"""Measurements: ours and PyTorch take turns in one process; `docs/performance.md` has results."""
