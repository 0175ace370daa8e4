"""Video data sets: clips behind one interface."""
