"""A data set in partitions on a cluster. What a fit asks of it is computed where the partitions are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Float64s
from offbeat.data.files.read_options import ReadOptions
from offbeat.data.fingerprint import RowsFingerprint, data_fingerprint
from offbeat.data.placed.partitions import (
    DataPartition,
    LabelEncoding,
    PartitionInfo,
    Preprocessing,
    first_rows,
    inspect_partition,
    naming_partition,
)
from offbeat.data.shards import Shard
from offbeat.errors import DataError, TargetError

if TYPE_CHECKING:
    from offbeat.data.tables.encoding import Encoder

T = TypeVar("T")


class Cluster(Protocol):
    """Holds partitions, and runs functions where they are.

    A fit has handles of the partitions, such as futures: objects that only the cluster can read.
    """

    def each(self, function: Callable[[DataPartition], T], partitions: Sequence[Any]) -> list[T]:
        """Return the results of a function of each partition, in order; raise the first error that one raises."""

    def shards(
        self, preprocessing: Preprocessing, partitions: Sequence[Any], infos: Sequence[PartitionInfo], count: int
    ) -> list[Shard]:
        """Return partitions as at most ``count`` shards, or handles of shards that know their number of rows."""

    def release(self, partitions: Sequence[Any]) -> None:
        """Free the memory of partitions on all workers."""

    def engine(self) -> Any:
        """Return the engine to use when none was asked for."""


@dataclass(frozen=True)
class PlacedDataset:
    """Features and targets in partitions on a cluster.

    Parameters
    ----------
    cluster : Cluster
    partitions : tuple
        Handles of the `DataPartition` objects that have rows.
    infos : tuple of PartitionInfo
        One for each partition.
    preprocessing : Preprocessing
        How partitions become shards.
    has_target, has_weight : bool
        Whether partitions have targets and weights.
    """

    cluster: Cluster
    partitions: tuple[Any, ...]
    infos: tuple[PartitionInfo, ...]
    preprocessing: Preprocessing
    has_target: bool = True
    has_weight: bool = False

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(info.n_rows for info in self.infos)

    @property
    def n_columns(self) -> int:
        """Number of features."""
        encoder = self.preprocessing.encoder
        return self.infos[0].n_columns if encoder is None else len(encoder.feature_names)

    @property
    def sparse(self) -> bool:
        """Whether rows are sparse."""
        encoder = self.preprocessing.encoder
        return self.preprocessing.sparse if encoder is None else encoder.sparse

    @property
    def n_values(self) -> float:
        """Number of values of the features; zeros of sparse rows count."""
        return float(self.n_rows * self.n_columns)

    @property
    def in_memory(self) -> bool:
        """Whether all rows are in memory: that of the cluster."""
        return True

    @property
    def encoder(self) -> Encoder | None:
        """How the columns of a table became features."""
        return self.preprocessing.encoder

    @property
    def target(self) -> str | None:
        """Name of the target column."""
        return self.preprocessing.target

    @property
    def read_options(self) -> ReadOptions:
        """The defaults: a cluster reads no text files."""
        return ReadOptions()

    @property
    def classes(self) -> NDArray[Any] | None:
        """Labels of the targets, sorted."""
        return self.preprocessing.classes

    def shards(self, count: int, cancelled: Callable[[], bool] = lambda: False) -> list[Shard]:
        """Return the partitions as at most ``count`` shards, each on the worker that has most of its partitions."""
        return self.cluster.shards(self.preprocessing, self.partitions, self.infos, count)

    def check_target(self, loss: Any) -> None:
        """Raise `TargetError` unless there is a target, and one that fits the loss."""
        if not self.has_target:
            raise DataError("no target was given: pass y, or the name of the target column")
        if self.preprocessing.labels is None:  # with it, targets are class numbers
            self.cluster.each(partial(_check_target, self.preprocessing, loss), self.partitions)

    def fault(self, check: Callable[[Float64s], str | None] | None = None) -> str | None:
        """Say what is wrong with the features, or what a check finds in the targets; None when nothing is."""
        found = self.cluster.each(partial(_fault, self.preprocessing, check), self.partitions)
        return next((message for message in found if message), None)

    def fingerprint(self) -> dict[str, Any]:
        """Return checksums of the data, by which a fit that goes on from a checkpoint knows it."""
        first = {p.number: start for p, start in zip(self.partitions, first_rows(self.infos), strict=True)}
        of_partition = partial(_fingerprint, self.preprocessing, first, self.n_rows)
        return data_fingerprint(self.cluster.each(of_partition, self.partitions))

    def release(self) -> None:
        """Free what the cluster loaded for this data."""
        self.cluster.release(self.partitions)

    def counts(self, n_classes: int) -> Float64s:
        """Return the weight, or number of rows, of each class."""
        counts = np.zeros(n_classes)
        for info in self.infos:
            if info.classes is not None and info.counts is not None and self.preprocessing.classes is not None:
                counts[np.searchsorted(self.preprocessing.classes, info.classes)] += info.counts
        return counts

    def weighted(self, factors: Float64s | None = None) -> tuple[PlacedDataset, float]:
        """Return the data set with weights of mean 1, and the sum of the weights; ``factors`` multiply by class."""
        if factors is None and not self.has_weight:
            return self, float(self.n_rows)
        counts = (
            np.array([info.weight for info in self.infos]) if factors is None else factors * self.counts(len(factors))
        )
        total = float(counts.sum())
        if not total > 0.0:
            raise DataError("sample_weight is zero in every row: there is nothing to fit.")
        preprocessing = replace(self.preprocessing, factors=factors, scale=total / self.n_rows)
        return replace(self, preprocessing=preprocessing, has_weight=True), total

    def against_rest(self, number: int) -> PlacedDataset:
        """Return the data set with targets 1 for one class and 0 for all others."""
        return replace(self, preprocessing=replace(self.preprocessing, positive_class=number))


def placed_dataset(
    cluster: Cluster,
    partitions: Sequence[Any],
    *,
    labels: LabelEncoding | None = None,
    target: str | None = None,
    has_target: bool = True,
    has_weight: bool = False,
) -> PlacedDataset:
    """Inspect all partitions, and return them as one data set.

    Parameters
    ----------
    cluster : Cluster
    partitions : sequence
        Handles of `DataPartition` objects.
    labels : callable, optional
        Turns targets into class numbers: see `offbeat.data.placed.partitions.LabelEncoding`.
    target : str, optional
        Name of the target column.
    has_target, has_weight : bool
        Whether partitions have targets and weights.

    Returns
    -------
    dataset : PlacedDataset

    Raises
    ------
    OffbeatError
        A partition cannot be used, or partitions do not fit together: names the partition.
    """
    infos = cluster.each(partial(inspect_partition, labels), partitions)
    kept = [i for i, info in enumerate(infos) if info.n_rows]
    if not kept:
        raise DataError(f"Found array with 0 sample(s): all {len(infos)} partitions are empty.")
    _check_same_columns(kept, infos)
    if has_weight and not any(infos[i].weight for i in kept):
        raise DataError("sample_weight is zero in every row: there is nothing to fit.")
    encoder = _encoder(kept, infos)
    classes = None if labels is None else _all_classes([(infos[i].number, infos[i].classes) for i in kept])
    sparse, wide = any(infos[i].sparse for i in kept), np.result_type(*(infos[i].dtype for i in kept))
    preprocessing = Preprocessing(encoder, labels, classes, target=target, dtype=str(wide), sparse=sparse)
    chosen = tuple(partitions[i] for i in kept), tuple(infos[i] for i in kept)
    return PlacedDataset(cluster, *chosen, preprocessing, has_target, has_weight)


def _check_same_columns(kept: list[int], infos: Sequence[PartitionInfo]) -> None:
    first = infos[kept[0]]
    for i in kept:
        info = infos[i]
        if (info.scan is None) != (first.scan is None):
            one, other = ("a matrix" if each.scan is None else "a table" for each in (info, first))
            raise DataError(
                f"partition {info.number} is {one}, partition {first.number} is {other}: give all the same kind"
            )
        if info.n_columns != first.n_columns:
            raise DataError(
                f"partition {info.number} has {info.n_columns} columns, partition {first.number} has "
                f"{first.n_columns}: all must have the same"
            )


def _encoder(kept: list[int], infos: Sequence[PartitionInfo]) -> Encoder | None:
    """Return the encoder of tables, with the levels of all partitions; None for matrices."""
    scan = infos[kept[0]].scan
    if scan is None:
        return None
    from offbeat.data.tables.encoding import Encoder

    for i in kept[1:]:
        other = infos[i].scan
        assert other is not None
        with naming_partition(infos[i].number):
            scan.merge(other)
    dtype = str(np.result_type(*(infos[i].dtype for i in kept)))
    return Encoder.from_scan(scan.columns(sum(infos[i].n_rows for i in kept)), dtype)


def _all_classes(each: list[tuple[int | str, NDArray[Any] | None]]) -> NDArray[Any]:
    """Return the classes of all partitions, sorted."""
    first, classes = each[0]
    assert classes is not None
    for i, other in each:
        assert other is not None
        if (other.dtype.kind in "OUS") != (classes.dtype.kind in "OUS"):
            raise TargetError(
                f"partition {i} has labels of type {other.dtype}, partition {first} of type {classes.dtype}: give all "
                "labels the same type"
            )
    return np.unique(np.concatenate([found for _, found in each if found is not None]))


def _check_target(preprocessing: Preprocessing, loss: Any, partition: DataPartition) -> None:
    y = preprocessing.targets(partition)
    with naming_partition(partition.number):
        loss.check_target(y)


def _fault(
    preprocessing: Preprocessing, check: Callable[[Float64s], str | None] | None, partition: DataPartition
) -> str | None:
    message = preprocessing.dataset(partition).fault() if check is None else check(preprocessing.targets(partition))
    return f"partition {partition.number}: {message}" if message else None


def _fingerprint(
    preprocessing: Preprocessing, first: dict[int | str, int], n_rows: int, partition: DataPartition
) -> RowsFingerprint:
    return preprocessing.dataset(partition).rows_fingerprint(first[partition.number], n_rows)
