"""Faults, damage and hostile input, counted: `python -m tests.chaos` runs the long form.

The tests in this folder are the short form. docs/reliability.md has the tables of the long one.
"""
