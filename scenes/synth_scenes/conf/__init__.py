"""Hydra options of the built-in scenes: data only."""
