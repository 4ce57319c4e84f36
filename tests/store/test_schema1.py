"""A store of schema version 1, made by synth 0.1.0 before branches, info and digests: it can be read, and copied into one of today's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from synth.digest import label_digest
from synth.errors import StoreError
from synth.store import Output, Store, pull
from synth.types import Sample, SampleInfo
from tests.samples import sample


@pytest.fixture
def old(tmp_path: Path) -> Store:
    shutil.copytree(Path(__file__).parent / "schema1", tmp_path / "old")
    return Store.open(tmp_path / "old")


def as_it_was(index: int) -> Sample:
    """What synth 0.1.0 could say of a sample."""
    now = sample(index)
    instances = tuple(replace(instance, crowd=None, attributes=None) for instance in now.instances)
    return replace(now, instances=instances, info=SampleInfo())


def test_it_is_read(old: Store) -> None:
    assert [label_digest(s) for s in old.read()] == [label_digest(as_it_was(i)) for i in range(3)]
    assert [(s.key, s.info) for s in old.read("old")] == [(f"run-{i:08d}", SampleInfo()) for i in range(2)]
    assert [(c.version, c.message, c.samples_total, c.tags) for c in old.log()] == [
        (3, "from 2", 3, ()),
        (2, "from 0", 2, ("old",)),
        (1, "empty store", 0, ()),
    ]
    assert old.branches() == {"main": 3}
    assert old.indices("run").tolist() == [0, 1, 2]
    assert old.sql("select count(*) as n from instances").to_pylist() == [{"n": 4}]
    assert old.read("main", "visible_fraction_min >= 0.1").keys() == ["run-00000001", "run-00000002"]
    old.tag("mine", 3)
    assert old.tags() == {"mine": 3, "old": 2}


def test_it_is_not_written(old: Store) -> None:
    calls = (
        lambda: old.put([sample(5)], message="m"),
        lambda: old.delete("true"),
        lambda: old.branch("b"),
        lambda: old.restore(2),
        lambda: old.merge(2),
        lambda: old.gc(timedelta(0)),
    )
    for call in calls:
        with pytest.raises(StoreError, match="has schema version 1 and can only be read; `synth pull main NEW"):
            call()
    with pytest.raises(StoreError, match="has schema version 1, which cannot be pinned"):
        old.pin()
    with pytest.raises(StoreError, match="written by schema version 1, which cannot be compared"):
        old.diff(2, 3)


def test_a_copy_can_be_added_to(old: Store, tmp_path: Path) -> None:
    copy = pull(old.read(), tmp_path / "new")
    assert [label_digest(s) for s in copy.read()] == [label_digest(s) for s in old.read()]
    assert copy.meta_of("run") == {"config": {"resolved": {"seed": 7}}}
    fragment = copy.write_fragment([sample(3)], Output("png"), "run")
    copy.commit([fragment], message="m", run="run", meta={})
    assert copy.indices("run").tolist() == [0, 1, 2, 3]
    assert len(copy.pin().digest) == 64
