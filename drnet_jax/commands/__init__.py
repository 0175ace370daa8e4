"""One module for each `--mode` of the command line."""
