"""The versioned dataset store: a table of samples with commits, branches, tags and time travel. Lance is behind it and seen nowhere else.

A store is a folder or a prefix of a bucket: `synth.json` marks it and holds its schema version, `samples.lance` is the table, `objects/`
holds what many samples or a commit share (categories, library versions, resolved configs, commit records) as JSON files named by their
digest.
"""

from synth.record import Output
from synth.store.history import Commit
from synth.store.pins import Pin, open_pin, pull
from synth.store.samples import Samples
from synth.store.store import Store
from synth.store.stored import Stored

__all__ = ["Commit", "Output", "Pin", "Samples", "Store", "Stored", "open_pin", "pull"]
