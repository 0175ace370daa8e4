"""Convolution, pooling and normalization, each in the form its platform runs fastest."""
