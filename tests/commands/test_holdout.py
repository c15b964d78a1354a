"""Rows held out of a fit: the same model whether they are left out or weighted with zeros."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from offbeat import Problem, losses, penalties
from offbeat.commands.fitting import run
from offbeat.commands.holdout import split
from offbeat.commands.options import FitRequest
from offbeat.commands.scoring import metrics
from offbeat.data.dataset import Dataset
from offbeat.data.load import as_dataset
from offbeat.errors import DataError, TargetError
from offbeat.models.fitted import FittedModel

HOW = FitRequest(tol=1e-12, progress=False)


def make_dataset(rng: np.random.Generator, kind: Any = np.asarray) -> Dataset:
    X = rng.normal(size=(400, 4)) * (rng.random((400, 4)) < 0.7)
    z = X @ [1.0, -1.0, 0.0, 0.5]
    y = (rng.random(400) < 1 / (1 + np.exp(-z))).astype(float)
    return as_dataset(kind(X), y, sample_weight=rng.random(400), offset=rng.normal(size=400) / 5)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_copies_and_zero_weights_agree(kind: Any, rng: np.random.Generator) -> None:
    dataset = make_dataset(rng, kind)
    problem = Problem(losses.Logistic(), penalties.ElasticNet(1e-2, 0.5))
    found = []
    for budget, rows in ((None, 280), (1, 400)):
        parts = split(replace(dataset, memory_budget=budget), 0.3, 7, (0, 1))
        assert parts.train.n_rows == rows
        assert (parts.n_train, parts.n_test) == (280, 120)
        assert parts.test is not None
        solution = run(problem, parts, HOW)
        model = FittedModel(solution.coef, solution.intercept, problem.loss, problem.penalty, solution.certificate)
        found.append((solution, metrics(model, parts.test)))
    (copied, scores), (weighted, again) = found
    np.testing.assert_allclose(copied.coef, weighted.coef, atol=1e-6)
    assert copied.certificate.primal == pytest.approx(weighted.certificate.primal, rel=1e-10)
    assert scores == pytest.approx(again, rel=1e-5)


def test_rows_are_taken_once_and_by_the_seed(rng: np.random.Generator) -> None:
    dataset = make_dataset(rng)
    first, same, other = (split(dataset, 0.25, seed, None) for seed in (1, 1, 2))
    assert first.test is not None and same.test is not None and other.test is not None
    np.testing.assert_array_equal(first.test.offset, same.test.offset)
    assert not np.array_equal(first.test.offset, other.test.offset)
    together = np.sort(np.concatenate([first.train.offset, first.test.offset]))
    np.testing.assert_array_equal(together, np.sort(dataset.offset))


def test_nothing_held_out_is_no_copy(rng: np.random.Generator) -> None:
    dataset = make_dataset(rng)
    parts = split(dataset, 0.0, 0, None)
    assert parts.train is dataset
    assert parts.test is None


def test_what_cannot_be_split(rng: np.random.Generator) -> None:
    dataset = make_dataset(rng)
    with pytest.raises(DataError, match="from 0 to below 1"):
        split(dataset, float("nan"), 0, None)
    one = replace(dataset, y=np.eye(1, 400, 17).ravel())
    with pytest.raises(TargetError, match="all rows of class 'rare' are held out: change --seed"):
        for seed in range(30):
            split(one, 0.5, seed, ("common", "rare"))
