"""Puts the settings files of configs/ into the package, as drnet_jax/configs."""

from setuptools import find_packages, setup

# A mapping rather than a link, which Windows may not have; a checkout edits configs/ itself.
setup(
    packages=[*find_packages(include=["drnet_jax*"]), "drnet_jax.configs"],
    package_dir={"drnet_jax.configs": "configs"},
)
