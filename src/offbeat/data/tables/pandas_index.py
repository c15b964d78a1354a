"""The index of a pandas table that was stored in a file: a column beside the others, and no feature."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_UNNAMED = re.compile(r"__index_level_\d+__|__null_dask_index__")
_KEY = b"pandas"


def index_names(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that were the index of a pandas table: those in pandas' metadata, and those with its names.

    Parameters
    ----------
    schema : pyarrow.Schema

    Examples
    --------
    >>> import pyarrow as pa
    >>> sorted(index_names(pa.schema([("x", pa.int8()), ("__index_level_0__", pa.int8())])))
    ['__index_level_0__']
    """
    return noted_index(schema) | {name for name in schema.names if _UNNAMED.fullmatch(name)}


def noted_index(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that the metadata of a schema lists as the index of a pandas table."""
    try:
        noted = json.loads((schema.metadata or {}).get(_KEY, b"{}"))["index_columns"]
        return frozenset({name for name in noted if isinstance(name, str)} & set(schema.names))
    except (ValueError, KeyError, TypeError):  # metadata of another program
        return frozenset()


def index_metadata(names: Iterable[str]) -> dict[bytes, bytes] | None:
    """Return the metadata of a schema by which `noted_index` finds these columns.

    Examples
    --------
    >>> index_metadata(["id"])
    {b'pandas': b'{"index_columns": ["id"]}'}
    """
    listed = sorted(names)
    return {_KEY: json.dumps({"index_columns": listed}).encode()} if listed else None
