"""What a ladder found: a table, its curve, and pictures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import ConfigError, MissingPartError
from synth.experiment.curve import Curve, Point, fit
from synth.experiment.ladder import Cell, Experiment, Ladder, Outcome
from synth.experiment.prediction import Prediction, drawn, from_json
from synth.types import U8, Sample


@dataclass(frozen=True, slots=True)
class Row:
    """A cell over its seeds, of one figure of one test set. half_width: of the 95 % confidence interval of the mean (Student's t over the
    seeds); nan with one seed."""

    real: int
    synthetic: int
    test: str
    figure: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.values))

    @property
    def half_width(self) -> float:
        """Of the interval."""
        from scipy.stats import t

        n = len(self.values)
        return float(t.ppf(0.975, n - 1) * np.std(self.values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    """Every figure of every test set, a row for each cell."""
    found: dict[tuple[int, int, str, str], list[float]] = {}
    for outcome in outcomes:
        for test, figures in outcome.figures.items():
            for name, value in figures.items():
                found.setdefault((outcome.cell.real, outcome.cell.synthetic, test, name), []).append(value)
    return [Row(*key, tuple(values)) for key, values in found.items()]


def table(experiment: Experiment, outcomes: Sequence[Outcome]) -> str:
    """Mean and 95 % interval of each cell, a block for each test set, for people; Markdown."""
    rows = rows_of(outcomes)
    lines = []
    for test in experiment.test:
        of_test = [row for row in rows if row.test == test]
        names = list(dict.fromkeys(row.figure for row in of_test if row.figure != "threshold"))
        lines += [f"test: {test}", "", f"| real | synthetic | {' | '.join(names)} |", "|" + "---|" * (len(names) + 2)]
        for real, synthetic in dict.fromkeys((row.real, row.synthetic) for row in of_test):
            cells = {row.figure: row for row in of_test if (row.real, row.synthetic) == (real, synthetic)}
            lines.append(f"| {real} | {synthetic} | {' | '.join(_told(cells[name]) for name in names)} |")
        lines.append("")
    seconds = sum(outcome.seconds for outcome in outcomes)
    lines.append(f"mean over {len(experiment.seeds)} seeds ± half of the 95 % interval; {seconds:.0f} s of training in all")
    return "\n".join(lines)


def _told(row: Row) -> str:
    return f"{row.mean:.3f}" + ("" if math.isnan(row.half_width) else f" ± {row.half_width:.3f}")


def curve_of(experiment: Experiment, outcomes: Sequence[Outcome]) -> Curve:
    """The learning curve of the main figure on the first test set, as an error: 1 - figure where higher is better. Raises ConfigError where
    the ladder has too few cells."""
    test, metric = next(iter(experiment.test)), experiment.metric
    points = []
    for outcome in outcomes:
        value = outcome.figures[test][metric.main]
        points.append(Point(outcome.cell.real, outcome.cell.synthetic, 1 - value if metric.higher_is_better else value))
    return fit(points)


def expectations(curve: Curve, experiment: Experiment, outcomes: Sequence[Outcome]) -> str:
    """What more samples are expected to bring, in words."""
    real, synthetic = (max(getattr(outcome.cell, kind) for outcome in outcomes) for kind in ("real", "synthetic"))

    def turn(error: float) -> float:
        return 1 - error if experiment.metric.higher_is_better else error

    lines = [str(curve), "", f"{experiment.metric.main} to expect:"]
    asked = {
        f"all of now ({real} real, {synthetic} synthetic)": (real, synthetic),
        "twice the real": (2 * real, synthetic),
        "twice the synthetic": (real, 2 * synthetic),
        "four times both": (4 * real, 4 * synthetic),
    }
    for what, (n_real, n_synthetic) in asked.items():
        if n_real + n_synthetic:
            found = curve.expect(n_real, n_synthetic)
            low, high = sorted((turn(found.low), turn(found.high)))
            lines.append(f"  {what:44} {turn(found.error):.3f} ({low:.3f} to {high:.3f}){'  far beyond the ladder' * found.far}")
    return "\n".join(lines)


def write(ladder: Ladder, outcomes: Sequence[Outcome]) -> list[Path]:
    """results.csv, results.json, table.md, curve.txt, plot.png, sheet.png in the folder of the ladder. Raises MissingPartError without
    matplotlib, the other files written."""
    experiment, folder = ladder.experiment, ladder.folder
    rows = rows_of(outcomes)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["test", "figure", "real", "synthetic", "mean", "ci95_half_width", *(f"seed_{seed}" for seed in experiment.seeds)])
    for row in rows:
        writer.writerow([row.test, row.figure, row.real, row.synthetic, row.mean, row.half_width, *row.values])
    files = {"results.csv": text.getvalue(), "table.md": table(experiment, outcomes) + "\n"}
    try:
        files["curve.txt"] = expectations(curve_of(experiment, outcomes), experiment, outcomes) + "\n"
    except ConfigError as error:
        files["curve.txt"] = f"{error}\n"
    told = [{**asdict(row), "mean": row.mean, "ci95_half_width": row.half_width} for row in rows]
    cells = [{**asdict(outcome.cell), "figures": outcome.figures, "seconds": outcome.seconds} for outcome in outcomes]
    files["results.json"] = json.dumps(_plain({"experiment": experiment.name, "rows": told, "cells": cells}), indent=1) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    from synth import view

    view.save(folder / "sheet.png", sheet(ladder, outcomes))
    plot(experiment, outcomes, folder / "plot.png")
    return [folder / name for name in (*files, "sheet.png", "plot.png")]


def _plain(value: Any) -> Any:
    """As JSON can say it: what is not finite is null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plot(experiment: Experiment, outcomes: Sequence[Outcome], path: Path) -> None:
    """The main figure over the real count, one line for each synthetic count, a panel for each test set."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingPartError("plots need matplotlib: pip install 'synth[plots]'") from error
    rows = [row for row in rows_of(outcomes) if row.figure == experiment.metric.main]
    tests = list(experiment.test)
    figure = Figure(figsize=(5.5 * len(tests), 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, len(tests), squeeze=False)[0]
    reals = sorted({row.real for row in rows})
    for place, test in zip(axes, tests, strict=True):
        amounts = sorted({row.synthetic for row in rows if row.test == test})
        for number, synthetic in enumerate(amounts):
            line = sorted((row for row in rows if (row.test, row.synthetic) == (test, synthetic)), key=lambda row: row.real)
            x = [reals.index(row.real) + 0.04 * (number - len(amounts) / 2) for row in line]
            bars = [0.0 if math.isnan(row.half_width) else row.half_width for row in line]
            colour = f"C{number}"
            place.errorbar(x, [row.mean for row in line], bars, label=f"{synthetic} synthetic", color=colour, marker="o", capsize=3)
            for at, row in zip(x, line, strict=True):
                place.plot([at] * len(row.values), row.values, ".", color=colour, alpha=0.4)
        place.set_xticks(range(len(reals)), [str(real) for real in reals])
        place.set_xlabel("real training samples")
        place.set_ylabel(experiment.metric.main)
        place.set_title(f"{experiment.name}: {test}")
        place.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def sheet(ladder: Ladder, outcomes: Sequence[Outcome]) -> U8:
    """Predictions on the first test set: best, median and worst picture, a row for each of real alone, synthetic alone and mixed (of each
    the cell with the best mean, its first seed)."""
    from synth import view

    experiment = ladder.experiment
    test = next(iter(experiment.test))
    chosen = _best_of_each_kind(experiment, outcomes, test)
    _, truths = next(iter(ladder.test_samples(ladder.plan(chosen[0].cell))))
    shown: list[Sample] = []
    for outcome in chosen:
        found = from_json((ladder.folder / "cells" / outcome.cell.name / f"predictions-{test}.json").read_text(encoding="utf-8"))
        order = sorted(range(len(found)), key=lambda i: -experiment.metric.rank(found[i], truths[i]))
        picked = (order[0], order[len(order) // 2], order[-1])
        threshold = outcome.figures[test].get("threshold", 0.3)
        shown += [_seen(truths[i], found[i], threshold) for i in picked]
    return view.contact_sheet(shown, columns=3, cell_px=400)


def _seen(truth: Sample, found: Prediction, threshold: float) -> Sample:
    return drawn(truth, found, threshold if math.isfinite(threshold) and len(found.instances) > 1 else 0.0)


def _best_of_each_kind(experiment: Experiment, outcomes: Sequence[Outcome], test: str) -> list[Outcome]:
    sign = 1 if experiment.metric.higher_is_better else -1
    cells: dict[tuple[int, int], list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault((outcome.cell.real, outcome.cell.synthetic), []).append(outcome)

    def score(of_cell: list[Outcome]) -> float:
        values = [outcome.figures[test][experiment.metric.main] for outcome in of_cell]
        return -math.inf if np.isnan(values).any() else sign * float(np.mean(values))

    kinds: Mapping[str, list[list[Outcome]]] = {"real": [], "synthetic": [], "mixed": []}
    for (real, synthetic), of_cell in cells.items():
        kinds["mixed" if real and synthetic else "real" if real else "synthetic"].append(of_cell)
    return [max(each, key=score)[0] for each in kinds.values() if each]


__all__ = ["Cell", "Row", "curve_of", "expectations", "plot", "rows_of", "sheet", "table", "write"]
