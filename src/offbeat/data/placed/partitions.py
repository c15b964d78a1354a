"""Partitions of a data set on a cluster, and what workers do with them.

Each partition is checked and encoded by the code for data of one process, so that every check and error is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import converted, stacked
from offbeat.data.arrays.vectors import partition_weight_vector, target_vector
from offbeat.data.dataset import Dataset, Float64s
from offbeat.data.fingerprint import VECTORS
from offbeat.data.load import as_dataset, role_values, target_values
from offbeat.data.opening import Opened, open_data
from offbeat.data.shards import Shard
from offbeat.errors import DataError, OffbeatError, TargetError

if TYPE_CHECKING:
    from offbeat.data.tables.columns import LevelScan
    from offbeat.data.tables.encoding import Encoder

LabelEncoding: TypeAlias = Callable[[Any], tuple[NDArray[Any], Float64s]]
"""Takes labels; returns their classes, sorted, and the number of the class of each label."""


class DataPartition(NamedTuple):
    """Rows as they are on the cluster.

    Parameters
    ----------
    number : int or str
        Names the partition in errors.
    X : array-like, sparse matrix or table
    y, weight, offset : array-like or str, optional
        Values, or the name of a column of the table.
    """

    number: int | str
    X: Any
    y: Any = None
    weight: Any = None
    offset: Any = None


class PartitionInfo(NamedTuple):
    """What the coordinator knows of a partition.

    Parameters
    ----------
    n_rows, n_columns : int
        ``n_columns`` is 0 for a table.
    sparse : bool
        Whether the rows of a matrix are sparse.
    weight : float
        Sum of the weights, or the number of rows where there are none.
    classes : ndarray, optional
        Labels of the targets, sorted.
    counts : ndarray, shape (n_classes,), optional
        Sum of the weights, or number of rows, of each class.
    scan : LevelScan, optional
        Of a table: its columns, with the levels that appear.
    dtype : str
        Type of the features.
    number : int or str
        That of the partition.
    """

    n_rows: int
    n_columns: int = 0
    sparse: bool = False
    weight: float = 0.0
    classes: NDArray[Any] | None = None
    counts: Float64s | None = None
    scan: LevelScan | None = None
    dtype: str = ""
    number: int | str = 0


def first_rows(infos: Sequence[PartitionInfo]) -> list[int]:
    """Return where the rows of each partition start among all rows.

    Examples
    --------
    >>> first_rows([PartitionInfo(10), PartitionInfo(5)])
    [0, 10]
    """
    return [0, *accumulate(info.n_rows for info in infos[:-1])]


def row_spans(infos: Sequence[PartitionInfo], partitions: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return which rows of the whole data some partitions hold, as ranges (first, last + 1); neighbours are merged.

    Examples
    --------
    >>> infos = [PartitionInfo(10), PartitionInfo(5), PartitionInfo(5)]
    >>> row_spans(infos, [0, 2]), row_spans(infos, [1, 2])
    (((0, 10), (15, 20)), ((10, 20),))
    """
    first, spans = first_rows(infos), list[tuple[int, int]]()
    for i in partitions:
        start, stop = first[i], first[i] + infos[i].n_rows
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, stop))
    return tuple(spans)


def row_count(values: Any) -> int:
    """Return the number of rows of an array, matrix, table or list.

    Raises
    ------
    DataError
        It has none.

    Examples
    --------
    >>> row_count(np.zeros((3, 2))), row_count([[1.0]])
    (3, 1)
    """
    shape = getattr(values, "shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[0])
    try:
        return len(values)
    except TypeError:
        raise DataError(f"expected rows, got {type(values).__name__}: {values!r:.80}") from None


@contextmanager
def naming_partition(number: int | str) -> Iterator[None]:
    """Put the partition's number before the message of an error.

    Examples
    --------
    >>> with naming_partition(3):
    ...     raise DataError("NaN")
    Traceback (most recent call last):
        ...
    offbeat.errors.DataError: partition 3: NaN
    """
    try:
        yield
    except OffbeatError as error:
        kind: type[OffbeatError] = TargetError if isinstance(error, TargetError) else DataError
        raise kind(f"partition {number}: {error}") from None


def inspect_partition(labels: LabelEncoding | None, partition: DataPartition) -> PartitionInfo:
    """Return the shape and type of a partition, with ``labels`` its classes, and the columns if it is a table.

    Parameters
    ----------
    labels : callable or None
        See `LabelEncoding`.
    partition : DataPartition

    Raises
    ------
    OffbeatError
        It cannot be used: names the partition.

    Examples
    --------
    >>> info = inspect_partition(None, DataPartition(0, np.zeros((3, 2))))
    >>> info.n_rows, info.n_columns, info.dtype
    (3, 2, 'float64')
    """
    with naming_partition(partition.number):
        n_rows = row_count(partition.X)
        if n_rows == 0:
            return PartitionInfo(0, number=partition.number)
        opened = open_data(partition.X)
        weight = partition_weights(partition, opened)
        total = float(weight.sum()) if weight.size else float(n_rows)
        info = PartitionInfo(n_rows, weight=total, number=partition.number)
        if labels is not None:
            classes, codes = labels(target_values(opened, partition.y))
            counts = np.bincount(codes.astype(np.intp), weight if weight.size else None, len(classes))
            info = info._replace(classes=classes, counts=counts.astype(np.float64))
        if opened.table is not None:
            return info._replace(scan=_scan(opened.table, partition), dtype=_dtype(opened.table, partition))
        assert opened.source is not None
        source = opened.source
        return info._replace(n_columns=source.shape[1], sparse=source.sparse, dtype=str(source.dtype))


def _roles(partition: DataPartition) -> list[str]:
    return [role for role in partition[2:] if isinstance(role, str)]


def partition_weights(partition: DataPartition, opened: Opened) -> Float64s:
    """Return the weights of a partition, which may all be zero; of length 0 where there are none."""
    return partition_weight_vector(role_values(opened, partition.weight, "sample_weight"), opened.n_rows)


def _scan(table: Any, partition: DataPartition) -> LevelScan:
    from offbeat.data.tables.table import feature_columns, scan_levels

    return scan_levels(table, feature_columns(table, _roles(partition)))


def _dtype(table: Any, partition: DataPartition) -> str:
    from offbeat.data.tables.encoding import matrix_dtype
    from offbeat.data.tables.table import feature_columns

    return matrix_dtype(table.schema.field(name) for name in feature_columns(table, _roles(partition)))


@dataclass(frozen=True)
class Preprocessing:
    """How partitions become data sets and shards, alike on all workers.

    Parameters
    ----------
    encoder : Encoder, optional
        Of tables.
    labels : callable, optional
        Encodes labels; with it, targets become class numbers.
    classes : ndarray, optional
        All labels of the data, sorted. A label's place among them is its class number.
    factors : ndarray, shape (n_classes,), optional
        What weights of rows are multiplied by, for each class.
    scale : float
        What weights are divided by.
    target : str, optional
        Name of the target column.
    positive_class : int, optional
        Class whose targets become 1; those of all others become 0.
    dtype : str
        Type that matrices are converted to.
    sparse : bool
        Whether matrices become sparse.

    Examples
    --------
    >>> partitions = [DataPartition(i, np.full((2, 1), i), np.zeros(2)) for i in range(2)]
    >>> Preprocessing().shard(partitions).n_rows
    4
    """

    encoder: Encoder | None = None
    labels: LabelEncoding | None = None
    classes: NDArray[Any] | None = None
    factors: Float64s | None = None
    scale: float = 1.0
    target: str | None = None
    positive_class: int | None = None
    dtype: str = "float64"
    sparse: bool = False

    def targets(self, partition: DataPartition) -> Float64s:
        """Return the targets of a partition as numbers; the features are not encoded.

        Raises
        ------
        OffbeatError
            They cannot be used: names the partition.
        """
        with naming_partition(partition.number):
            opened = open_data(partition.X)
            values = target_values(opened, partition.y)
            if self.labels is None or self.classes is None:
                return target_vector(values, opened.n_rows)
            classes, codes = self.labels(values)
            return np.searchsorted(self.classes, classes)[codes.astype(np.intp)].astype(np.float64)

    def dataset(self, partition: DataPartition) -> Dataset:
        """Return a partition as a data set of its own, encoded as all partitions are.

        Raises
        ------
        OffbeatError
            It cannot be used: names the partition.
        """
        y = self.targets(partition) if self.labels is not None else partition.y
        with naming_partition(partition.number):
            opened = open_data(partition.X)
            dataset = as_dataset(opened, y, offset=partition.offset, encoder=self.encoder, target=self.target)
            if self.encoder is None:
                dataset = replace(dataset, source=converted(dataset.source, np.dtype(self.dtype), self.sparse))
            weight = partition_weights(partition, opened)
            if self.factors is not None:
                factors = self.factors[dataset.y.astype(np.intp)]
                weight = factors * weight if weight.size else factors
            dataset = replace(dataset, weight=weight / self.scale if weight.size else weight)
            return dataset if self.positive_class is None else dataset.against_rest(self.positive_class)

    def concatenated(self, partitions: Sequence[DataPartition]) -> Dataset:
        """Return partitions as one data set, one below the other: features are not copied, targets are."""
        each = [self.dataset(partition) for partition in partitions]
        if len(each) == 1:
            return each[0]
        y, weight, offset = (np.concatenate([getattr(one, name) for one in each]) for name in VECTORS)
        source = stacked([one.source for one in each], [f"Partition {partition.number}" for partition in partitions])
        return replace(each[0], source=source, y=y, weight=weight, offset=offset)

    def shard(self, partitions: Sequence[DataPartition]) -> Shard:
        """Return partitions as one shard; see `concatenated`."""
        return self.concatenated(partitions).shards(1)[0]
