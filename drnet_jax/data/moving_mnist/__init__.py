"""Moving MNIST, generated on the device from real digits."""
