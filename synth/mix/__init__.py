"""Mixtures of real and synthetic samples: plans with exact quotas over pinned versions, and datasets that train on them.

wanted: what is asked for; amounts and quotas: the numbers; checks and labels: what is refused; plan: the file; order: which sample stands
where; data: the dataset; loader: torch's loaders.
"""

from synth.mix.data import Mixture, mixture
from synth.mix.plan import Plan, plan_of
from synth.mix.wanted import Mix, Part, Schedule, Source

__all__ = ["Mix", "Mixture", "Part", "Plan", "Schedule", "Source", "mixture", "plan_of"]
