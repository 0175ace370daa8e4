"""What a trained model is scored by, a module for each kind of score."""
