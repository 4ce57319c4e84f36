"""A comparison as pictures: distributions over one another, and the samples that look least like the other set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synth.compare.comparison import Comparison
from synth.errors import ConfigError, MissingPartError
from synth.types import U8, Sample


def plot(comparison: Comparison, path: Path, names: tuple[str, str] = ("A", "B")) -> None:
    """Histograms of every statistic, those that differ most first. Raises MissingPartError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingPartError("plots need matplotlib: pip install 'synth[plots]'") from error
    shown = comparison.differences
    columns = 4
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(rows, columns, squeeze=False)
    for place, difference in zip(axes.ravel(), shown, strict=False):
        a, b = comparison.values[difference.name]
        low, high = np.percentile(np.concatenate([a, b]), [0.5, 99.5])
        bins = np.linspace(low, max(high, low + 1e-6), 31)
        for values, colour, name in ((a, "#d95f02", names[0]), (b, "#1b9e77", names[1])):
            weights = np.full(len(values), 1 / len(values))
            place.hist(np.clip(values, bins[0], bins[-1]), bins, weights=weights, alpha=0.55, color=colour, label=name)
        place.set_title(f"{difference.name}: KS {difference.ks:.2f} (within {names[1]} {difference.ks_within:.2f})", fontsize=9)
        place.tick_params(labelsize=7)
        place.set_yticks([])
    for place in axes.ravel()[len(shown) :]:
        place.axis("off")
    axes[0, 0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def sheet(comparison: Comparison, a: Sequence[Sample], b: Sequence[Sample], each: int = 6) -> U8:
    """Two rows of A, two of B, `each` a row: of both, first those that the classifier takes for the other set most, then those least."""
    from synth import view

    if not each > 0:
        raise ConfigError(f"each must be above 0, got {each}")
    order_a, order_b = np.argsort(-comparison.likeness_a), np.argsort(comparison.likeness_b)
    rows = [(a, order_a[:each]), (a, order_a[::-1][:each]), (b, order_b[:each]), (b, order_b[::-1][:each])]
    chosen = [samples[int(i)] for samples, places in rows for i in places]
    return view.contact_sheet(chosen, columns=min(each, len(a), len(b)), cell_px=200)
