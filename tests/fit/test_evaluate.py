"""Evaluation of one point on all shards: the means over the rows, however these are cut."""

from __future__ import annotations

import numpy as np
import pytest

from offbeat import Problem, losses, penalties
from offbeat.data.load import as_dataset
from offbeat.engines import Serial, Threads
from offbeat.fit.evaluate import evaluate
from offbeat.fit.inspection import Options, inspect
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate


@pytest.mark.parametrize("n_shards", [1, 2, 7])
def test_a_point_is_evaluated_on_every_row_once(rng: np.random.Generator, n_shards: int) -> None:
    X, y = rng.standard_normal((50, 3)) * [1.0, 10.0, 0.1] + 2.0, rng.standard_normal(50)
    problem, dataset = Problem(losses.Squared(), penalties.L2(0.1)), as_dataset(X, y)
    info = inspect(problem, dataset, dataset.shards(1), Serial(), Options())
    x = Iterate(np.array([1.0, -2.0, 0.5]), np.array([0.3]))
    point = evaluation.query(info, x, hessian=True, exact=True)

    at, hessian = evaluate(problem, info, dataset.shards(n_shards), Threads(2), point)

    internal = np.column_stack([(X - info.center) / info.scale, np.ones(50)])
    residual = internal @ x.flat() - y
    assert at.loss == pytest.approx(0.5 * np.mean(residual**2))
    np.testing.assert_allclose(at.gradient, internal[:, :3].T @ residual / 50)
    np.testing.assert_allclose(at.intercept_gradient, [residual.mean()])
    assert hessian is not None
    np.testing.assert_allclose(hessian, internal.T @ internal / 50, atol=1e-12)
