"""Rows held out of a fit, to test it on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.in_memory import CSRSource, DenseSource
from offbeat.data.dataset import Dataset
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.source import CSR, Source
from offbeat.errors import DataError, TargetError
from offbeat.models.fitted import Label


@dataclass(frozen=True)
class Split:
    """Training rows and, unless nothing was held out, test rows.

    ``classes`` are the labels behind the class numbers, None without classes.
    """

    train: Dataset
    test: Dataset | None
    classes: tuple[Label, ...] | None
    n_train: int
    n_test: int


def split(dataset: Dataset, fraction: float, seed: int, classes: tuple[Label, ...] | None) -> Split:
    """Hold out a random part of the rows.

    Parameters
    ----------
    dataset : Dataset
    fraction : float
        Of the rows, from 0 to below 1.
    seed : int
    classes : tuple, optional

    Raises
    ------
    DataError, TargetError
        Nothing would be left to train on, or not all classes.
    """
    if not 0.0 <= fraction < 1.0:
        raise DataError(f"the held-out fraction is {fraction}; give a number from 0 to below 1")
    if seed < 0:
        raise DataError(f"the seed is {seed}; it must be at least 0")
    n = dataset.n_rows
    n_test = round(fraction * n)
    if n_test == 0:
        return Split(dataset, None, classes, n, 0)
    if n_test == n:
        raise DataError(f"holding out {fraction:g} of {n:,} rows leaves none to fit: give a smaller --test-fraction")
    held_out = np.zeros(n, dtype=np.bool_)
    held_out[np.random.default_rng(seed).permutation(n)[:n_test]] = True
    if classes is not None:
        counts = np.bincount(dataset.y[~held_out].astype(np.intp), minlength=len(classes))
        if not counts.all():
            raise TargetError(f"all rows of class {classes[int(counts.argmin())]!r} are held out: change --seed")
    train, test = _cut(dataset, held_out)
    return Split(train, test, classes, n - n_test, n_test)


def _cut(dataset: Dataset, held_out: NDArray[np.bool_]) -> tuple[Dataset, Dataset]:
    """Return training and test rows: copies where the memory budget allows, else the same rows weighted with zeros.

    Weights of zero leave the objective as if the rows were not there, but each pass still reads them.
    """
    size = _bytes(dataset.source)
    if size is not None and 2 * size <= (dataset.memory_budget or 2 * size):
        message = diagnose_non_finite(dataset.source, dataset.feature_names)  # later, row numbers would be others
        if message:
            raise DataError(message)
        return _rows(dataset, np.flatnonzero(~held_out)), _rows(dataset, np.flatnonzero(held_out))
    weight = dataset.weight if dataset.weight.size else np.ones(dataset.n_rows)
    train = np.where(held_out, 0.0, weight * (len(held_out) / np.count_nonzero(~held_out)))
    return replace(dataset, weight=train), replace(dataset, weight=np.where(held_out, weight, 0.0))


def _bytes(source: Source) -> int | None:
    """Return the memory that rows can be copied from; None where there is none."""
    if isinstance(source, DenseSource):
        return source.array.nbytes
    return sum(part.nbytes for part in source.matrix) if isinstance(source, CSRSource) else None


def _rows(dataset: Dataset, rows: NDArray[np.intp]) -> Dataset:
    def part(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[rows] if values.size else values

    source = _source_rows(dataset.source, rows)
    return replace(dataset, source=source, y=part(dataset.y), weight=part(dataset.weight), offset=part(dataset.offset))


def _source_rows(source: Source, rows: NDArray[np.intp]) -> Source:
    if isinstance(source, DenseSource):
        return DenseSource(source.array[rows])
    from scipy import sparse

    assert isinstance(source, CSRSource)  # nothing else has bytes
    whole = source.matrix
    matrix = sparse.csr_array((whole.data, whole.indices, whole.indptr), shape=source.shape)[rows]
    return CSRSource(CSR(matrix.indptr, matrix.indices, matrix.data), source.n_columns)
