"""Storms of writers, short: benchmarks/soak.py has the long ones."""

from __future__ import annotations

import pytest

from tests.store import storm


@pytest.mark.parametrize("seed", [0, 1])
def test_four_processes_at_one_store(place: str, seed: int) -> None:
    """Two branches whose versions all stay, then one that gc collects."""
    told = storm.Told()
    storm.storm(place, seed, 8, storm.BRANCHES[seed], told)
    assert told.commits > 10
    assert told.versions > (told.commits if seed == 0 else 0)
