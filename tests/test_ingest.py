"""Imports: all or nothing, once, filed as asked; from Python and from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import synth
from synth.cli import main
from synth.errors import ConfigError, FormatError
from synth.formats.reading import Faults, Reader
from synth.ingest import Ingested, Naming, ingest
from synth.record import Output, Record, encode
from synth.store import Store
from synth.types import Instance
from tests.samples import sample

SHARED = Path(synth.__file__).parent.parent.parent / "shared" / "data"


def real(index: int, **changes: Any) -> Record:
    plain = encode(replace(sample(index), origin=None, camera=None), Output("png"), f"train/{index}.png")
    return replace(plain, depth=None, normals=None, **changes)


@dataclass(frozen=True, slots=True)
class Made(Reader):
    """A source of records and faults."""

    given: tuple[Record | str, ...] = field(default=())

    def records(self, faults: Faults) -> Iterator[Record]:
        for one in self.given:
            if isinstance(one, str):
                faults.add("made.json: picture 7", [one])
            else:
                yield one


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "s", create=True)


def run(store: Store, *given: Record | str, naming: Naming | None = None, **options: Any) -> Ingested:
    return ingest(Made(store.folder, given=given), store, naming or Naming("shop"), **options)


def test_an_import_is_one_commit_and_again_adds_nothing(store: Store) -> None:
    done = run(store, *map(real, range(5)), naming=Naming("shop", licence="MIT"))
    assert (done.version, done.added, done.replaced, done.unchanged, done.skipped) == (2, 5, 0, 0, 0)
    assert store.read().keys() == [f"shop/train/{i}.png" for i in range(5)]
    assert {s.info.dataset for s in store.read()} == {"shop"}
    assert store.provenance()["licences"] == ["MIT"]
    again = run(store, *map(real, range(5)), naming=Naming("shop", licence="MIT"))
    assert (again.version, again.added, again.unchanged) == (None, 0, 5)
    assert store.resolve("main") == 2
    assert "nothing to commit" in str(again)


def test_what_has_changed_is_replaced(store: Store) -> None:
    run(store, *map(real, range(4)))
    relabelled = replace(real(2), instances=(Instance("box", box_xyxy=(1.0, 2.0, 3.0, 4.0)),))
    done = run(store, real(0), real(1), relabelled, real(3), real(4))
    assert (done.added, done.replaced, done.unchanged) == (1, 1, 3)
    assert store.get("shop/train/2.png").instances[0].box_xyxy == (1.0, 2.0, 3.0, 4.0)
    assert len(store.read()) == 5
    assert (store.log()[0].samples_added, store.log()[0].samples_replaced) == (1, 1)


def test_filing(store: Store) -> None:
    run(store, real(0), real(1), naming=Naming("shop", "val", "CC0-1.0", "eve", r"(\d)\.png"))
    infos = [s.info for s in store.read()]
    assert [(i.split, i.licence, i.annotator, i.group) for i in infos] == [("val", "CC0-1.0", "eve", "0"), ("val", "CC0-1.0", "eve", "1")]
    for wrong in ("", "a/b", "../x", ".hidden"):
        with pytest.raises(ConfigError, match="a dataset's name begins with"):
            Naming(wrong)
    with pytest.raises(ConfigError, match="group must be a regular expression"):
        Naming("shop", group="(")


def test_one_fault_and_nothing_is_imported(store: Store) -> None:
    bad = replace(real(3), instances=(Instance("nothing known"),))
    with pytest.raises(FormatError, match="3 faults in 3 samples; nothing was imported") as caught:
        run(store, real(0), "its box has no area", bad, real(1), real(0))
    for line in (
        "made.json: picture 7: its box has no area",
        "its category is none of the sample's",
        "there are two samples 'train/0.png'",
    ):
        assert line in str(caught.value)
    assert store.resolve("main") == 1
    assert not list((store.folder / "samples.lance" / "data").rglob("*.lance"))  # what was written meanwhile is gone
    done = run(store, real(0), "its box has no area", bad, real(1), real(0), skip_bad=True)
    assert (done.added, done.skipped, done.faults.total) == (2, 3, 3)
    assert store.log()[0].meta["import"]["skipped"] == 3


def test_how_many_are_left_to_import(store: Store) -> None:
    """Neither those that stand twice nor those that cannot be kept are."""
    bad = replace(real(3), instances=(Instance("nothing known"),))
    with pytest.raises(FormatError, match=r"import the others \(2\) with --skip-bad"):
        run(store, real(0), bad, real(1), real(0), "a fault")


def test_a_name_that_is_no_text(store: Store) -> None:
    """Its key can be kept nowhere; and what is said of it must be kept with the commit."""
    bad = replace(real(1), key="caf\udce9.png")
    done = run(store, real(0), bad, "caf\udce9 is empty", skip_bad=True)
    assert (done.added, done.skipped) == (1, 2)
    assert store.log()[0].meta["import"]["faults"][0].endswith(r"the name 'caf\udce9.png' has bytes that are no UTF-8; rename the file")
    with pytest.raises(ConfigError, match=r"message has bytes that are no UTF-8: caf\\udce9"):
        run(store, message="caf\udce9")


def test_the_first_twenty_faults_are_listed(store: Store) -> None:
    with pytest.raises(FormatError, match=r"\.\.\. and 15 more") as caught:
        run(store, *("wrong",) * 35)
    assert str(caught.value).count("\n  made.json") == 20
    with pytest.raises(FormatError, match="there is no sample to import"):
        run(store)


def test_onto_a_branch(store: Store) -> None:
    store.branch("new")
    assert run(store, real(0), branch="new").added == 1
    assert (len(store.read("new")), len(store.read())) == (1, 0)


# --- the command line -------------------------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def coco_file(tmp_path: Path) -> Path:
    from synth.formats import coco
    from tests.formats.listed import Listed

    coco.Writer(tmp_path / "coco").write(Listed([real(i) for i in range(6)]))
    return tmp_path / "coco" / "annotations.json"


def test_a_day_of_work(coco_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of docs/store.md, one after another."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = said(capsys, "import", "coco", str(coco_file), "--name", "shop", "--split", "train", "--licence", "MIT", "--store", "s")
    assert (code, out) == (0, "6 samples added, 0 replaced, 0 were there already: version 2\n")
    assert said(capsys, "import", "coco", str(coco_file), "--name", "shop", "--split", "train", "--licence", "MIT", "store=s")[1] == (
        "0 samples added, 0 replaced, 6 were there already; nothing to commit\n"
    )
    assert said(capsys, "branch", "curated", "main", "--store", "s")[1] == "curated -> v2\n"
    code, out, _ = said(capsys, "delete", "--where", "visible_fraction_max < 0.2", "--branch", "curated", "--store", "s")
    assert "deleted 2 samples from curated: version" in out
    code, out, _ = said(capsys, "diff", "main", "curated", "--keys", "--store", "s")
    assert "0 samples added, 2 removed, 0 changed" in out
    assert out.count("\n- shop/") == 2
    assert said(capsys, "tag", "shop-v1", "curated", "--store", "s")[0] == 0
    code, out, _ = said(capsys, "sql", "select source, category, count(*) as n from instances group by all order by 2", "--store", "s")
    assert out.splitlines() == ["source  category  n", "real    mug       6"]
    assert json.loads(
        said(capsys, "sql", "select count(*) as n from samples", "--format", "json", "--ref", "curated", "--store", "s")[1]
    ) == {"n": 4}
    code, out, _ = said(capsys, "show", "main", "--where", "source = 'real'", "--sheet", "s.png", "--store", "s")
    assert (tmp_path / "s.png").stat().st_size > 1000
    code, out, _ = said(capsys, "export", "yolo-pose", "shop-v1", "out", "--store", "s")
    assert code == 0
    assert "the format cannot hold" in out
    code, _, err = said(capsys, "export", "yolo-pose", "shop-v1", "strict", "--strict", "--store", "s")
    assert code == 1
    assert "cannot hold" in err
    assert not (tmp_path / "strict").exists()
    code, out, _ = said(capsys, "pin", "shop-v1", "--where", "split = 'train'", "--store", "s")
    (tmp_path / "train.pin.json").write_text(out)
    assert said(capsys, "merge", "curated", "--store", "s")[1].endswith("0 samples added, 0 replaced, 2 removed\n")
    assert said(capsys, "restore", "2", "--store", "s")[1].endswith("6 samples\n")
    code, out, _ = said(capsys, "gc", "--keep", "0d", "--store", "s")
    assert "removed" in out
    assert said(capsys, "pull", "train.pin.json", "copy")[1] == "copy: 4 samples, every byte compared\n"
    assert said(capsys, "show", "train.pin.json", "--store", "copy")[1].endswith("4 of 4 samples\n")
    code, out, _ = said(capsys, "log", "--store", "s")
    assert code == 0
    assert "[tag shop-v1, pinned]" in out
    assert "(removed by gc)" not in said(capsys, "log", "shop-v1", "--limit", "1", "--store", "s")[1]


def test_skip_bad_is_exit_code_3(coco_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(coco_file.read_text())
    value["annotations"][0]["bbox"][2] = -1
    coco_file.write_text(json.dumps(value))
    call = ("import", "coco", str(coco_file), "--name", "shop", "--store", str(tmp_path / "s"))
    code, _, err = said(capsys, *call)
    assert code == 1
    assert "nothing was imported" in err
    code, out, err = said(capsys, *call, "--skip-bad")
    assert code == 3
    assert "5 samples added" in out
    assert "1 skipped" in out
    assert "annotation" in err


def test_a_fault_of_no_sample_is_exit_code_3_too(coco_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(coco_file.read_text())
    value["annotations"].append({**value["annotations"][0], "id": 999, "image_id": 999})
    coco_file.write_text(json.dumps(value))
    code, out, err = said(capsys, "import", "coco", str(coco_file), "--name", "shop", "--store", str(tmp_path / "s"), "--skip-bad")
    assert (code, out.split(",")[0]) == (3, "6 samples added")
    assert "1 faults:" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "cocoo", "x", "--name", "n"], "no format to read 'cocoo'; did you mean 'coco'"),
        (["import", "coco", "nowhere.json", "--name", "n"], "nowhere.json does not exist"),
        (["import", "coco", ".", "--name", "a/b"], "a dataset's name begins"),
        (["import", "coco", ".", "--name", "n", "--set", "task=pose"], "no option of reading coco 'task'; known: none"),
        (["import", "bop", ".", "--name", "n", "--set", "images=x"], "no option of reading bop 'images'; known: names"),
        (["import", "bop", ".", "--name", "n", "--set", "names={}", "--set", "names={}"], "--set names is given twice"),
        (["import", "coco", ".", "--name", "n", "--split", ""], "split must be text, got ''"),
        (["import", "coco", ".", "--name", "n", "--licence", ""], "licence must be text, got ''"),
        (["import", "coco", ".", "--name", "n", "--annotator", "caf\udce9"], r"annotator has bytes that are no UTF-8: caf\\udce9"),
        (["export", "yolo-pose", "main", "out", "--set", "task=obb"], "no option of writing yolo-pose 'task'; known: below"),
        (["export", "bop", "main", "out", "--set", "licences=[]"], "no option of writing bop 'licences'; known: below, default_split"),
        (["export", "coco", "main", "out", "--set", "out=x"], "no option of writing coco 'out'"),
        (["export", "coco", "main", "out"], "coco: there is no sample to export; nothing was written"),
        (["export", "yoloo", "main", "out"], "no format to write 'yoloo'"),
        (["gc", "--keep", "soon"], "--keep must be a number with d, h or m"),
        (["pull", "no.json", "x"], "cannot read pin no.json"),
        (["show", "no.json", "--where", "true"], "a pin says which samples"),
    ],
)
def test_wrong_calls(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    Store.open("data/store", create=True)
    code, _, err = said(capsys, *arguments)
    assert code == 2
    assert re.search(message, err)
    assert err.count("\n") == 1


def test_bccd_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real photos, with two boxes that are really degenerate."""
    folder = SHARED / "real" / "bccd"
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    call = ("import", "voc", str(folder), "--name", "bccd", "--store", str(tmp_path / "s"))
    code, _, err = said(capsys, *call)
    assert code == 1
    assert "2 faults in 2 samples" in err
    for name in ("BloodImage_00338.xml", "BloodImage_00343.xml"):
        assert name in err
    code, out, _ = said(capsys, *call, "--skip-bad")
    assert (code, out.split(",")[0]) == (3, "290 samples added")
    code, out, _ = said(capsys, "sql", "select split, count(*) as n from samples group by all order by 1", "--store", str(tmp_path / "s"))
    assert out.split() == ["split", "n", "train", "204", "val", "86"]
