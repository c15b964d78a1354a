"""Checksums of data: the same however rows are cut and stored, and others for other rows."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from offbeat.data import fingerprint
from offbeat.data.fingerprint import Checksum, combined_checksum, rows_checksum, weighted_sums
from offbeat.data.load import as_dataset


@pytest.mark.parametrize("cut", [0, 1, 7, 999, 1000])
def test_checksums_of_parts_make_that_of_all_bytes(rng: np.random.Generator, cut: int) -> None:
    values = rng.standard_normal(1000)
    whole = f"{zlib.crc32(values.tobytes()):08x}"
    assert combined_checksum([Checksum.of(values)]) == whole
    assert combined_checksum([Checksum.of(values[:cut]), Checksum.of(values[cut:])]) == whole
    assert combined_checksum(Checksum.of(values[i : i + 1]) for i in range(1000)) == whole
    assert combined_checksum([]) == f"{zlib.crc32(b''):08x}"


def test_sums_do_not_depend_on_how_they_are_cut_and_tell_values_apart(rng: np.random.Generator) -> None:
    values = rng.uniform(0.5, 1.5, 1000)
    whole = weighted_sums(values, 0)
    np.testing.assert_allclose(weighted_sums(values[:300], 0) + weighted_sums(values[300:], 300), whole, rtol=1e-13)
    np.testing.assert_allclose(weighted_sums(values * (1.0 + 1e-15), 0), whole, rtol=1e-13)
    for other in (values[::-1], values * 1.001, np.where(np.arange(1000) == 5, 2.0, values)):
        assert np.max(np.abs(weighted_sums(other, 0) / whole - 1.0)) > 1e-6
    assert weighted_sums(values[:0], 0).tolist() == [0.0, 0.0]


def features(X, cuts=(), n_rows=None):
    """Return the checksum of some rows that are cut at some places."""
    bounds = [0, *cuts, X.shape[0]]
    parts = [as_dataset(X[a:b], np.zeros(b - a)).source for a, b in pairwise(bounds)]
    return combined_checksum(rows_checksum(part, a, X.shape[0]) for part, a in zip(parts, bounds, strict=False))


@pytest.mark.parametrize("few", [True, False], ids=["all rows", "a sample"])
def test_rows_have_one_checksum_however_they_are_cut_and_stored(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    if not few:
        monkeypatch.setattr(fingerprint, "MAX_VALUES", 200)
    X = np.where(rng.random((500, 4)) < 0.4, rng.standard_normal((500, 4)), 0.0).astype(np.float32)
    X[0, 0] = 1.0
    rows = sparse.csr_array(X)
    twice = sparse.csr_array((np.repeat(rows.data / 2, 2), np.repeat(rows.indices, 2), 2 * rows.indptr), X.shape)
    whole = features(X)
    for other in (X.astype(np.float64), np.asfortranarray(X), rows, twice):
        assert features(other) == whole
        assert features(other, (1, 77, 78, 300)) == whole
    changed = X.copy()
    changed[0, 0] += 0.5
    for other in (changed, X[:, ::-1], X[::-1], 2.0 * X, X[:, :3], X[1:]):
        assert features(np.ascontiguousarray(other)) != whole


def test_wide_rows_are_looked_at_in_pieces(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X = rng.standard_normal((30, 50))
    whole = features(X)
    monkeypatch.setattr(fingerprint, "MAX_VALUES_AT_ONCE", 120)
    assert features(X) == whole
