"""Turns raw files or rendered scenes into a data set on disk."""
