"""Image folders: classes and splits by path, what has no place is a fault, and everything comes back."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.errors import ConfigError, FormatError
from synth.formats import reader, writer
from synth.formats.folder import Reader, Writer, split_name
from synth.ingest import Naming, ingest
from synth.record import Record
from synth.store import Store
from synth.types import Category, Instance, SampleInfo
from tests.formats.exported import HEIGHT, WIDTH, Listed, png, read


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png())
    return root


def said(root: Path) -> dict[str, tuple[str | None, tuple[str, ...] | None]]:
    records, faults = read(Reader(root))
    assert not faults.total, faults
    return {record.key: (record.info.split, record.info.classes) for record in records}


def test_class_folders(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.png", "cat/b.PNG", "dog/a.png", ".hidden/x.png", "__MACOSX/cat/a.png", "cat/._a.png")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    assert said(tmp_path) == {"cat/a.png": (None, ("cat",)), "cat/b.PNG": (None, ("cat",)), "dog/a.png": (None, ("dog",))}
    records, _ = read(reader("folder", source=tmp_path))
    assert (records[0].size, records[0].image, records[0].instances, records[0].source) == ((WIDTH, HEIGHT), png(), (), "real")


def test_split_folders(tmp_path: Path) -> None:
    fill(tmp_path, "Train/cat/a.png", "valid/cat/a.png", "test/train/a.png", "bird/c.png", "unlabelled/d.png")
    assert said(tmp_path) == {
        "Train/cat/a.png": ("train", ("cat",)),
        "bird/c.png": (None, ("bird",)),
        "test/train/a.png": ("test", ("train",)),  # a locomotive
        "unlabelled/d.png": (None, None),
        "valid/cat/a.png": ("val", ("cat",)),
    }


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    assert said(fill(tmp_path, "train/a.png", "car/a.png")) == {"car/a.png": (None, ("car",)), "train/a.png": (None, ("train",))}


def test_what_has_no_place_is_a_fault(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "cat/deep/b.png", "train/cat/deep/c.png", "train/d.png", "train/cat/e.png")
    (tmp_path / "train" / "cat" / "cut.png").write_bytes(png()[:40])
    (tmp_path / "train" / "cat" / "link.png").symlink_to("/etc/hostname")
    records, faults = read(Reader(tmp_path))
    assert [record.key for record in records] == ["train/cat/e.png"]
    assert faults.total == faults.samples == 6
    places = {fault.split(": ")[0]: fault for fault in faults.first}
    assert "in no class's folder" in places["a.png"]
    assert "in no class's folder" in places["train/d.png"]
    assert "more folders than" in places["cat/deep/b.png"]
    assert "leaves the folder" in places["train/cat/link.png"]
    assert set(places) >= {"train/cat/deep/c.png", "train/cat/cut.png"}


def test_splits_without_classes_are_no_classes(tmp_path: Path) -> None:
    records, faults = read(Reader(fill(tmp_path, "train/a.png", "val/b.png")))
    assert not records
    assert faults.total == 2


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no picture lies in it; expected class/a\.jpg"):
        read(Reader(tmp_path))
    with pytest.raises(ConfigError, match="name the one folder"):
        Reader(tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        Reader(tmp_path / "none")


def test_losses_are_counted(tmp_path: Path) -> None:
    box = Instance("cup", box_xyxy=(0, 0, 3, 4))
    infos = [SampleInfo(split="fold1", classes=("cat",)), SampleInfo(classes=("cat", "dog")), SampleInfo(licence="MIT"), SampleInfo()]
    made = [
        Record(f"{place}", "real", WIDTH, HEIGHT, png(), "png", (box,) * (place == 3), (Category("cup"),), info=info)
        for place, info in enumerate(infos)
    ]
    report = writer("folder", out=tmp_path / "out").write(Listed(made))
    assert dict(report.lost) == {"info.split": 1, "info.classes": 1, "info.licence": 1, "box_xyxy": 1}
    assert said(tmp_path / "out") == {
        "cat/0.png": (None, ("cat",)), "cat/1.png": (None, ("cat",)), "unlabelled/2.png": (None, None), "unlabelled/3.png": (None, None),
    }  # fmt: skip
    with pytest.raises(FormatError, match=r"folder cannot hold info\.split"):
        Writer(tmp_path / "strict", strict=True).write(Listed(made))


_classes = st.text(min_size=1, max_size=5) | st.sampled_from(
    ["train", "Val", "unlabelled", "..", ".", "a/b", " ", "50%", "%41", "__MACOSX", ".git", "a b", "é" * 5, "con"]
)
_info = st.builds(SampleInfo, split=st.sampled_from([None, "train", "val", "test"]), classes=st.none() | _classes.map(lambda name: (name,)))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text("ab/.é%", min_size=1, max_size=4), _info, min_size=1, max_size=4))
def test_comes_back(tmp_path_factory: pytest.TempPathFactory, infos: dict[str, SampleInfo]) -> None:
    out = tmp_path_factory.mktemp("folder") / "out"
    try:
        for info in infos.values():
            "".join(info.classes or ()).encode()
    except UnicodeEncodeError:
        return
    made = [Record(key, "real", WIDTH, HEIGHT, png(), "png", (), (), info=info) for key, info in infos.items()]
    report = Writer(out, strict=True).write(Listed(made))
    assert report.images == len(made)
    records, faults = read(Reader(out))
    assert not faults.total, faults
    found = sorted((record.info.split or "", record.info.classes or ()) for record in records)
    assert found == sorted((info.split or "", info.classes or ()) for info in infos.values())


@pytest.mark.parametrize(("text", "name"), [("Validation", "val"), ("valid", "val"), ("TRAIN", "train"), ("fold 1", "fold 1")])
def test_split_names(text: str, name: str) -> None:
    assert split_name(text) == name


def test_nothing_is_passed_over(tmp_path: Path) -> None:
    """Links that stay in the folder are followed; what cannot be read is told."""
    source, away = tmp_path / "in", tmp_path / "away"
    for folder in (source / "rose", away):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(png())
    (source / "note.txt").write_text("")
    (source / "tulip").symlink_to("rose")
    (source / "outside").symlink_to(away)
    (source / "rose" / "gone.png").symlink_to("nowhere")
    (source / "rose" / "ring").symlink_to(source)
    for name in ("b.gif", "c.HEIC"):
        (source / "rose" / name).write_bytes(b"")
    os.mkfifo(source / "rose" / "pipe.jpg")
    records, faults = read(Reader(source))
    assert [record.key for record in records] == ["rose/a.png", "tulip/a.png"]
    told = sorted(fault.replace("tulip/", "rose/") for fault in faults.first)
    expected = ["outside: .* is a link that leaves", *["rose/b.gif: pictures of this kind are not read; save"] * 2]
    expected += [*["rose/c.HEIC: pictures of this kind"] * 2, *["rose/gone.png: it is a link to nothing"] * 2]
    expected += [*["rose/pipe.jpg: .*pipe.jpg is no file"] * 2, *["rose/ring: it is a link to a folder that it lies in"] * 2]
    assert len(told) == len(expected)
    for fault, pattern in zip(told, expected, strict=True):
        assert re.match(pattern, fault), fault


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/a.png", "wb") as file:
        file.write(png())
    store = Store.open(tmp_path / "s", create=True)
    with pytest.raises(FormatError, match=r"the name 'caf.udce9/a.png' has bytes that are no UTF-8"):
        ingest(Reader(tmp_path), store, Naming("n"))
