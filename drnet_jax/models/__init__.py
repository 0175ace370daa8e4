"""The networks, their training states, and what a trained model computes."""
