"""The versioned dataset store: a table of samples with commits, tags and time travel. Lance is behind it and seen nowhere else.

A store is a folder: `synth.json` marks it and holds its schema version, `samples.lance` is the table, `objects/` holds what many samples
or a commit share (categories, library versions, resolved configs) as JSON files named by their digest.
"""

from synth.record import Output
from synth.store.samples import Samples
from synth.store.store import Commit, Store

__all__ = ["Commit", "Output", "Samples", "Store"]
