"""The training steps, their losses and optimizers, and the loop that runs them."""
