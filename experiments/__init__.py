"""One script for each figure and table of the paper; `python -m experiments.<name> --help`."""
