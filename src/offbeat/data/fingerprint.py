"""Fingerprints of data: checksums that do not depend on how the rows are cut or stored."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import CSR, Source

VECTORS = {"y": "targets", "weight": "weights", "offset": "offsets"}
"""Vectors of a data set, by the name of the attribute, and what messages call them."""
FEATURES, WEIGHT_SUMS = "features", "sums of weights"
"""Keys of a fingerprint: checksum of a sample of rows; sums of weights, which may differ by rounding."""
MAX_VALUES = 1 << 22
"""Values of the features that are read. Of larger data, `N_RUNS` runs of rows are read, evenly spread."""
N_RUNS, MIN_RUN_ROWS, MAX_RUN_ROWS = 16, 4, 64
MAX_VALUES_AT_ONCE = 1 << 20
CRC_POLYNOMIAL = 0xEDB88320
"""Of CRC-32, with the coefficient of x^31 in the lowest bit."""
CRC_ONE = 1 << 31
"""The polynomial 1 in the same order of bits."""
MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
"""Times a row's place, they give the factors of `weighted_sums`."""


class Checksum(NamedTuple):
    """CRC-32 of some bytes, and their number.

    Examples
    --------
    >>> Checksum.of(np.zeros(2)).size
    16
    """

    crc: int
    size: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Checksum:
        """Return the checksum of an array."""
        return cls(zlib.crc32(np.ascontiguousarray(values).view(np.uint8).data), values.nbytes)


class RowsFingerprint(NamedTuple):
    """What a fingerprint needs to know of some rows.

    Parameters
    ----------
    vectors : dict
        Checksums of targets, weights and offsets, by the names in `VECTORS`.
    features : Checksum
        Of the sampled rows among these.
    weights : ndarray of float64
        See `weighted_sums`.
    """

    vectors: dict[str, Checksum]
    features: Checksum
    weights: NDArray[np.float64]


def data_fingerprint(parts: Sequence[RowsFingerprint]) -> dict[str, Any]:
    """Return the fingerprint of a data set from those of its parts: the same, however the rows are cut.

    Parameters
    ----------
    parts : sequence of RowsFingerprint
        In the order of the rows.

    Returns
    -------
    fingerprint : dict
        Checksums of targets, weights and offsets by the names in `VECTORS`, and those of `FEATURES` and `WEIGHT_SUMS`.
    """
    found: dict[str, Any] = {name: combined_checksum(part.vectors[name] for part in parts) for name in VECTORS}
    found[WEIGHT_SUMS] = [float(total) for total in np.sum([part.weights for part in parts], axis=0)]
    return found | {FEATURES: combined_checksum(part.features for part in parts)}


def combined_checksum(checksums: Iterable[Checksum]) -> str:
    """Return the checksum of all bytes, one after the other, as text.

    To append n bytes, the checksum of those before is multiplied by ``x^(8 n)``, modulo the polynomial of CRC-32.

    Examples
    --------
    >>> parts = [Checksum(zlib.crc32(b"ab"), 2), Checksum(zlib.crc32(b"c"), 1)]
    >>> combined_checksum(parts) == f"{zlib.crc32(b'abc'):08x}"
    True
    """
    crc = 0
    for each in checksums:
        crc = _times(crc, _power(8 * each.size)) ^ each.crc
    return f"{crc:08x}"


def _times(a: int, b: int) -> int:
    """Return the product of two remainders."""
    product = 0
    while b:
        if b & CRC_ONE:
            product ^= a
        b = (b << 1) & 0xFFFFFFFF
        a = (a >> 1) ^ (CRC_POLYNOMIAL if a & 1 else 0)  # times x
    return product


def _power(exponent: int) -> int:
    """Return the remainder of a power of x."""
    power, square = CRC_ONE, CRC_ONE >> 1
    while exponent:
        if exponent & 1:
            power = _times(power, square)
        square = _times(square, square)
        exponent >>= 1
    return power


def weighted_sums(values: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """Return sums of values, each multiplied by factors in [0, 1) that depend on its place among all rows.

    They compare values that are equal up to rounding, such as weights divided by their mean. The sums of parts add up
    to those of the whole.

    Parameters
    ----------
    values : ndarray
    first : int
        Place of the first value among all rows.

    Returns
    -------
    sums : ndarray of float64, shape (2,)

    Examples
    --------
    >>> values = np.ones(4)
    >>> np.allclose(weighted_sums(values, 0), weighted_sums(values[:1], 0) + weighted_sums(values[1:], 1))
    True
    """
    place = np.arange(first, first + values.size, dtype=np.uint64) + np.uint64(1)
    factors = [(place * np.uint64(multiplier) >> np.uint64(40)) / 2.0**24 for multiplier in MULTIPLIERS]
    return np.array([values @ factor for factor in factors]) if values.size else np.zeros(len(MULTIPLIERS))


def rows_checksum(source: Source, first: int, n_rows: int) -> Checksum:
    """Return the checksum of a sample of rows: the same for all ways to cut the data into sources.

    Parameters
    ----------
    source : Source
    first : int
        Place of its first row among all rows.
    n_rows : int
        Number of rows of the whole data.

    Returns
    -------
    checksum : Checksum
        Of the sampled rows that are in this source.

    Examples
    --------
    >>> from offbeat.data.arrays.in_memory import DenseSource
    >>> X = np.arange(6.0).reshape(3, 2)
    >>> parts = [rows_checksum(DenseSource(X[:1]), 0, 3), rows_checksum(DenseSource(X[1:]), 1, 3)]
    >>> combined_checksum(parts) == combined_checksum([rows_checksum(DenseSource(X), 0, 3)])
    True
    """
    found, k = [Checksum(0, 0)], source.shape[1]
    step = max(1, min(MAX_RUN_ROWS, MAX_VALUES_AT_ONCE // max(k, 1)))
    for start, stop in _sample(n_rows, k):
        last = min(stop - first, source.shape[0])
        for a in range(max(start - first, 0), last, step):
            b = min(a + step, last)
            found.append(Checksum.of(_entries(source.read(a, b), b - a)))
    return Checksum(int(combined_checksum(found), 16), sum(each.size for each in found))


def _sample(n_rows: int, n_columns: int) -> list[tuple[int, int]]:
    """Return which rows of the whole data are read, as ranges (start, stop)."""
    if n_rows * n_columns <= MAX_VALUES:
        return [(0, n_rows)]
    run = min(max(MIN_RUN_ROWS, min(MAX_RUN_ROWS, MAX_VALUES // (N_RUNS * n_columns))), n_rows)
    starts = np.linspace(0, n_rows - run, N_RUNS).astype(np.int64)
    return [(int(start), int(start) + run) for start in np.unique(starts)]


def _entries(block: NDArray[np.floating] | CSR, n_rows: int) -> NDArray[np.float64]:
    """Return what is not zero as pairs (column, value), row by row; each row starts with (-1, its number of values)."""
    from scipy.sparse import coo_array, csr_array

    if isinstance(block, CSR):
        a, b = int(block.indptr[0]), int(block.indptr[-1])
        width = int(block.indices[a:b].max(initial=-1)) + 1
        values = block.data[a:b].astype(np.float64)
        rows = csr_array((values, block.indices[a:b], block.indptr - a), shape=(n_rows, width))
        rows.sum_duplicates()
        found = coo_array(rows)
        kept = found.data != 0.0
        row, column, value = found.coords[0][kept], found.coords[1][kept], found.data[kept]
    else:
        row, column = np.nonzero(block)
        value = block[row, column].astype(np.float64)
    counts = np.bincount(row, minlength=n_rows)
    pairs = np.empty((row.size + n_rows, 2))
    heads = np.arange(n_rows) + np.concatenate([[0], np.cumsum(counts)[:-1]])
    pairs[heads, 0], pairs[heads, 1] = -1.0, counts
    body = np.ones(len(pairs), dtype=bool)
    body[heads] = False
    pairs[body, 0], pairs[body, 1] = column, value
    return pairs
