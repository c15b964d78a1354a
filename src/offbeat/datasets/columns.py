"""From named columns to a dense or sparse matrix with feature names.

The matrix is filled as `offbeat.data.tables` fills those of tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offbeat.data.tables.convert import Layout, fill_dense, fill_sparse

Numbers = Mapping[str, NDArray[Any]]


class Category(NamedTuple):
    """One categorical column: the level of each row as an index into ``levels``."""

    name: str
    codes: NDArray[np.int32]
    levels: tuple[str, ...]


def category(name: str, values: Any) -> Category:
    """Category whose levels are the distinct values, in order.

    Parameters
    ----------
    name : str
        Name of the column, the first half of ``"name=level"``.
    values : array-like of shape (n_rows,)
        Strings or integers, none missing.
    """
    import pandas as pd  # its hash table is ten times faster on strings than sorting them

    codes, levels = pd.factorize(np.asarray(values), sort=True)
    return Category(name, codes.astype(np.int32), tuple(str(level) for level in levels))


def labelled(name: str, codes: Any, levels: Sequence[str]) -> Category:
    """Category of rows that are indices already, each level named."""
    return Category(name, np.asarray(codes, dtype=np.int32), tuple(levels))


def feature_names(numbers: Numbers, categories: Sequence[Category]) -> tuple[str, ...]:
    """Names of all columns of `dense` and `sparse`: numbers first, then one a level."""
    return (*numbers, *(f"{c.name}={level}" for c in categories for level in c.levels))


def dense(numbers: Numbers, categories: Sequence[Category], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers and one column a level, C-ordered, of shape (n_rows, n_features)."""
    arrays, layout = _columns(numbers, categories)
    X = np.empty((len(arrays[0]), layout[-1].first + layout[-1].width), dtype)
    fill_dense(arrays, layout, X)
    return X


def sparse(numbers: Numbers, categories: Sequence[Category], dtype: np.dtype[Any]) -> csr_array:
    """Numbers and one column a level as CSR of shape (n_rows, n_features), indices sorted, 32 bits wide.

    Zeros among the numbers are not stored.
    """
    arrays, layout = _columns(numbers, categories)
    n_rows, width = len(arrays[0]), len(arrays)
    indices, data = np.empty((n_rows, width), np.int32), np.empty((n_rows, width), dtype)
    fill_sparse(arrays, layout, indices, data)
    indptr = np.arange(0, n_rows * width + 1, width, dtype=np.int32)
    X = csr_array((data.ravel(), indices.ravel(), indptr), shape=(n_rows, layout[-1].first + layout[-1].width))
    X.eliminate_zeros()
    return X


def _columns(numbers: Numbers, categories: Sequence[Category]) -> tuple[list[NDArray[Any]], list[Layout]]:
    """Return the values of numbers, the codes of categories, and where each stands in the matrix."""
    layout = [Layout(j, 1, False, 0) for j in range(len(numbers))]
    first = len(numbers)
    for c in categories:
        layout.append(Layout(first, len(c.levels), True, 0))
        first += len(c.levels)
    return [*numbers.values(), *(c.codes for c in categories)], layout
