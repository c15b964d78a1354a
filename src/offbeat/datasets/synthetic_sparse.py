"""Generator of sparse data whose coefficients are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_array

from offbeat.datasets.container import Data
from offbeat.datasets.streams import check_float_dtype, check_share, check_size, labels, streams
from offbeat.errors import DataError

LOGIT_SPREAD = 2.0
MOST_ENTRIES = 2**31 - 1


def make_sparse_classification(
    n_rows: int = 10_000,
    n_columns: int = 10_000,
    *,
    row_length: float = 30.0,
    noise: float = 0.0,
    dtype: DTypeLike = np.float64,
    seed: int = 0,
) -> Data:
    """Make two classes of a logistic model on zeros and ones, distributed like words in texts.

    Parameters
    ----------
    n_rows, n_columns : int
        Size of the features.
    row_length : float
        Mean number of columns drawn for a row. Columns drawn twice count once, so rows are somewhat shorter.
    noise : float
        Share of the labels, in [0, 1], that are flipped.
    dtype : {float64, float32}
        Type of the features.
    seed : int
        The same seed gives the same data.

    Returns
    -------
    Data
        `X` in CSR, indices sorted and 32 bits wide, every row with a non-zero. The k-th most frequent column is
        about k times rarer than the first (Zipf's law); frequent columns are at random places. `y` (int64) is 1
        with probability ``1 / (1 + exp(-z))``, ``z = X @ coef + intercept`` of mean 0 and standard deviation 2.

    Raises
    ------
    DataError
        A size or `row_length` is not positive, `noise` is not in [0, 1], or there would be more than 2^31 non-zeros.

    Examples
    --------
    >>> from offbeat.datasets import make_sparse_classification
    >>> make_sparse_classification(1_000, 500).X.shape
    (1000, 500)
    """
    check_size(n_rows=n_rows, n_columns=n_columns)
    check_share("noise", noise)
    if not 0.0 < row_length * n_rows < MOST_ENTRIES:
        raise DataError(
            f"row_length={row_length!r} must be positive, and times n_rows={n_rows:,} less than {MOST_ENTRIES:,}."
        )
    for_coef, for_features, for_target = streams(seed)
    X = _zipf_rows((n_rows, n_columns), row_length, check_float_dtype(dtype), for_features)
    coef = for_coef.standard_normal(n_columns)
    z = np.asarray(X @ coef)
    spread = float(z.std())
    scale = LOGIT_SPREAD / spread if spread > 0 else 1.0
    intercept = -scale * float(z.mean())
    return Data(
        X=X,
        y=labels(scale * z + intercept, noise, for_target),
        feature_names=tuple(f"x{j}" for j in range(n_columns)),
        description="Synthetic: zeros and ones, column frequencies after Zipf's law.",
        target_name="class",
        source="offbeat.datasets.synthetic_sparse",
        coef=scale * coef,
        intercept=intercept,
    )


def _zipf_rows(shape: tuple[int, int], row_length: float, dtype: np.dtype[Any], rng: np.random.Generator) -> csr_array:
    """Draw the columns of all rows at once; equal ones of a row are merged by SciPy."""
    n_rows, n_columns = shape
    indptr = np.zeros(n_rows + 1, dtype=np.int32)
    np.cumsum(np.maximum(rng.poisson(row_length, n_rows), 1), out=indptr[1:])
    # The rank of a column is log-uniform: rank k has probability log((k + 1) / k), nearly proportional to 1 / k.
    ranks = np.exp(np.log(n_columns + 1.0) * rng.random(int(indptr[-1]), dtype=np.float32))
    places: NDArray[np.int32] = rng.permutation(n_columns).astype(np.int32)
    indices = places[np.minimum(ranks.astype(np.int32), n_columns) - 1]
    X = csr_array((np.ones(len(indices), dtype), indices, indptr), shape=shape)
    X.sum_duplicates()
    X.data[:] = 1.0
    return X
