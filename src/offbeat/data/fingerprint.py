"""What tells data from other data: checksums that do not depend on how the rows are cut or stored."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offbeat.data.source import CSR, Source

VALUES = 1 << 22  # with no more, all rows count; of more, RUNS runs of rows, evenly spread, with about so many values
RUNS, SHORTEST, LONGEST = 16, 4, 64
AT_ONCE = 1 << 20  # values that are looked at at once
POLYNOMIAL = 0xEDB88320  # of CRC-32, the coefficient of x^31 in the lowest bit
ONE = 1 << 31
STRIDES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # of the multipliers of `sums`


class Checksum(NamedTuple):
    """CRC-32 of some bytes, and how many these are."""

    crc: int
    size: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Checksum:
        """Return the checksum of an array."""
        return cls(zlib.crc32(np.ascontiguousarray(values).view(np.uint8).data), values.nbytes)


def joined(checksums: Iterable[Checksum]) -> str:
    """Return the checksum of all bytes, one after the other, as text.

    Behind a number of bytes, a checksum is multiplied by a power of x in the field of remainders modulo the polynomial.

    Examples
    --------
    >>> joined([Checksum(zlib.crc32(b"ab"), 2), Checksum(zlib.crc32(b"c"), 1)]) == f"{zlib.crc32(b'abc'):08x}"
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
        if b & ONE:
            product ^= a
        b = (b << 1) & 0xFFFFFFFF
        a = (a >> 1) ^ (POLYNOMIAL if a & 1 else 0)  # times x
    return product


def _power(exponent: int) -> int:
    """Return the remainder of a power of x."""
    power, square = ONE, ONE >> 1
    while exponent:
        if exponent & 1:
            power = _times(power, square)
        square = _times(square, square)
        exponent >>= 1
    return power


def sums(values: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """Return sums of values, each times numbers in [0, 1) that its place among all rows decides.

    For values that are the same up to rounding, as weights divided by their mean: sums of parts add up to those of all.

    Parameters
    ----------
    values : ndarray
    first : int
        Place of the first among all rows.
    """
    place = np.arange(first, first + values.size, dtype=np.uint64) + np.uint64(1)
    factors = [(place * np.uint64(stride) >> np.uint64(40)) / 2.0**24 for stride in STRIDES]
    return np.array([values @ factor for factor in factors]) if values.size else np.zeros(len(STRIDES))


def rows_checksum(source: Source, first: int, n_rows: int) -> Checksum:
    """Return the checksum of a sample of rows, which is the same for all ways to cut all rows into sources.

    Parameters
    ----------
    source : Source
    first : int
        Place of its first row among all rows.
    n_rows : int
        Number of all rows.
    """
    found, k = [Checksum(0, 0)], source.shape[1]
    step = max(1, min(LONGEST, AT_ONCE // max(k, 1)))
    for start, stop in _sample(n_rows, k):
        last = min(stop - first, source.shape[0])
        for a in range(max(start - first, 0), last, step):
            b = min(a + step, last)
            found.append(Checksum.of(_entries(source.read(a, b), b - a)))
    return Checksum(int(joined(found), 16), sum(each.size for each in found))


def _sample(n_rows: int, n_columns: int) -> list[tuple[int, int]]:
    if n_rows * n_columns <= VALUES:
        return [(0, n_rows)]
    run = min(max(SHORTEST, min(LONGEST, VALUES // (RUNS * n_columns))), n_rows)
    starts = np.linspace(0, n_rows - run, RUNS).astype(np.int64)
    return [(int(start), int(start) + run) for start in np.unique(starts)]


def _entries(block: NDArray[np.floating] | CSR, n_rows: int) -> NDArray[np.float64]:
    """Return pairs of column and value of what is not zero, row by row; before each row its number of values."""
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
