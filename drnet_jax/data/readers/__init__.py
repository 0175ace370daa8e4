"""Reads videos and pictures, and brings frames into one form."""
