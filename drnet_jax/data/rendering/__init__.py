"""Renders the chairs, toys and people of the stand-in data sets."""
