"""DrNET in PyTorch, as one would write it plainly for speed: what our times are compared with."""
