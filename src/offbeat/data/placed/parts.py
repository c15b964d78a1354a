"""Parts of a data set that lies on a cluster: what is done to each where it lies, by the code that local data uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.chunks import converted, stacked
from offbeat.data.arrays.vectors import part_weights, target_vector
from offbeat.data.dataset import VECTORS, Dataset, Float64s
from offbeat.data.load import as_dataset, role_values, target_values
from offbeat.data.opening import Opened, open_data
from offbeat.data.shards import Shard
from offbeat.errors import DataError, OffbeatError, TargetError

if TYPE_CHECKING:
    from offbeat.data.tables.columns import LevelScan
    from offbeat.data.tables.encoding import Encoder

Labels: TypeAlias = Callable[[Any], tuple[NDArray[Any], Float64s]]
"""Returns the classes among some labels, sorted, and the number of the class of each."""


class Part(NamedTuple):
    """Rows as they are on the cluster; ``number`` names the chunk, or chunks. Targets may be a column's name."""

    number: int | str
    X: Any
    y: Any = None
    weight: Any = None
    offset: Any = None


class Facts(NamedTuple):
    """What the coordinator knows of a part with a number; ``weight`` and ``counts`` add up weights or rows.

    ``scan`` has the columns of a table, with the levels that appear, and ``dtype`` the type that numbers need.
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


def first_rows(known: Sequence[Facts]) -> list[int]:
    """Return the place of the first row of each part among all rows."""
    return [0, *accumulate(facts.n_rows for facts in known[:-1])]


def spans_of(known: Sequence[Facts], parts: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return which of all rows some parts are, as runs from the first to the one after the last.

    Examples
    --------
    >>> spans_of([Facts(10), Facts(5), Facts(5)], [0, 2]), spans_of([Facts(10), Facts(5), Facts(5)], [1, 2])
    (((0, 10), (15, 20)), ((10, 20),))
    """
    first, spans = first_rows(known), list[tuple[int, int]]()
    for i in parts:
        start, stop = first[i], first[i] + known[i].n_rows
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, stop))
    return tuple(spans)


@dataclass(frozen=True)
class Recipe:
    """How parts become shards.

    Parameters
    ----------
    encoder : Encoder, optional
        Of tables.
    classes : ndarray, optional
        Labels, of which targets become the numbers; with ``labels``, and the ``factors`` of their weights.
    scale : float
        What weights are divided by.
    target : str, optional
        Name of the target column.
    one : int, optional
        Class whose targets become 1, all others 0.
    dtype : str
        Of matrices: what their values become.
    sparse : bool
        Whether matrices become sparse.
    """

    encoder: Encoder | None = None
    labels: Labels | None = None
    classes: NDArray[Any] | None = None
    factors: Float64s | None = None
    scale: float = 1.0
    target: str | None = None
    one: int | None = None
    dtype: str = "float64"
    sparse: bool = False


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
def blaming(number: int | str) -> Iterator[None]:
    """Say which part an error is about.

    Examples
    --------
    >>> with blaming(3):
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


def survey(labels: Labels | None, part: Part) -> Facts:
    """Look at a part: its shape and type, its classes where labels are wanted, its columns where it is a table.

    Raises
    ------
    OffbeatError
        It cannot be used: names the part.
    """
    with blaming(part.number):
        n_rows = row_count(part.X)
        if n_rows == 0:
            return Facts(0, number=part.number)
        opened = open_data(part.X)
        weight = weights_of(part, opened)
        facts = Facts(n_rows, weight=float(weight.sum()) if weight.size else float(n_rows), number=part.number)
        if labels is not None:
            classes, codes = labels(target_values(opened, part.y))
            counts = np.bincount(codes.astype(np.intp), weight if weight.size else None, len(classes))
            facts = facts._replace(classes=classes, counts=counts.astype(np.float64))
        if opened.table is not None:
            return facts._replace(scan=_scan(opened.table, part), dtype=_dtype(opened.table, part))
        assert opened.source is not None
        source = opened.source
        return facts._replace(n_columns=source.shape[1], sparse=source.sparse, dtype=str(source.dtype))


def _roles(part: Part) -> list[str]:
    return [role for role in part[2:] if isinstance(role, str)]


def weights_of(part: Part, opened: Opened) -> Float64s:
    """Return the weights of a part, be they all zero; of length 0 where there are none."""
    return part_weights(role_values(opened, part.weight, "sample_weight"), opened.n_rows)


def _scan(table: Any, part: Part) -> LevelScan:
    from offbeat.data.tables.table import feature_columns, scan_levels

    return scan_levels(table, feature_columns(table, _roles(part)))


def _dtype(table: Any, part: Part) -> str:
    from offbeat.data.tables.encoding import matrix_dtype
    from offbeat.data.tables.table import feature_columns

    return matrix_dtype(table.schema.field(name) for name in feature_columns(table, _roles(part)))


def targets_of(recipe: Recipe, part: Part) -> Float64s:
    """Return the targets of a part, as numbers; the features are left alone."""
    with blaming(part.number):
        opened = open_data(part.X)
        values = target_values(opened, part.y)
        if recipe.labels is None or recipe.classes is None:
            return target_vector(values, opened.n_rows)
        classes, codes = recipe.labels(values)
        return np.searchsorted(recipe.classes, classes)[codes.astype(np.intp)].astype(np.float64)


def dataset_of(recipe: Recipe, part: Part) -> Dataset:
    """Return a part as a data set of its own, encoded as all are.

    Raises
    ------
    OffbeatError
        It cannot be used: names the part.
    """
    y = targets_of(recipe, part) if recipe.labels is not None else part.y
    with blaming(part.number):
        opened = open_data(part.X)
        dataset = as_dataset(opened, y, offset=part.offset, encoder=recipe.encoder, target=recipe.target)
        if recipe.encoder is None:
            dataset = replace(dataset, source=converted(dataset.source, np.dtype(recipe.dtype), recipe.sparse))
        weight = weights_of(part, opened)
        if recipe.factors is not None:
            factors = recipe.factors[dataset.y.astype(np.intp)]
            weight = factors * weight if weight.size else factors
        dataset = replace(dataset, weight=weight / recipe.scale if weight.size else weight)
        return dataset if recipe.one is None else dataset.against_rest(recipe.one)


def shard_of(recipe: Recipe, parts: Sequence[Part]) -> Shard:
    """Return parts as one shard: rows are not copied, targets are."""
    whole = joined_dataset(recipe, parts)
    return whole.shards(1)[0]


def joined_dataset(recipe: Recipe, parts: Sequence[Part]) -> Dataset:
    """Return parts as one data set, one below the other."""
    each = [dataset_of(recipe, part) for part in parts]
    if len(each) == 1:
        return each[0]
    y, weight, offset = (np.concatenate([getattr(one, name) for one in each]) for name in VECTORS)
    source = stacked([one.source for one in each], [f"Partition {part.number}" for part in parts])
    return replace(each[0], source=source, y=y, weight=weight, offset=offset)
