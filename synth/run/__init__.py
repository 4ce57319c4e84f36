"""Executors: indices -> samples -> fragments -> one commit."""

from synth.run.job import Executor, check_n
from synth.run.local import LocalExecutor
from synth.run.progress import progress_for_terminal
from synth.run.report import Failure, Report, Stopped, Tally

__all__ = ["Executor", "Failure", "LocalExecutor", "Report", "Stopped", "Tally", "check_n", "progress_for_terminal"]
