"""`make bench`: all benchmarks, one after the other, printed and kept in RESULTS.md. Names choose some: python -m benchmarks render."""

from __future__ import annotations

import importlib
import sys

from benchmarks.measure import keep, machine, table

NAMES = ("render", "pipeline", "2d", "store", "mix")

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(NAMES)
    print(machine(), flush=True)
    for name in chosen:
        title, note, rows = importlib.import_module(f"benchmarks.bench_{name}").bench()
        text = table(note, rows)
        print(f"\n## {title}\n\n{text}", flush=True)
        keep(title, text)
