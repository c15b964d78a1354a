"""Where data goes: what lies on a cluster stays there; everything else is a `Dataset` of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offbeat.data.dataset import Data
from offbeat.data.load import as_dataset
from offbeat.data.placed.dataset import PlacedDataset
from offbeat.data.placed.partitions import LabelEncoding


def lies_elsewhere(X: Any, engine: Any = "auto") -> bool:
    """Whether data is, or is to be read, on a cluster: Dask collections, futures, and files for an engine of one.

    Examples
    --------
    >>> lies_elsewhere([[1.0, 2.0]])
    False
    """
    ends = (X[0], X[-1]) if isinstance(X, list | tuple) and X else (X,)  # a list may be long
    if any(type(end).__module__.partition(".")[0] in ("dask", "dask_expr", "distributed") for end in ends):
        from offbeat.engines.dask.collections import is_placed

        return is_placed(X)
    paths = list(X) if isinstance(X, list | tuple) else [X]
    if getattr(engine, "name", None) != "dask" or not paths or not all(isinstance(path, str | Path) for path in paths):
        return False
    from offbeat.data.files.parquet_files import is_parquet

    return all(is_parquet(Path(path)) for path in paths)


def placed(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    engine: Any = "auto",
    labels: LabelEncoding | None = None,
) -> PlacedDataset:
    """Return data that `lies_elsewhere` as a data set there."""
    from offbeat.engines.dask.placing import place

    return place(X, y, sample_weight=sample_weight, offset=offset, engine=engine, labels=labels)


def data_of(
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    offset: Any = None,
    memory_budget: Any = None,
    engine: Any = "auto",
) -> Data:
    """Return whatever a user passes as a data set, where it is."""
    if lies_elsewhere(X, engine):
        return placed(X, y, sample_weight=sample_weight, offset=offset, engine=engine)
    return as_dataset(X, y, sample_weight=sample_weight, offset=offset, memory_budget=memory_budget)


def map_rows(function: Any, X: Any, example: Any) -> Any:
    """Return a lazy collection of what a function gives for each part of X.

    Parameters
    ----------
    function : callable
        Returns as many rows as it is given.
    X : Dask collection
    example : ndarray
        What it would give for no rows.
    """
    from offbeat.engines.dask.collections import map_rows

    return map_rows(function, X, example)
