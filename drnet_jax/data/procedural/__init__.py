"""Scenes made of boxes, cylinders and ellipsoids, and the ray caster that draws them."""
