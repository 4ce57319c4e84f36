"""What a run says: while it works (Tally), at its end (Report), when it is stopped (Stopped)."""

from __future__ import annotations

import time
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
    """How a run ended. version: the commit that it added, None if there was nothing to add; counts as in Tally; seconds: of this call."""

    scene: str
    run: str
    version: int | None
    asked: int
    there: int
    resumed: int
    made: int
    failures: tuple[Failure, ...]
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
        added = self.resumed + self.made
        if self.version is None and not self.failures:
            return f"nothing to add: all {self.asked} samples of run {self.run} ({self.scene}) are in the store"
        lines = [f"nothing was added to run {self.run} ({self.scene})"]
        if self.version is not None:
            resumed = f", {self.resumed} of them made before the stop" if self.resumed else ""
            lines = [
                f"version {self.version}: {added} samples added to run {self.run} ({self.scene}){resumed}; "
                f"{self.seconds:.1f} s, {self.rate:.1f} samples/s"
            ]
        if self.there:
            lines.append(f"{self.there} were there before")
        if self.failures:
            lines.append(f"{self.there + added} of {self.asked} samples are there, {len(self.failures)} failed:")
            lines += [f"  {failure.message}" for failure in self.failures[:_SHOWN_FAILURES]]
            if len(self.failures) > _SHOWN_FAILURES:
                lines.append(f"  ... and {len(self.failures) - _SHOWN_FAILURES} more (all are kept with the commit)")
            lines.append("the same command tries them again")
        return "\n".join(lines)


class Stopped(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C, SIGTERM). What was finished is kept, the store is whole, the same call goes on from there."""

    exit_code = 130

    def __init__(self, done: int, asked: int) -> None:
        super().__init__(f"stopped at {done} of {asked}; the same command goes on from there")
        self.done, self.asked = done, asked
