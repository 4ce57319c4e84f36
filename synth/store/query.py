"""SQL over one version: DuckDB reads the table's columns, never its pictures."""

from __future__ import annotations

from typing import Any

from synth.errors import StoreCallError
from synth.store.table import Table
