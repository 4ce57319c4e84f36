import io
import time

import pytest

from synth.run import progress
from synth.run.report import Failure, Report, Tally


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tally(**values) -> Tally:
    return Tally(asked=100, begun_s=time.monotonic() - 10, **values)


def test_a_log_gets_plain_lines_now_and_then(monkeypatch):
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    stream = io.StringIO()
    with progress.progress_for_terminal(stream) as tell:
        tell(tally())
        tell(tally(there=20, made=40, failed=1))
    assert stream.getvalue() == "0 of 100 samples, starting\n61 of 100 samples, 4.0/s, 0:10 left, 1 failed\n"


def test_a_short_run_writes_no_line():
    stream = io.StringIO()
    with progress.progress_for_terminal(stream) as tell:
        tell(tally(made=100))
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_with_rate_and_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress.progress_for_terminal(stream) as tell:
        tell(tally(made=50))
        tell(tally(there=50, made=50))
    assert "5.0/s, 0:10 left" in stream.getvalue()
    assert "100/100" in stream.getvalue()


def test_a_stop_is_answered():
    assert "Ctrl-C again to stop at once" in progress._state(tally(made=3, stopping=True))


@pytest.mark.parametrize(("asked", "left"), [(50, "0:00"), (1000, "3:10"), (50_000, "2:46:30")])
def test_time_left(asked, left):
    assert f"/s, {left} left" in progress._state(Tally(asked=asked, made=50, begun_s=time.monotonic() - 10))


def test_a_summary_says_why_n_is_not_met():
    failures = tuple(Failure(i, f"sample {i} (scene bricks, seed 0): no place") for i in range(7))
    report = Report("bricks", "abc", 3, 100, there=10, resumed=20, made=63, failures=failures, deaths=("SIGKILL at sample 3",), seconds=9)
    assert report.exit_code == 3
    assert report.summary().splitlines() == [
        "version 3: 83 samples added to run abc (scene bricks) in 9.0 s, 7.0 samples/s",
        "20 of them were made before the last stop",
        "10 were there before",
        "1 dead workers were replaced (1 by SIGKILL); if memory is short, use fewer workers",
        "93 of 100 samples are there, 7 failed:",
        *(f"  sample {i} (scene bricks, seed 0): no place" for i in range(5)),
        "  ... and 2 more (all are kept with the commit)",
        "the same command tries them again",
    ]
