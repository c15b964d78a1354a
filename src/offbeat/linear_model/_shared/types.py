"""What users give to estimators, as types: so that editors and type checkers know the parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from numpy.typing import ArrayLike
from scipy import sparse

from offbeat.sideways.messages import Row
from offbeat.sideways.protocol import Progress


class Table(Protocol):
    """A table with named columns: a data frame of pandas, polars or Dask, lazy or not."""

    @property
    def columns(self) -> Any: ...


class Splitter(Protocol):
    """Makes the folds of a cross-validation, as the classes of `sklearn.model_selection` do."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterable[tuple[Any, Any]]: ...


Features: TypeAlias = ArrayLike | sparse.spmatrix | sparse.sparray | Table | os.PathLike[str] | Sequence[Any]
"""Shape (n_rows, n_features): an array, a sparse matrix, a table, one file or several, or a Dask collection."""
Callback: TypeAlias = Callable[[Progress, Row], Any]
"""Called after each certified update; the fit stops when it returns true."""
Callbacks: TypeAlias = Callback | Sequence[Callback] | None
ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None
"""Weights by label, or weights that make all classes count the same."""
CrossValidation: TypeAlias = int | Splitter | Iterable[tuple[ArrayLike, ArrayLike]] | None
"""Number of folds, or what makes them: pairs of the rows to fit on and the rows to judge by."""
