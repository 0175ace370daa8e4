"""Classifiers trained on real data that judge what a model generates."""
