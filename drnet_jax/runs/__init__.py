"""A run: its settings, its working directory, its checkpoints and its logs."""
