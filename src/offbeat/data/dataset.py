"""Data sets: features with targets, weights and offsets. They are cut into shards without copying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import in_memory
from offbeat.data.diagnose import diagnose_non_finite
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.fingerprint import (
    VECTORS,
    Checksum,
    RowsFingerprint,
    data_fingerprint,
    rows_checksum,
    weighted_sums,
)
from offbeat.data.shards import Shard
from offbeat.data.source import CSR, MAX_BLOCK_BYTES, Source
from offbeat.errors import DataError

if TYPE_CHECKING:
    from offbeat.data.tables.encoding import Encoder

Float64s = NDArray[np.float64]
DENSITY_SAMPLE_ROWS = 1000
"""The first rows, from which the number of stored values of sparse data is estimated."""


class Data(Protocol):
    """What a fit asks of its data, be it in this process (`Dataset`) or on a cluster (`placed.PlacedDataset`)."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def n_columns(self) -> int:
        """Number of features."""

    @property
    def sparse(self) -> bool:
        """Whether rows are sparse."""

    @property
    def n_values(self) -> float:
        """Number of values of the features; of sparse rows the stored ones, estimated from the first rows."""

    @property
    def in_memory(self) -> bool:
        """Whether all rows are in memory, so that kernels can read them without copies."""

    @property
    def cluster(self) -> Any:
        """Where the rows are; None if in this process."""

    @property
    def encoder(self) -> Encoder | None:
        """How the columns of a table became features."""

    @property
    def target(self) -> str | None:
        """Name of the target column."""

    @property
    def read_options(self) -> ReadOptions:
        """How the rows were read, where they come from a text file."""

    def shards(self, count: int, cancelled: Callable[[], bool] = ...) -> list[Shard]:
        """Cut the rows into at most ``count`` shards of nearly equal size, by reference."""

    def check_target(self, loss: Any) -> None:
        """Raise `TargetError` unless there is a target, and one that fits the loss."""

    def fault(self, check: Callable[[Float64s], str | None] | None = None) -> str | None:
        """Say what is wrong with the features, or what a check finds in the targets; None when nothing is."""

    def fingerprint(self) -> dict[str, Any]:
        """Return checksums of the data, by which a fit that goes on from a checkpoint knows it."""

    def release(self) -> None:
        """Free what the cluster loaded for this data; nothing is to be done for data of this process."""

    def counts(self, n_classes: int) -> Float64s:
        """Return the weight, or number of rows, of each class, where targets are class numbers."""

    def weighted(self, factors: Float64s | None = None) -> tuple[Self, float]:
        """Return the data with weights of mean 1, and the sum of the weights; ``factors`` multiply those of classes."""

    def against_rest(self, number: int) -> Self:
        """Return the data with targets 1 for one class and 0 for all others."""


@dataclass(frozen=True)
class Dataset:
    """Features and targets in this process, in memory or in files.

    Parameters
    ----------
    source : Source
        The features.
    y : ndarray of float64, shape (n_rows,)
        Targets; length 0 when there are none (prediction).
    weight, offset : ndarray of float64
        Per row, or of length 0: ones and zeros.
    feature_names : list of str, optional
    encoder : Encoder, optional
        How the columns of a table became features.
    target : str, optional
        Name of the target column.
    memory_budget : int, optional
        Bytes that reading a source which is not in memory may hold at once, over all workers.
    read_options : ReadOptions
        How the rows were read, where they come from a text file.

    Examples
    --------
    >>> from offbeat.data.arrays.in_memory import DenseSource
    >>> data = Dataset(DenseSource(np.zeros((5, 2))), np.zeros(5))
    >>> [shard.n_rows for shard in data.shards(2)]
    [2, 3]
    """

    source: Source
    y: Float64s
    weight: Float64s = field(default_factory=lambda: np.empty(0))
    offset: Float64s = field(default_factory=lambda: np.empty(0))
    feature_names: list[str] | None = None
    encoder: Encoder | None = None
    target: str | None = None
    memory_budget: int | None = None
    read_options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.source.shape[0]

    @property
    def n_columns(self) -> int:
        """Number of features."""
        return self.source.shape[1]

    @property
    def sparse(self) -> bool:
        """Whether rows are sparse."""
        return self.source.sparse

    @property
    def n_values(self) -> float:
        """Number of values of the features; of sparse rows the stored ones, estimated from the first rows."""
        n_sampled = min(self.n_rows, DENSITY_SAMPLE_ROWS)
        if not self.sparse or not self.in_memory or not n_sampled:
            return float(self.n_rows * self.n_columns)
        sample = self.source.read(0, n_sampled)
        assert isinstance(sample, CSR)
        return sample.n_stored * self.n_rows / n_sampled

    @property
    def in_memory(self) -> bool:
        """Whether all rows are in memory, so that kernels can read them without copies."""
        return in_memory(self.source)

    @property
    def cluster(self) -> None:
        """None: the rows are in this process."""
        return None

    def check_target(self, loss: Any) -> None:
        """Raise `TargetError` unless there is a target, and one that fits the loss."""
        if self.y.size != self.n_rows:
            raise DataError("no target was given: pass y, or the name of the target column")
        loss.check_target(self.y)

    def fault(self, check: Callable[[Float64s], str | None] | None = None) -> str | None:
        """Say what is wrong with the features, or what a check finds in the targets; None when nothing is."""
        return check(self.y) if check is not None else diagnose_non_finite(self.source, self.feature_names)

    def fingerprint(self) -> dict[str, Any]:
        """Return checksums of the data, by which a fit that goes on from a checkpoint knows it."""
        return data_fingerprint([self.rows_fingerprint(0, self.n_rows)])

    def rows_fingerprint(self, first: int, n_rows: int) -> RowsFingerprint:
        """Return the fingerprint of this data as part of a larger one: its first row is row ``first`` of ``n_rows``."""
        return RowsFingerprint(
            {name: Checksum.of(getattr(self, name)) for name in VECTORS},
            rows_checksum(self.source, first, n_rows),
            weighted_sums(self.weight, first),
        )

    def release(self) -> None:
        """Do nothing: Python frees the data of this process."""

    def counts(self, n_classes: int) -> Float64s:
        """Return the weight, or number of rows, of each class, where targets are class numbers."""
        weight = self.weight if self.weight.size else None
        return np.bincount(self.y.astype(np.intp), weight, n_classes).astype(np.float64)

    def weighted(self, factors: Float64s | None = None) -> tuple[Dataset, float]:
        """Return the data with weights of mean 1, and the sum of the weights; ``factors`` multiply those of classes.

        A common factor of all weights then changes only the strength of those penalties that are relative to the sum of
        the weights. A weight of zero equals leaving out the row, and a whole weight equals repeating it.

        Parameters
        ----------
        factors : ndarray, shape (n_classes,), optional
            What the weights of each class are multiplied by; targets must be class numbers.

        Examples
        --------
        >>> from offbeat.data.arrays.in_memory import DenseSource
        >>> data, total = Dataset(DenseSource(np.zeros((2, 1))), np.zeros(2), np.array([1.0, 3.0])).weighted()
        >>> data.weight, total
        (array([0.5, 1.5]), 4.0)
        """
        weight = self.weight
        if factors is not None:
            each = factors[self.y.astype(np.intp)]
            weight = each * weight if weight.size else each
        if not weight.size:
            return self, float(self.n_rows)
        mean = float(weight.mean())
        return replace(self, weight=weight / mean), mean * self.n_rows

    def against_rest(self, number: int) -> Dataset:
        """Return the data with targets 1 for one class and 0 for all others."""
        return replace(self, y=(self.y == number).astype(np.float64))

    def shards(self, count: int, cancelled: Callable[[], bool] = lambda: False) -> list[Shard]:
        """Cut the rows into at most ``count`` shards of nearly equal size, by reference."""
        count = max(1, min(count, self.n_rows))
        bounds = np.linspace(0, self.n_rows, count + 1).astype(np.int64)
        rows = self.block_rows(count)
        return [self._shard(int(a), int(b), rows, cancelled) for a, b in pairwise(bounds)]

    def _shard(self, a: int, b: int, rows: int, cancelled: Callable[[], bool]) -> Shard:
        def part(values: Float64s) -> Float64s:
            view: Float64s = np.ascontiguousarray(values[a:b], dtype=np.float64).view()
            view.flags.writeable = False
            return view

        return Shard(self.source, a, b, part(self.y), part(self.weight), part(self.offset), rows, cancelled)

    def block_rows(self, n_shards: int) -> int:
        """Return how many rows a shard reads at once: a few megabytes, within the memory budget."""
        per_row = max(1, self.n_columns * self.source.dtype.itemsize)
        budget = (
            MAX_BLOCK_BYTES
            if self.memory_budget is None
            else min(MAX_BLOCK_BYTES, self.memory_budget // (4 * n_shards))
        )
        return int(max(64, min(self.n_rows, budget // per_row)))

    def describe(self) -> dict[str, Any]:
        """Return what a report says about the data."""
        return {
            "rows": self.n_rows,
            "columns": self.n_columns,
            "type": f"{'sparse ' if self.source.sparse else ''}{self.source.dtype}",
            "in memory": self.source.resident,
            "weighted": bool(self.weight.size),
            "offset": bool(self.offset.size),
        }
