"""SUNCG chairs: the authors' files, and rendered chairs that stand in for them."""
