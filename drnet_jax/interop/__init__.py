"""Reads trained models of the authors' PyTorch release, without PyTorch."""
