"""SQL over one version: DuckDB reads the table's columns, never its pictures.

Two views: `samples`, one row a sample with all columns but the pixels; `instances`, one row a label with its sample's key, source, dataset,
split and group. Lists are read as `box_xyxy[1]` (x0), JSON as `attributes->>'zone'`. A query can read nothing else: no file, no network.
"""

from __future__ import annotations

from typing import Any

from synth.errors import StoreCallError
from synth.store.schema import BLOBS
from synth.store.table import Table

_OF_SAMPLE = ("key", "source", "dataset", "split", "group")


def run(table: Table, version: int, query: str) -> Any:
    """The arrow table that `query` gives over `version`. Raises StoreCallError if the query is wrong."""
    import duckdb

    data = table.at(version)
    there = data.schema.names
    pixels = ", ".join(name for name in BLOBS)
    shared = ", ".join(f'"{name}"' for name in _OF_SAMPLE if name in there)
    with duckdb.connect() as connection:
        connection.register("lance_table", data)
        connection.execute(f"create view samples as select * exclude ({pixels}) from lance_table")
        connection.execute(
            f"create view instances as select {shared}, instance.* from (select {shared}, unnest(instances) as instance from lance_table)"
        )
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        with table.errors("be read"):
            try:
                relation = connection.sql(query)
                if relation is None:
                    raise StoreCallError(f'the query "{query}" asks for nothing; begin with select')
                return relation.to_arrow_table()
            except duckdb.Error as error:
                raise StoreCallError(f'the query "{query}" cannot be used: {error}; views: samples, instances') from error
