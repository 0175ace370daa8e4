"""Moving MNIST, generated from real digits."""
