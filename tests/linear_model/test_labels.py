"""Class labels: every type of them, fast and slow ways, and what cannot be a label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from offbeat.errors import ProblemError, TargetError
from offbeat.linear_model import LinearSVC, LogisticRegression, LogisticRegressionCV
from offbeat.linear_model._shared.labels import class_weights, encode_labels, hits

LABELS = [
    [True, False, True],
    [1, 1, 0],
    [-1, 1, 1],
    [7, 3, 5, 3],
    [-(2**62), 2**62, 0],
    np.array([250, 3, 250], dtype=np.uint8),
    np.array([-128, 127, 0], dtype=np.int8),
    [0.0, 1.0, 1.0],
    [2.0, 1.0, 3.0],
    ["no", "yes", "no"],
    np.array(["b", "a", "c"], dtype=object),
    [True, True],
    [4, 4],
    [4.0, 4.0],
]


@pytest.mark.parametrize("y", LABELS, ids=str)
def test_like_unique(y: Any) -> None:
    classes, codes = encode_labels(y)
    expected, inverse = np.unique(y, return_inverse=True)
    np.testing.assert_array_equal(classes, expected)
    assert classes.dtype == expected.dtype
    assert codes.dtype == np.float64
    np.testing.assert_array_equal(codes, inverse)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), min_size=1))
def test_like_unique_for_any_integers(y: list[int]) -> None:
    classes, codes = encode_labels(np.array(y, dtype=np.int64))
    np.testing.assert_array_equal(classes[codes.astype(int)], y)
    assert classes.tolist() == sorted(set(y))


def test_numbers_held_as_objects() -> None:
    classes, codes = encode_labels(np.array([3, 1, 3], dtype=object))
    assert classes.dtype == np.int64
    assert classes.tolist() == [1, 3]
    assert codes.tolist() == [1.0, 0.0, 1.0]


def test_series_and_categories() -> None:
    classes, codes = encode_labels(pd.Series(["b", "a", "b"], dtype="category"))
    assert classes.tolist() == ["a", "b"]
    assert codes.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.5], "Unknown label type: continuous"),
        ([0.0, 1.0, 2.5], "Unknown label type: continuous"),
        ([0.0, np.nan], r"Input y contains NaN: 1 rows, the first is row 1"),
        ([0.0, np.inf], r"Input y contains infinity"),
        (np.array(["b", "a", None, None], dtype=object), r"Input y contains NaN: 2 rows, the first is row 2"),
        (np.array(["b", np.nan, "a"], dtype=object), r"NaN: 1 rows, the first is row 1"),
        (np.array([True, False, None], dtype=object), r"NaN: 1 rows, the first is row 2"),
        (np.array([1, pd.NA], dtype=object), r"NaN: 1 rows, the first is row 1"),
        (pd.array([True, None], dtype="boolean"), r"NaN: 1 rows, the first is row 1"),
        (pd.Series(["a", None], dtype="string"), r"NaN: 1 rows, the first is row 1"),
        (pd.Series(["a", None], dtype="category"), r"NaN: 1 rows, the first is row 1"),
        (pa.array(["a", None]), r"NaN: 1 rows, the first is row 1"),
        (pa.array([True, None]), r"NaN: 1 rows, the first is row 1"),
        (["a", float("nan")], r"NaN: 1 rows, the first is row 1"),
        (["a", 1], "mixes labels of type int, str"),
        (np.array(["a", 1], dtype=object), "mixes labels of type int, str"),
        (np.array([0.5, "a"], dtype=object), "mixes"),
        ([[0, 1], [1, 0]], "should be a 1d array"),
        ([1j, 2j], "Complex data not supported"),
        (np.array([(1, 2), (3,)], dtype=object), "Unknown label type: tuple"),
        ([], "0 sample"),
    ],
    ids=str,
)
def test_no_labels(y: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        encode_labels(y)


@pytest.mark.parametrize("rule", ["balanced", {0: 2.0}, {0: 2.0, 1: 0.5, 2: 3.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_like_reference(rng: np.random.Generator, rule: Any, weighted: bool) -> None:
    codes = rng.integers(0, 3, 50).astype(float)
    weight = rng.uniform(0.1, 2.0, 50) if weighted else np.empty(0)
    counts = np.bincount(codes.astype(int), weight if weighted else None)
    ours = class_weights(rule, np.arange(3), counts.astype(float))
    theirs = compute_class_weight(
        rule, classes=np.arange(3), y=codes.astype(int), sample_weight=weight if weighted else None
    )
    np.testing.assert_allclose(ours, theirs)


def test_balanced_weights_take_no_notice_of_a_class_without_weight() -> None:
    weights = class_weights("balanced", np.arange(3), np.array([30.0, 0.0, 10.0]))
    present = compute_class_weight("balanced", classes=np.array([0, 2]), y=np.repeat([0, 2], [30, 10]))
    np.testing.assert_allclose(weights[[0, 2]], present)
    assert np.isfinite(weights[1])


@pytest.mark.parametrize("rule", ["even", 3.0, {"b": 1.0}, {0: -1.0}, {0: np.inf}])
def test_bad_class_weights(rule: Any) -> None:
    with pytest.raises(ProblemError, match="class_weight"):
        class_weights(rule, np.array([0, 1]), np.array([1.0, 1.0]))


def kinds(codes: np.ndarray) -> dict[str, Any]:
    """The same two classes as labels of every type."""
    texts = np.where(codes == 1, "yes", "no")
    return {
        "objects": codes.astype(object),
        "floats as objects": codes.astype(float).astype(object),
        "booleans as objects": (codes == 1).astype(object),
        "bytes": texts.astype("S"),
        "bytes as objects": texts.astype("S").astype(object),
        "nullable": pd.array(codes, dtype="Int64"),
        "strings": pd.Series(texts, dtype="string"),
        "categories": pd.Categorical(texts),
        "arrow": pa.array(texts).dictionary_encode(),
        "list": texts.tolist(),
        "unsigned": codes.astype(np.uint8),
    }


@pytest.mark.parametrize("kind", kinds(np.array([0, 1])))
@pytest.mark.parametrize(
    "model", [LogisticRegression(), LinearSVC(), LogisticRegressionCV(Cs=[1.0], cv=2)], ids=lambda m: type(m).__name__
)
def test_labels_that_a_fit_takes_can_be_scored(model: Any, kind: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 2))
    codes = (X[:, 0] + rng.standard_normal(40) > 0).astype(int)
    y = kinds(codes)[kind]
    model.fit(X, y)
    right = np.mean((model.decision_function(X) > 0) == (codes == 1))
    assert model.score(X, y) == pytest.approx(right)


def test_hits() -> None:
    assert hits([1, 5, 0], np.array([1, 1, 0])).tolist() == [True, False, True]
    assert hits([True, False], np.array([1, 1])).tolist() == [True, False]
    with pytest.raises(TargetError, match="labels like 'a', and the classes of the model are like 0"):
        hits(["a", "b"], np.array([0, 1]))
    with pytest.raises(TargetError, match="X has 2 rows, y has 3"):
        hits([0, 1, 1], np.array([0, 1]))
