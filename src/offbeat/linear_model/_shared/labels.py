"""Class labels to class numbers, without sorting the rows where that can be avoided, and class weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.data.arrays.vectors import raw_vector
from offbeat.errors import ProblemError, TargetError
from offbeat.problem import Floats

MAX_TABLE_SIZE = 1 << 16
CONTINUOUS_TARGET = (
    "Unknown label type: continuous. Maybe you are trying to fit a classifier, which expects discrete classes, on a "
    "regression target with continuous values."
)


def encode_labels(y: Any) -> tuple[NDArray[Any], Floats]:
    """Return the classes, sorted, and the number of the class of each row.

    Parameters
    ----------
    y : array-like, shape (n_rows,) or (n_rows, 1)
        Booleans, numbers or text.

    Returns
    -------
    classes : ndarray, shape (n_classes,)
    codes : ndarray of float64, shape (n_rows,)

    Raises
    ------
    TargetError
        A label is missing, numbers are not whole, or labels of several types are mixed.

    Examples
    --------
    >>> encode_labels(["no", "yes", "no"])
    (array(['no', 'yes'], dtype='<U3'), array([0., 1., 0.]))
    """
    labels = raw_vector(y, "y", TargetError)
    kind = labels.dtype.kind
    if labels.size == 0:
        raise TargetError("Found array with 0 sample(s): y is empty.")
    if kind == "c":
        raise TargetError("Complex data not supported: y is complex. Pass class labels.")
    if kind == "b":
        return _two(labels, False, True)
    if kind in "iu":
        return _whole(labels)
    if kind == "f":
        return _floats(labels)
    return _objects(labels)


def encode_known(y: Any, classes: NDArray[Any]) -> Floats:
    """Return the number of the class of each row, of classes that are known.

    Raises
    ------
    TargetError
        As `encode_labels`, or a label is none of the classes.

    Examples
    --------
    >>> encode_known(["yes", "yes"], np.array(["no", "yes"]))
    array([1., 1.])
    """
    present, codes = encode_labels(y)
    numbers = {label: float(i) for i, label in enumerate(classes.tolist())}
    unknown = [label for label in present.tolist() if label not in numbers]
    if unknown:
        raise TargetError(f"y has the labels {unknown}, which are not among the classes {classes.tolist()}")
    return np.array([numbers[label] for label in present.tolist()])[codes.astype(np.intp)]


def hits(y: Any, predicted: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which predictions are right, for labels of any type that a fit takes.

    Parameters
    ----------
    y : array-like, shape (n_rows,)
    predicted : ndarray, shape (n_rows,)
        Classes of a model.

    Raises
    ------
    TargetError
        As `encode_labels`; or there are more labels or fewer; or one side is text and the other numbers.

    Examples
    --------
    >>> hits(np.array([1, 0, 7], dtype=object), np.array([1, 1, 1])).tolist()
    [True, False, False]
    """
    labels, codes = encode_labels(y)
    if len(codes) != len(predicted):
        raise TargetError(
            f"Found input variables with inconsistent numbers of samples: X has {len(predicted):,} rows, "
            f"y has {len(codes):,}."
        )
    known, theirs = encode_labels(predicted)
    one, other = labels[:1].tolist()[0], known[:1].tolist()[0]
    if isinstance(one, str | bytes) != isinstance(other, str | bytes):
        raise TargetError(
            f"y has labels like {one!r}, and the classes of the model are like {other!r}: give labels of the same type"
        )
    numbers = {label: i for i, label in enumerate(known.tolist())}
    mine = np.array([numbers.get(label, -1) for label in labels.tolist()])[codes.astype(np.intp)]
    return np.asarray(mine == theirs, np.bool_)


def _two(labels: NDArray[Any], low: Any, high: Any) -> tuple[NDArray[Any], Floats]:
    """Return classes and codes when there is no third value beside ``low`` and ``high``."""
    upper = labels == high
    count = int(np.count_nonzero(upper))
    if count in (0, len(labels)):
        return np.array([high if count else low], dtype=labels.dtype), np.zeros(len(labels))
    return np.array([low, high], dtype=labels.dtype), upper.astype(np.float64)


def _whole(labels: NDArray[Any]) -> tuple[NDArray[Any], Floats]:
    low, high = labels.min(), labels.max()
    span = int(high) - int(low)
    if span <= 1:
        return _two(labels, low, high)
    if span > max(MAX_TABLE_SIZE, len(labels)):
        return _sorted(labels)
    signed = labels if labels.dtype.kind == "u" else labels.astype(np.int64)  # int8 cannot hold 127 - -128
    shifted = (signed - signed.dtype.type(low)).astype(np.intp)
    present = np.flatnonzero(np.bincount(shifted, minlength=span + 1))
    numbers = np.zeros(span + 1)
    numbers[present] = np.arange(len(present))
    return (present + int(low)).astype(labels.dtype), numbers[shifted]


def _floats(labels: NDArray[Any]) -> tuple[NDArray[Any], Floats]:
    low, high = labels.min(), labels.max()
    if not np.isfinite(low) or not np.isfinite(high):
        missing = np.isnan(labels)
        bad = missing if missing.any() else np.isinf(labels)
        what = "NaN" if missing.any() else "infinity or a value too large for dtype('float64')"
        raise TargetError(f"Input y contains {what}: {int(bad.sum()):,} rows, the first is row {int(bad.argmax())}.")
    if low == np.floor(low) and high == np.floor(high) and np.all((labels == low) | (labels == high)):
        return _two(labels, low, high)
    if np.any(labels != np.floor(labels)):
        raise TargetError(CONTINUOUS_TARGET)
    return _sorted(labels)


def _sorted(labels: NDArray[Any]) -> tuple[NDArray[Any], Floats]:
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes.astype(np.float64)


def _objects(labels: NDArray[Any]) -> tuple[NDArray[Any], Floats]:
    """Return classes and codes of text or mixed objects: a dictionary is much faster than sorting the rows."""
    values = labels.tolist()
    try:
        different = set(values)
    except TypeError:  # lists and the like
        raise _mixed(values) from None
    if any(_is_missing(value) for value in different):
        rows = [row for row, value in enumerate(values) if _is_missing(value)]
        raise TargetError(f"Input y contains NaN: {len(rows):,} rows, the first is row {rows[0]}. Drop those rows.")
    try:
        distinct = sorted(different)
    except TypeError:
        raise _mixed(values) from None
    if any(isinstance(value, float) and not value.is_integer() for value in distinct):
        raise TargetError(CONTINUOUS_TARGET)
    number = {value: float(i) for i, value in enumerate(distinct)}
    codes = np.fromiter((number[value] for value in values), np.float64, len(values))
    if all(isinstance(value, str | bytes) for value in distinct):
        return np.array(distinct, dtype=labels.dtype), codes
    strange = next((value for value in distinct if not isinstance(value, int | float | np.number | np.bool_)), None)
    if strange is not None:
        raise TargetError(f"Unknown label type: {type(strange).__name__}. Give text, whole numbers or booleans.")
    classes = np.array(distinct)
    return classes, codes


def _is_missing(value: Any) -> bool:
    """Whether a label is None, NaN, or a missing value of pandas, for which comparisons give no truth value."""
    kind = type(value).__name__
    return value is None or kind in ("NAType", "NaTType") or (isinstance(value, float | np.floating) and value != value)


def _mixed(values: list[Any]) -> TargetError:
    kinds = sorted({type(value).__name__ for value in values})
    return TargetError(f"y mixes labels of type {', '.join(kinds)}. Give all labels the same type.")


def class_weights(rule: Mapping[Any, float] | str, classes: NDArray[Any], counts: Floats) -> Floats:
    """Return the weight of each class.

    Parameters
    ----------
    rule : dict or "balanced"
        Weights by label, 1 for labels that are absent; or weights that make all classes count the same, relative
        to the (weighted) number of their rows.
    classes : ndarray, shape (n_classes,)
    counts : ndarray, shape (n_classes,)
        Rows of each, or their weights.

    Returns
    -------
    weights : ndarray, shape (n_classes,)

    Raises
    ------
    ProblemError
        The rule is neither of the two, or names labels that do not exist.

    Examples
    --------
    >>> class_weights("balanced", np.array([0, 1]), np.array([3.0, 1.0]))
    array([0.66666667, 2.        ])
    """
    if isinstance(rule, str) and rule == "balanced":
        present = counts > 0.0  # a class without weight counts for nothing, like rows that were left out
        balanced = np.where(present, counts.sum() / (present.sum() * np.where(present, counts, 1.0)), 1.0)
        return np.asarray(balanced, np.float64)
    if not isinstance(rule, Mapping):
        raise ProblemError(f'class_weight is {rule!r}; give "balanced", or a dict of weights by label')
    labels = classes.tolist()
    unknown = [label for label in rule if label not in labels]
    if unknown and len(unknown) + len(labels) > len(rule):
        raise ProblemError(
            f"The classes, {unknown}, are not in y; class_weight has weights for labels that do not exist"
        )
    weights = np.array([rule.get(label, 1.0) for label in labels], dtype=np.float64)
    if not np.all(weights >= 0.0) or not np.all(np.isfinite(weights)):
        raise ProblemError(f"class_weight is {dict(rule)!r}; weights must be finite and not negative")
    return weights
