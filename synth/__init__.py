"""synth: labelled synthetic pictures, exact and reproducible. `import synth` loads numpy and nothing heavier."""

from __future__ import annotations

__version__ = "0.1.0"
