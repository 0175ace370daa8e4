"""KTH actions: real videos, and rendered people that stand in for them."""
