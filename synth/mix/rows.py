"""Which rows of a table a part has, as runs: as small as the filter allows, whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Ascending row numbers. starts: the first of each run of consecutive ones; ends: how many there are up to the end of each run."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: npt.NDArray[np.int64]) -> Rows:
        """From the row numbers, ascending."""
        last = np.flatnonzero(np.diff(rows, append=-1) != 1)  # the last of each run; -1 ends the last one
        return cls(rows[np.concatenate([[0], last[:-1] + 1])] if len(rows) else rows, last + 1)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, place: int) -> int:
        """The row number at `place`."""
        run = int(np.searchsorted(self.ends, place, side="right"))
        before = int(self.ends[run - 1]) if run else 0
        return int(self.starts[run]) + place - before
