"""SQL over samples and instances."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.errors import StoreCallError
from synth.record import Output
from synth.store import Store
from tests.samples import sample


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store.open(tmp_path_factory.mktemp("sql") / "s", create=True)
    fragment = made.write_fragment(map(sample, range(10)), Output("png", maps=("depth",)), "run")
    made.commit([fragment], message="m", run="run", meta={})
    made.delete("origin.index = 9")
    return made


def test_instances_are_counted(store: Store) -> None:
    rows = store.sql("select source, category, count(*) as n from instances group by all order by all").to_pylist()
    assert rows == [{"source": "synthetic", "category": "box", "n": 4}, {"source": "synthetic", "category": "mug", "n": 9}]
    assert store.sql("select count(*) as n from instances", ref=2).to_pylist() == [{"n": 15}]


def test_labels_are_columns(store: Store) -> None:
    row = store.sql(
        "select box_xyxy, attributes->>'zone' as zone, keypoints_v[1] as v from instances where key = 'run-00000003'"
    ).to_pylist()[0]
    first = sample(3).instances[0]
    assert tuple(row["box_xyxy"]) == first.box_xyxy
    assert (row["zone"], row["v"]) == ("left", 2)
    assert store.sql("select list_contains(classes, 'indoor') as x, \"group\" as g from samples limit 1").to_pylist() == [
        {"x": True, "g": "video0"}
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("selec 1", "syntax error"),
        ("select nope from samples", "nope"),
        ("select image from samples", "image"),
        ("select * from read_csv('/etc/hostname')", "Permission Error"),
        ("copy samples to 'out.csv'", "Permission Error"),
        ("install httpfs", "Permission|disabled|extension"),
        ("set enable_external_access = true", "Cannot change configuration"),
        ("", "asks for nothing"),
        ("-- only words", "asks for nothing"),
    ],
)
def test_a_wrong_query_is_one_message(store: Store, query: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreCallError, match=message):
        store.sql(query)
    assert not list(tmp_path.iterdir())
