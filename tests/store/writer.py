"""A process that writes into a store: python -m tests.store.writer STORE RUN START COUNT [WAIT_S] [LARGEST_FILE].

Prints what it does, a line each.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator

from synth.errors import SynthError
from synth.record import Output
from synth.store import Store
from synth.types import Sample
from tests.samples import sample


def samples(start: int, count: int, wait_s: float) -> Iterator[Sample]:
    for index in range(start, start + count):
        yield sample(index)
        time.sleep(wait_s)


if __name__ == "__main__":
    path, run, start, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    wait_s = float(sys.argv[5]) if len(sys.argv) > 5 else 0.0
    if len(sys.argv) > 6:
        # Met like a full disk, by an error in the middle of a write; it needs no rights.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[6]), int(sys.argv[6])))
    try:
        store = Store.open(path, create=True)
        print("writing", flush=True)
        fragment = store.write_fragment(samples(start, count, wait_s), Output("png", maps=("depth",)), run)
        print("written", flush=True)
        time.sleep(wait_s * 1000)
        print("committed", store.commit([fragment], message=f"{run} from {start}", run=run, meta={}).version, flush=True)
    except SynthError as error:
        sys.exit(str(error))
