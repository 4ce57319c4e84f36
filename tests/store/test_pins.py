"""Pins name exact samples; copies have every byte of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from synth.errors import ConfigError, StoreCallError, StoreError
from synth.record import Output
from synth.store import Pin, Store, open_pin, pull
from synth.store import pins as pins_module
from tests.samples import sample

EXACT = Output("png", maps=("depth", "normals"))


def filled(place: str, count: int = 7) -> Store:
    store = Store.open(place, create=True)
    fragment = store.write_fragment(map(sample, range(count)), EXACT, "run")
    store.commit([fragment], message="m", run="run", meta={"config": {"resolved": {"seed": 7}}, "licences": {"mug": "MIT"}})
    return store


def test_a_pin_names_the_same_samples_whatever_comes_later(place: str, tmp_path: Path) -> None:
    store = filled(place)
    pin = store.pin("main", "origin.index < 4")
    assert (pin.samples, pin.sources, pin.version) == (4, {"synthetic": 4}, 2)
    path = tmp_path / "train.pin.json"
    path.write_text(pin.to_json())
    assert Pin.load(path) == pin
    assert store.pin("main", "origin.index < 4").to_json() == pin.to_json()
    store.delete("true")
    again = open_pin(path)
    assert [s.key for s in again] == [f"run-{i:08d}" for i in range(4)]
    assert [int(i) for i in range(len(again)) if again[i].depth_m is not None] == [0, 1, 2, 3]


def test_equal_samples_pinned_in_two_versions_open_both(place: str) -> None:
    """The same choice again after others were added: another version, the same digest; gc spares both."""
    store = filled(place, 3)
    first = store.pin("main", "split = 'train'")
    store.put([replace(sample(9), key="other", info=replace(sample(9).info, split="val"))], message="m")
    second = store.pin("main", "split = 'train' or key = 'none'")
    assert first.digest == second.digest
    assert first.version != second.version
    store.put([replace(sample(9), key="more")], message="m")
    store.gc(timedelta(0))
    for pin in (first, second):
        found = open_pin(pin)
        assert (found.version, found.keys()) == (pin.version, [f"run-{i:08d}" for i in range(3)])


def test_a_pin_is_refused_where_the_samples_are_others(place: str, tmp_path: Path) -> None:
    pin = filled(place).pin()
    other = Store.open(tmp_path / "other", create=True)
    with pytest.raises(StoreCallError, match="no version 2"):
        open_pin(pin, other)
    changed = replace(sample(0), key="run-00000000", instances=sample(0).instances[:0])
    other.put([changed], message="m")
    with pytest.raises(StoreError, match=r"version 2 is not what was pinned: it has 1 samples .* the pin 7 .* is it another store\?"):
        open_pin(pin, other)
    with pytest.raises(StoreCallError, match="main has no sample where key = 'no'; nothing to pin"):
        other.pin("main", "key = 'no'")
    with pytest.raises(StoreCallError, match="the filter"):
        other.pin("main", "nope = 1")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"synth_pin": 1}', '{"synth_pin": 1, "store": 3}', "null", "\xff"])
def test_no_pin(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"x\.json is no pin; `synth pin REF > FILE` writes one"):
        Pin.load(tmp_path / "x.json")
    with pytest.raises(ConfigError, match="cannot read pin"):
        Pin.load(tmp_path / "absent.json")


def test_a_newer_pin(tmp_path: Path) -> None:
    pin = filled(str(tmp_path / "s")).pin()
    value = {**json.loads(pin.to_json()), "synth_pin": 2}
    with pytest.raises(ConfigError, match="has version 2, this synth reads 1"):
        Pin.from_json(json.dumps(value))


def test_a_relative_store_is_found_from_the_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin = replace(filled(str(tmp_path / "data" / "s")).pin(), store="data/s")
    (tmp_path / "p.json").write_text(pin.to_json())
    monkeypatch.chdir("/")
    assert len(open_pin(tmp_path / "p.json")) == 7
    moved = tmp_path / "moved"
    (tmp_path / "data").rename(moved)
    with pytest.raises(StoreCallError, match="no store at"):
        open_pin(tmp_path / "p.json")
    assert len(open_pin(tmp_path / "p.json", moved / "s")) == 7


def test_a_copy_has_every_byte_and_opens_by_the_same_pin(place: str, tmp_path: Path) -> None:
    store = filled(place)
    store.put([replace(sample(1), key="mine")], message="m", output=EXACT)
    pin = store.pin("main", "key != 'run-00000000'")
    store.delete("true")
    told: list[int] = []
    copy = pull(open_pin(pin), tmp_path / "copy", pin, told.append)
    assert told[0] == 0
    assert told[-1] == 7
    there = list(open_pin(pin, copy))
    wanted = list(open_pin(pin))
    assert [s.key for s in there] == [s.key for s in wanted]
    for a, b in zip(there, wanted, strict=True):
        assert (a.image == b.image).all()
        assert a.depth_m is not None
        assert (a.depth_m == b.depth_m).all()
    versions = copy.branches()
    assert versions.keys() == {"main"}
    assert pull(open_pin(pin), tmp_path / "copy", pin).branches() == versions  # nothing more to do
    assert copy.meta_of("run") == {"config": {"resolved": {"seed": 7}}, "licences": {"mug": "MIT"}}
    assert copy.provenance()["licences"] == ["MIT"]
    copy.put([replace(sample(2), key="later")], message="m")
    assert len(open_pin(pin, copy)) == 7


def test_a_copy_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(str(tmp_path / "s"))
    pin = store.pin()
    monkeypatch.setattr(pins_module, "_PULL_BLOCK", 2)

    def stop(count: int) -> None:
        if count >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(open_pin(pin), tmp_path / "copy", pin, stop)
    half = Store.open(tmp_path / "copy")
    assert len(half.read()) == 0  # nothing is half: main has none of it
    told: list[int] = []
    pull(open_pin(pin), tmp_path / "copy", pin, told.append)
    assert told == [4, 6, 7]
    assert len(open_pin(pin, half)) == 7


def test_a_copy_is_not_mixed_with_others(tmp_path: Path) -> None:
    store = filled(str(tmp_path / "s"))
    with pytest.raises(StoreCallError, match="holds other samples; name a new folder"):
        pull(store.read("main", "origin.index < 2"), filled(str(tmp_path / "full")).place)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("x")
    with pytest.raises(StoreCallError, match="holds other things"):
        pull(store.read(), tmp_path / "notes")


def test_damage_is_noticed_while_pulling(tmp_path: Path) -> None:
    store = filled(str(tmp_path / "s"))
    image = next(store.read().records()).image
    for file in (tmp_path / "s" / "samples.lance" / "data").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if (at := data.find(image)) >= 0:
                file.write_bytes(data[: at + 60] + bytes([data[at + 60] ^ 1]) + data[at + 61 :])
    with pytest.raises(StoreError, match=r"sample run-00000000: the bytes of its image are damaged"):
        pull(Store.open(tmp_path / "s").read(), tmp_path / "copy")
