"""Measurements in which ours and PyTorch take turns; `docs/performance.md` has the results."""
