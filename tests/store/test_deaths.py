"""Commands that die, a few times: benchmarks/soak.py has them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store import deaths


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deaths") / "prepared"
    deaths.prepare(folder)
    return folder


@pytest.mark.parametrize("command", deaths.COMMANDS)
def test_a_command_that_dies_at_any_step_is_completed_by_itself(prepared: Path, tmp_path: Path, command: str) -> None:
    assert deaths.die_everywhere(command, prepared, tmp_path, every=11 if command == "pull" else 3) > 1


@pytest.mark.parametrize("command", ["import", "merge", "gc"])
def test_a_command_that_is_killed_at_a_random_moment_is_completed_by_itself(prepared: Path, tmp_path: Path, command: str) -> None:
    deaths.kill_rounds(command, prepared, tmp_path, rounds=1)
