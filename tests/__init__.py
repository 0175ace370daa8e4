"""Tests of drnet_jax, in the folders of the package."""
