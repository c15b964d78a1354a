"""A data set that lies on a cluster, in parts; what a fit asks of it is asked where the parts are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from offbeat.data.dataset import Float64s, Traits, facts_of_parts
from offbeat.data.files.reading import Reading
from offbeat.data.placed.parts import Facts, Labels, Part, Recipe, blaming, dataset_of, first_rows, survey, targets_of
from offbeat.data.shards import Shard
from offbeat.errors import DataError, TargetError

if TYPE_CHECKING:
    from offbeat.data.tables.encoding import Encoder

T = TypeVar("T")


class Cluster(Protocol):
    """Holds parts, and runs functions where they are."""

    def each(self, function: Callable[[Part], T], parts: Sequence[Any]) -> list[T]:
        """Return a function of each part, in order; the first error that a part raises is raised."""

    def shards(self, recipe: Recipe, parts: Sequence[Any], facts: Sequence[Facts], count: int) -> list[Shard]:
        """Return parts as at most so many shards, or handles of them that know their number of rows."""

    def release(self, parts: Sequence[Any]) -> None:
        """Let go of parts, wherever they are still referred to."""

    def engine(self) -> Any:
        """Return the engine to use when none was asked for."""


@dataclass(frozen=True)
class PlacedDataset:
    """Features and targets in parts on a cluster.

    Parameters
    ----------
    cluster : Cluster
    parts : tuple
        Handles of `Part`, those without rows left out.
    known : tuple of Facts
        Of each.
    recipe : Recipe
        How they become shards.
    """

    cluster: Cluster
    parts: tuple[Any, ...]
    known: tuple[Facts, ...]
    recipe: Recipe
    has_target: bool = True
    has_weight: bool = False

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(facts.n_rows for facts in self.known)

    @property
    def n_columns(self) -> int:
        """Number of features."""
        encoder = self.recipe.encoder
        return self.known[0].n_columns if encoder is None else len(encoder.feature_names)

    @property
    def sparse(self) -> bool:
        """Whether rows are sparse."""
        encoder = self.recipe.encoder
        return self.recipe.sparse if encoder is None else encoder.sparse

    @property
    def n_values(self) -> float:
        """Number of values of the features, as if none were missing."""
        return float(self.n_rows * self.n_columns)

    @property
    def in_memory(self) -> bool:
        """Whether all rows are in memory: that of the cluster."""
        return True

    @property
    def encoder(self) -> Encoder | None:
        """How the columns of a table became features."""
        return self.recipe.encoder

    @property
    def target(self) -> str | None:
        """Name of the target column."""
        return self.recipe.target

    @property
    def reading(self) -> Reading:
        """Nothing: text files are not read on a cluster."""
        return Reading()

    @property
    def classes(self) -> NDArray[Any] | None:
        """Labels of the targets, sorted."""
        return self.recipe.classes

    def shards(self, count: int, cancelled: Callable[[], bool] = lambda: False) -> list[Shard]:
        """Return the parts as at most so many shards, each where most of its parts are."""
        return self.cluster.shards(self.recipe, self.parts, self.known, count)

    def check_target(self, loss: Any) -> None:
        """Raise `TargetError` unless there is a target, and one that fits the loss."""
        if not self.has_target:
            raise DataError("no target was given: pass y, or the name of the target column")
        if self.recipe.labels is None:  # else they are class numbers
            self.cluster.each(partial(_check_target, self.recipe, loss), self.parts)

    def fault(self, check: Callable[[Float64s], str | None] | None = None) -> str | None:
        """Say what is wrong with the features, or what a check finds in the targets; None when nothing is."""
        found = self.cluster.each(partial(_fault, self.recipe, check), self.parts)
        return next((message for message in found if message), None)

    def facts(self) -> dict[str, Any]:
        """Return what tells this data from another: what a checkpoint is compared by."""
        first = {p.number: start for p, start in zip(self.parts, first_rows(self.known), strict=True)}
        return facts_of_parts(self.cluster.each(partial(_traits, self.recipe, first, self.n_rows), self.parts))

    def release(self) -> None:
        """Have the cluster forget what was loaded for this."""
        self.cluster.release(self.parts)

    def counts(self, n_classes: int) -> Float64s:
        """Return the weight, or number of rows, of each class."""
        counts = np.zeros(n_classes)
        for facts in self.known:
            if facts.classes is not None and facts.counts is not None and self.recipe.classes is not None:
                counts[np.searchsorted(self.recipe.classes, facts.classes)] += facts.counts
        return counts

    def weighted(self, factors: Float64s | None = None) -> tuple[PlacedDataset, float]:
        """Return the data set with weights of mean 1, and the sum of the weights; ``factors`` multiply by class."""
        if factors is None and not self.has_weight:
            return self, float(self.n_rows)
        counts = (
            np.array([facts.weight for facts in self.known]) if factors is None else factors * self.counts(len(factors))
        )
        total = float(counts.sum())
        if not total > 0.0:
            raise DataError("sample_weight is zero in every row: there is nothing to fit.")
        recipe = replace(self.recipe, factors=factors, scale=total / self.n_rows)
        return replace(self, recipe=recipe, has_weight=True), total

    def against_rest(self, number: int) -> PlacedDataset:
        """Return the data set with targets 1 for one class and 0 for all others."""
        return replace(self, recipe=replace(self.recipe, one=number))


def placed_dataset(
    cluster: Cluster,
    parts: Sequence[Any],
    *,
    labels: Labels | None = None,
    target: str | None = None,
    has_target: bool = True,
    has_weight: bool = False,
) -> PlacedDataset:
    """Look at the parts, once, and return them as one data set.

    Parameters
    ----------
    cluster : Cluster
    parts : sequence
        Handles of `Part`.
    labels : callable, optional
        Turns targets into class numbers: see `parts.Labels`.
    target : str, optional
        Name of the target column.
    has_target, has_weight : bool

    Raises
    ------
    OffbeatError
        A part cannot be used, or parts do not fit together: names the part.
    """
    known = cluster.each(partial(survey, labels), parts)
    kept = [i for i, facts in enumerate(known) if facts.n_rows]
    if not kept:
        raise DataError(f"Found array with 0 sample(s): all {len(known)} partitions are empty.")
    _check_alike(kept, known)
    if has_weight and not any(known[i].weight for i in kept):
        raise DataError("sample_weight is zero in every row: there is nothing to fit.")
    encoder = _encoder(kept, known)
    classes = None if labels is None else _union([(known[i].number, known[i].classes) for i in kept])
    sparse, wide = any(known[i].sparse for i in kept), np.result_type(*(known[i].dtype for i in kept))
    recipe = Recipe(encoder, labels, classes, target=target, dtype=str(wide), sparse=sparse)
    chosen = tuple(parts[i] for i in kept), tuple(known[i] for i in kept)
    return PlacedDataset(cluster, *chosen, recipe, has_target, has_weight)


def _check_alike(kept: list[int], known: Sequence[Facts]) -> None:
    first = known[kept[0]]
    for i in kept:
        facts = known[i]
        if (facts.scan is None) != (first.scan is None):
            one, other = ("a matrix" if each.scan is None else "a table" for each in (facts, first))
            raise DataError(
                f"partition {facts.number} is {one}, partition {first.number} is {other}: give all the same kind"
            )
        if facts.n_columns != first.n_columns:
            raise DataError(
                f"partition {facts.number} has {facts.n_columns} columns, partition {first.number} has "
                f"{first.n_columns}: all must have the same"
            )


def _encoder(kept: list[int], known: Sequence[Facts]) -> Encoder | None:
    """Return the encoder of tables, with the levels of all parts; None for matrices."""
    scan = known[kept[0]].scan
    if scan is None:
        return None
    from offbeat.data.tables.encoding import Encoder

    for i in kept[1:]:
        other = known[i].scan
        assert other is not None
        with blaming(known[i].number):
            scan.merge(other)
    dtype = str(np.result_type(*(known[i].dtype for i in kept)))
    return Encoder.from_scan(scan.columns(sum(known[i].n_rows for i in kept)), dtype)


def _union(each: list[tuple[int | str, NDArray[Any] | None]]) -> NDArray[Any]:
    """Return the classes of all parts, sorted."""
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


def _check_target(recipe: Recipe, loss: Any, part: Part) -> None:
    y = targets_of(recipe, part)
    with blaming(part.number):
        loss.check_target(y)


def _fault(recipe: Recipe, check: Callable[[Float64s], str | None] | None, part: Part) -> str | None:
    message = dataset_of(recipe, part).fault() if check is None else check(targets_of(recipe, part))
    return f"partition {part.number}: {message}" if message else None


def _traits(recipe: Recipe, first: dict[int | str, int], n_rows: int, part: Part) -> Traits:
    return dataset_of(recipe, part).traits(first[part.number], n_rows)
