"""A page on this machine to play with a trained model: swaps, poses, rollouts."""
