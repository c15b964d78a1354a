"""From named columns to a dense or sparse matrix with feature names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

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
    n_rows = len(next(iter(numbers.values()))) if numbers else len(categories[0].codes)
    X = np.zeros((n_rows, len(numbers) + sum(len(c.levels) for c in categories)), dtype=dtype)
    for j, column in enumerate(numbers.values()):
        X[:, j] = column
    rows = np.arange(n_rows)
    start = len(numbers)
    for c in categories:
        X[rows, start + c.codes] = 1.0
        start += len(c.levels)
    return X


def sparse(numbers: Numbers, categories: Sequence[Category], dtype: np.dtype[Any]) -> csr_array:
    """Numbers and one column a level as CSR of shape (n_rows, n_features), indices sorted, 32 bits wide."""
    starts = np.cumsum([0, *(len(c.levels) for c in categories)])
    indices = np.stack([c.codes + start for c, start in zip(categories, starts, strict=False)], axis=1)
    n_rows, width = indices.shape
    indptr = np.arange(0, n_rows * width + 1, width, dtype=np.int32)
    levels = csr_array(
        (np.ones(n_rows * width, dtype), indices.astype(np.int32).ravel(), indptr),
        shape=(n_rows, int(starts[-1])),
    )
    if not numbers:
        return levels
    return csr_array(hstack([csr_array(dense(numbers, (), dtype)), levels], format="csr"))
