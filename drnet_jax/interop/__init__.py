"""Exchange of weights with the PyTorch release, without PyTorch."""
