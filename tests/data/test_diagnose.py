"""Which columns spoil a fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from offbeat.data.arrays.in_memory import array_source, sparse_source
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.source import Source


def sources(X: np.ndarray) -> list[Source]:
    entries = sparse.coo_array(X)
    return [array_source(X), array_source(np.asfortranarray(X)), sparse_source(sparse.csr_array(entries))]


def test_nothing_to_find(rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 3))
    X[3] = 1e308  # adds up to infinity
    assert [diagnose_non_finite(source) for source in sources(X)] == [None] * 3


@pytest.mark.parametrize("block", [1, 100, 1 << 23])
def test_counts_and_names(rng: np.random.Generator, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offbeat.data.source.MAX_BLOCK_BYTES", block)
    X = rng.normal(size=(40, 4))
    X[[7, 9, 30], 1] = np.nan
    X[[20, 21], 3] = [np.inf, -np.inf]
    X[5, 3] = np.nan
    for source in sources(X):
        message = diagnose_non_finite(source, ["a", "b", "c", "d"])
        assert message is not None and message.startswith("Input X contains NaN: ")
        assert "column 'b' (3 NaN), column 'd' (1 NaN, 2 infinite); the first is in row 5" in message
        assert "'a'" not in message and "'c'" not in message


def test_infinity_alone() -> None:
    message = diagnose_non_finite(array_source(np.array([[1, np.inf]], np.float32)))
    assert message is not None and message.startswith(
        "Input X contains infinity or a value too large for dtype('float32'): column 1 (1 infinite)"
    )


def test_only_five_columns_are_named() -> None:
    message = diagnose_non_finite(array_source(np.full((2, 8), np.nan)))
    assert message is not None and message.count("column ") == 5 and "and 3 more columns" in message
