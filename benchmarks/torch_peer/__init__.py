"""DrNET in plain, fast PyTorch, to compare times with."""
