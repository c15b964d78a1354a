"""One-hot matrices against a plain loop, dense and sparse alike."""

from __future__ import annotations

import numpy as np
import pytest

from offbeat.datasets.columns import category, dense, feature_names, labelled, sparse

FLOAT32 = np.dtype(np.float32)


def test_levels_are_sorted_and_named() -> None:
    column = category("carrier", np.array(["UA", "AA", "UA"], dtype=object))
    assert column.levels == ("AA", "UA")
    np.testing.assert_array_equal(column.codes, [1, 0, 1])
    numbers = {"hour": np.array([5, 0, 7])}
    assert feature_names(numbers, [column]) == ("hour", "carrier=AA", "carrier=UA")


def test_dense_has_one_column_a_level() -> None:
    X = dense({"hour": np.array([5, 0, 7])}, [labelled("day", [2, 0, 1], ["a", "b", "c"])], FLOAT32)
    np.testing.assert_array_equal(X, [[5, 0, 0, 1], [0, 1, 0, 0], [7, 0, 1, 0]])
    assert X.dtype == np.float32
    assert X.flags.c_contiguous


@pytest.mark.parametrize("with_numbers", [True, False])
def test_sparse_is_dense_without_the_zeros(rng: np.random.Generator, with_numbers: bool) -> None:
    numbers = {"a": rng.integers(0, 2, 30) * 1.5, "b": rng.normal(size=30)} if with_numbers else {}
    categories = [category(name, rng.integers(0, 4, 30)) for name in ("c", "d")]
    X = sparse(numbers, categories, FLOAT32)
    np.testing.assert_array_equal(X.toarray(), dense(numbers, categories, FLOAT32))
    assert X.dtype == np.float32
    assert X.has_sorted_indices
    assert X.indices.dtype == X.indptr.dtype == np.int32
    assert (X.data != 0).all()
