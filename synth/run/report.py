"""What a run says: while it works (Tally), at its end (Report), when it is stopped (Stopped)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

_SHOWN_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that could not be made. message: what went wrong, with scene, seed and index."""

    index: int
    message: str


@dataclass(slots=True)
class Tally:
    """Where a run stands. Samples asked for; committed before; made by an earlier, stopped call; made and failed in this one."""

    asked: int
    there: int = 0
    resumed: int = 0
    made: int = 0
    failed: int = 0
    stopping: bool = False
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """Samples that need no more work, failed ones among them."""
        return self.there + self.resumed + self.made + self.failed

    @property
    def seconds(self) -> float:
        """Since the call began."""
        return time.monotonic() - self.begun_s

    @property
    def rate(self) -> float:
        """Samples a second that this call has made so far."""
        return self.made / max(self.seconds, 1e-9)


Tell: TypeAlias = Callable[[Tally], None]


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. version: the commit that it added, None if there was nothing to add; counts as in Tally; deaths: how workers died
    that were replaced; seconds: of this call."""

    scene: str
    run: str
    version: int | None
    asked: int
    there: int
    resumed: int
    made: int
    failures: tuple[Failure, ...]
    deaths: tuple[str, ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Samples a second, from the call to the commit."""
        return self.made / max(self.seconds, 1e-9)

    @property
    def exit_code(self) -> int:
        """0, or 3 if samples failed."""
        return 3 if self.failures else 0

    def summary(self) -> str:
        """A few lines for people."""
        added, name = self.resumed + self.made, f"run {self.run} (scene {self.scene})"
        if self.version is not None:
            lines = [f"version {self.version}: {added} samples added to {name} in {self.seconds:.1f} s, {self.rate:.1f} samples/s"]
            lines += [f"{self.resumed} of them were made before the last stop"] if self.resumed else []
            lines += [f"{self.there} were there before"] if self.there else []
        elif self.failures:
            lines = [f"nothing added to {name}; {self.there} samples were there before"]
        else:
            lines = [f"nothing to add: all {self.asked} samples of {name} are in the store"]
        if self.deaths:
            causes = ", ".join(f"{count} by {cause}" for cause, count in Counter(d.split()[0] for d in self.deaths).items())
            lines.append(f"{len(self.deaths)} dead workers were replaced ({causes}); if memory is short, use fewer workers")
        if self.failures:
            lines.append(f"{self.there + added} of {self.asked} samples are there, {len(self.failures)} failed:")
            lines += [f"  {failure.message}" for failure in self.failures[:_SHOWN_FAILURES]]
            hidden = len(self.failures) - _SHOWN_FAILURES
            lines += [f"  ... and {hidden} more" + (" (all are kept with the commit)" if self.version else "")] if hidden > 0 else []
            lines.append("the same command tries them again")
        return "\n".join(lines)


class Stopped(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C, SIGTERM). What was finished is kept, the store is whole, the same call goes on from there."""

    exit_code = 130

    def __init__(self, done: int, asked: int) -> None:
        super().__init__(f"stopped at {done} of {asked}; the same command goes on from there")
        self.done, self.asked = done, asked
