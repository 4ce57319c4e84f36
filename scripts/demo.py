"""What `make demo` runs once synth is installed: 64 samples, committed, and a picture of them with their labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from synth import Store, contact_sheet
from synth.cli import main as synth
from synth.view import save

N = 64
SHEET = Path("data/demo/contact_sheet.png")


def main() -> int:
    """Generate, draw, and say what to try next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="./data/store")
    store = parser.parse_args().store
    code = synth(["generate", "scene=tabletop", f"n={N}", f"store={store}"])
    if code not in (0, 3):
        return code
    samples = Store.open(store).read("main", "origin.scene = 'tabletop'")
    save(SHEET, contact_sheet(samples[:N]))
    first = samples[0]
    where = "" if store == "./data/store" else f" store={store}"
    print(f"""
look at           {SHEET}
what is in it     synth log{where}; synth show main --limit 5{where}
one sample        synth show main {first.key} --sheet one.png{where}
make it again     synth reproduce main {first.key}{where}
your own          synth generate scene=tabletop n=200 seed=7 scene.objects=4 camera.width=320{where}
for training      synth export coco main data/coco{where}
(the command is .venv/bin/synth; `. .venv/bin/activate` puts it on the path)""")
    return code


if __name__ == "__main__":
    sys.exit(main())
