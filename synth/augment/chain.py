"""A list of stages as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from synth.augment.albumentations import Albumentations
from synth.augment.moving import Moving
from synth.errors import ConfigError
from synth.protocols import Stage
from synth.rand import Stream
from synth.types import Draft


@dataclass(frozen=True)
class Chain:
    """`steps` one after another, each with numbers of its own. Labels are resampled once, through the product of all its maps, so
    geometric transforms that belong together stay sharper in one chain than in stages of their own.

    p: the probability that it is applied at all. pick: apply only that many of its steps, chosen for each sample, in their order.
    A step's random stream is its name and how many of that name stand before it, so adding another transform moves no numbers.
    """

    steps: Sequence[Stage]
    p: float = 1.0
    pick: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.steps, (list, tuple)):
            raise ConfigError(f"Chain: steps must be a list of stages, got {self.steps!r}")
        object.__setattr__(self, "steps", tuple(self.steps))
        for i, step in enumerate(self.steps):
            if not isinstance(step, Stage):
                raise ConfigError(f"Chain: steps[{i}] must be a stage (with a _target_), got {step!r}")
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float)) or not 0 <= self.p <= 1:
            raise ConfigError(f"Chain: p must be a probability in [0, 1], got {self.p!r}")
        if self.pick is not None and (type(self.pick) is not int or not 1 <= self.pick <= len(self.steps)):
            raise ConfigError(f"Chain: pick must be a whole number from 1 to the number of steps, {len(self.steps)}, got {self.pick!r}")

    def apply(self, draft: Draft, rng: Stream) -> Draft:
        moving = Moving(draft)
        self.apply_to(moving, rng)
        return moving.settle()

    def apply_to(self, moving: Moving, rng: Stream) -> None:
        """Change what is on its way through a longer list."""
        if self.p < 1 and not rng.random() < self.p:
            return
        chosen = set(range(len(self.steps)))
        if self.pick is not None:
            chosen = set(rng.choice(len(self.steps), self.pick, replace=False).tolist())
        seen: Counter[str] = Counter()
        for i, step in enumerate(self.steps):
            name = step.name if isinstance(step, Albumentations) else type(step).__name__
            if i in chosen:
                stream = rng.child(name, seen[name])
                if isinstance(step, (Albumentations, Chain)):
                    step.apply_to(moving, stream)
                else:
                    moving.restart(step.apply(moving.settle(), stream))
            seen[name] += 1
