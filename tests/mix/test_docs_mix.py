"""docs/mix.md: its commands and code run, its tables name every key."""

from __future__ import annotations

import inspect
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

import synth
from synth.cli import main
from synth.config.searchpath import options
from synth.mix import Mix, Part, mixture
from synth.types import Sample
from tests.mix.stores import made, real, synthetic

PAGE = Path(synth.__file__).parent.parent / "docs" / "mix.md"
TEXT = PAGE.read_text() if PAGE.exists() else ""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store of the numbers that the page shows, a tenth of them."""

    def photos(split: str, first: int, count: int) -> list[Sample]:
        return [real(i, split, f"{split}{i}") for i in range(first, first + count)]

    made(tmp_path / "data" / "store", map(synthetic, range(100)), photos("train", 0, 12), photos("val", 12, 3), photos("test", 15, 4))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for line in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)[0].splitlines() if line]
    assert len(commands) == 5
    for line in commands:
        assert main(shlex.split(line, comments=True)[1:]) == 0, line
    assert len(list(here.glob("*.plan.json"))) == 12
    shown = re.findall(r"```\n(part.*?)```", TEXT, re.DOTALL)[0].splitlines()
    printed = capsys.readouterr().out.splitlines()
    assert shown[0].split() == printed[0].split()
    assert shown[-1] == printed[printed.index("saved: half_real.plan.json")]


def test_code_runs(here: Path) -> None:
    pytest.importorskip("torch")
    assert main(["mix", "mix=half_real"]) == 0
    space: dict[str, object] = {"__name__": "__main__"}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "mix.md", "exec"), space)
    checkpoint = space["checkpoint"]
    assert isinstance(checkpoint, dict)
    assert (checkpoint["epoch"], checkpoint["batch"]) == (2, 0)


def test_every_key_is_documented() -> None:
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert {one.name for one in (*fields(Mix), *fields(Part))} <= named
    assert {name for name in inspect.signature(mixture).parameters if name not in ("plan", "split")} <= named
    assert set(options("mix")) <= named
