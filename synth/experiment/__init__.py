"""Experiments: a ladder of mixtures, trained and measured on real photos, and what the curve says."""
