"""Two sets of samples side by side, and what to change so that one becomes like the other: `synth compare A B`."""

from __future__ import annotations

from synth.compare.comparison import Comparison, Difference, compare
from synth.compare.statistics import FeatureExtractor, plain_features

__all__ = ["Comparison", "Difference", "FeatureExtractor", "compare", "plain_features"]
