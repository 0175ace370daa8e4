"""The scores of a trained model, one module for each kind."""
