"""One store, many threads of one process: nobody gets in another's way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from synth.record import Output
from synth.store import Store
from synth.types import Origin, Sample


def sample(run: str, index: int) -> Sample:
    origin = Origin(run, "plain", 0, index, "none")
    return Sample(np.zeros((8, 8, 3), dtype=np.uint8), (), (), origin=origin, key=f"{run}-{index:08d}")


def test_history_can_be_read_while_others_commit(place: str) -> None:
    store = Store.open(place, create=True)

    def commit(run: str) -> int:
        fragments = [store.write_fragment([sample(run, index)], Output("png"), run) for index in range(2)]
        return store.commit(fragments, message=run, run=run, meta={}).version

    def look(_: int) -> int:
        return sum(c.samples_added for c in store.log()) - len(store.read())

    with ThreadPoolExecutor(6) as pool:
        looks = pool.map(look, range(30))
        versions = list(pool.map(commit, [f"{n:012x}" for n in range(12)]))
        assert all(abs(difference) <= 24 for difference in looks)
    assert sorted(versions) == list(range(2, 14))
    assert len(store.read()) == 24
