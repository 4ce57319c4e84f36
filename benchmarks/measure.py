"""A row, a table of rows, and RESULTS.md, shared by all benchmarks."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEAD = "# Results\n\nPrinted and written here by `make bench` and `make soak`. Machines are noisy: read the ratios, measured in one run.\n"


@dataclass(frozen=True)
class Row:
    """One line. measured: figures with their units. at_least, at_most: what the ratio should be."""

    what: str
    measured: str
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The target and whether it was met."""
        if self.ratio is None or (self.at_least is None and self.at_most is None):
            return ""
        if self.at_least is not None:
            return f"at least {self.at_least:g}: {'met' if self.ratio >= self.at_least else 'NOT met'}"
        return f"at most {self.at_most:g}: {'met' if self.ratio <= (self.at_most or 0) else 'NOT met'}"


def table(note: str, rows: Iterable[Row]) -> str:
    """Markdown."""
    lines = [note, "", "| | measured | ratio | target |", "|---|---|---|---|"]
    lines += [f"| {r.what} | {r.measured} | {'' if r.ratio is None else f'{r.ratio:.2f}'} | {r.target} |" for r in rows]
    return "\n".join(lines)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def machine() -> str:
    """Date and what the figures were taken on."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()) if Path("/proc/cpuinfo").exists() else None
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = cpu[1] if cpu else platform.processor()
    return f"{datetime.now(UTC):%Y-%m-%d}, {name}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def keep(section: str, text: str) -> None:
    """Put `text` into RESULTS.md as `section`, in place of what stood there."""
    old = RESULTS.read_text() if RESULTS.exists() else _HEAD
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", old, re.DOTALL | re.MULTILINE))
    sections[section] = f"\n{machine()}\n\n{text}\n\n"
    RESULTS.write_text(_HEAD + "\n" + "".join(f"## {name}\n{body}" for name, body in sorted(sections.items())).rstrip() + "\n")
