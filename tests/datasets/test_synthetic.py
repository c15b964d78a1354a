"""Generators: shapes, reproducibility, and that the coefficients they report made the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offbeat.datasets import Data, make_classification, make_counts, make_regression, make_sparse_classification
from offbeat.errors import DataError

DENSE = [make_regression, make_classification, make_counts]
ALL = [*DENSE, make_sparse_classification]
Maker = Callable[..., Data]


def dense_values(data: Data) -> np.ndarray[Any, Any]:
    return data.X if isinstance(data.X, np.ndarray) else data.X.toarray()


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shape_and_types(make: Maker, dtype: str) -> None:
    data = make(50, 7, dtype=dtype)
    assert data.X.shape == (50, 7)
    assert data.X.dtype == dtype
    assert data.y.shape == (50,)
    assert data.y.dtype in (np.float64, np.int64)
    assert len(data.feature_names) == 7
    assert data.coef is not None and data.coef.shape == (7,)


@pytest.mark.parametrize("make", ALL)
def test_a_seed_gives_the_same_data_and_another_seed_other_data(make: Maker) -> None:
    first, again, other = make(80, 5, seed=3), make(80, 5, seed=3), make(80, 5, seed=4)
    np.testing.assert_array_equal(dense_values(first), dense_values(again))
    np.testing.assert_array_equal(first.y, again.y)
    assert (first.y != other.y).any()


@pytest.mark.parametrize("make", DENSE)
def test_features_do_not_depend_on_the_noise_or_the_generator(make: Maker) -> None:
    np.testing.assert_array_equal(make(40, 3, noise=0.5, seed=1).X, make_regression(40, 3, seed=1).X)


@pytest.mark.parametrize("make", DENSE)
def test_sparsity_is_the_share_of_zero_coefficients(make: Maker) -> None:
    coef = make(10, 100, sparsity=0.1).coef
    assert coef is not None
    assert (coef == 0).sum() == 10
    everything_zero = make(10, 4, sparsity=1.0).coef
    assert everything_zero is not None and not everything_zero.any()


def test_least_squares_recovers_the_coefficients() -> None:
    data = make_regression(20_000, 10, noise=2.0)
    design = np.column_stack([data.X, np.ones(20_000)])
    found, squares, *_ = np.linalg.lstsq(design, data.y)
    assert data.coef is not None
    # The standard error of every coefficient is 2 / sqrt(20,000) = 0.014.
    np.testing.assert_allclose(found, [*data.coef, data.intercept], atol=0.07)
    assert squares[0] / 20_000 == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("make", [make_classification, make_sparse_classification])
def test_labels_have_the_probabilities_of_the_model(make: Maker) -> None:
    data = make(40_000, 50)
    z = data.X @ data.coef + data.intercept
    assert z.std() == pytest.approx(2.0, rel=0.05)
    assert set(np.unique(data.y)) == {0, 1}
    # The gradient of the mean logistic loss is zero, up to sampling, at the coefficients that made the labels.
    residual = 1 / (1 + np.exp(-z)) - data.y
    assert abs(residual.mean()) < 0.01
    assert np.abs(data.X.T @ residual).max() / 40_000 < 0.015


def test_noise_flips_that_share_of_labels() -> None:
    clean, noisy = make_classification(20_000, 5), make_classification(20_000, 5, noise=0.25)
    assert (clean.y != noisy.y).mean() == pytest.approx(0.25, abs=0.02)


def test_counts_have_the_mean_of_the_model_and_noise_spreads_them() -> None:
    data = make_counts(40_000, 10)
    residual = np.exp(data.X @ data.coef + data.intercept) - data.y
    assert abs(residual.mean()) < 0.05
    assert np.abs(data.X.T @ residual).max() / 40_000 < 0.1
    assert make_counts(40_000, 10, noise=1.0).y.var() > 2 * data.y.var()


def test_counts_with_absurd_noise_stay_finite() -> None:
    assert np.isfinite(make_counts(1_000, 3, noise=1e6).y).all()


def test_sparse_rows_are_canonical_and_columns_follow_zipf() -> None:
    X = make_sparse_classification(5_000, 1_000, row_length=20).X
    assert X.has_canonical_format
    assert X.indices.dtype == np.int32
    assert (np.diff(X.indptr) > 0).all()
    assert (X.data == 1).all()
    frequency = np.sort(np.bincount(X.indices, minlength=1_000))[::-1]
    assert 4 < frequency[49] / frequency[499] < 25
    assert np.diff(X.indptr).mean() == pytest.approx(18, abs=2)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    "options",
    [
        {"n_rows": 0},
        {"n_columns": -1},
        {"n_rows": 2.5},
        {"dtype": "int64"},
        {"dtype": "no type"},
        {"noise": -1.0},
        {"noise": float("nan")},
        {"seed": -1},
        {"seed": 0.5},
    ],
    ids=str,
)
def test_a_bad_argument_is_named(make: Maker, options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        make(**options)


@pytest.mark.parametrize("make", DENSE)
def test_sparsity_is_a_share(make: Maker) -> None:
    with pytest.raises(DataError, match="sparsity"):
        make(10, 2, sparsity=1.5)


@pytest.mark.parametrize("row_length", [0.0, -1.0, 1e9, float("nan")])
def test_row_length_is_positive_and_fits_32_bits(row_length: float) -> None:
    with pytest.raises(DataError, match="row_length"):
        make_sparse_classification(1_000, 10, row_length=row_length)


def test_labels_flip_is_a_share() -> None:
    with pytest.raises(DataError, match="noise"):
        make_classification(10, 2, noise=1.5)
