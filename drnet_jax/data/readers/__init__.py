"""Reads videos and pictures as square frames of one size."""
