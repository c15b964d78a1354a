"""Newton's method: how near it comes, and that it ends."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.data.shards import Point
from offbeat.problem import Evaluation, Reference, Separable
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.protocol import DataInfo
from offbeat.solvers.admm.smooth import HessianModel
from offbeat.solvers.newton.newton import Newton, NewtonPoint, NewtonState


@pytest.mark.parametrize("shape", [(2000, 10, 100.0), (400, 100, 0.0)], ids=str)
@pytest.mark.parametrize("name", ["SquaredHinge", "Logistic", "Poisson", "Huber"])
@pytest.mark.parametrize("penalty", [penalties.L2(1e-3), penalties.ElasticNet(1e-3, 0.5)], ids=lambda p: p.name)
def test_single_precision_comes_as_near_as_its_gradients_tell(shape: Any, name: str, penalty: Any) -> None:
    (n, k, mean), rng = shape, np.random.default_rng(0)
    X = (rng.standard_normal((n, k)) + mean).astype(np.float32)
    z = 2.0 * (X - mean) @ rng.standard_normal(k) / np.sqrt(k)
    y = z + rng.standard_normal(n) > 0
    if name in ("Poisson", "Huber"):
        y = rng.poisson(np.exp(0.5 * z)) if name == "Poisson" else z + rng.standard_t(2, n)
    found = solve(Problem(getattr(losses, name)(), penalty), X, y.astype(float), solver=Newton(), tol=5e-11)
    assert found.status == "converged"


def stuck(hessian: np.ndarray) -> NewtonState:
    """Return the state after a step that failed, with this model."""
    penalty = Separable(penalties.Zero(), np.ones(2), np.ones(2))
    reference = Reference(1.0, 1.0, 0.0, True, 1e-6)
    ones, zero = np.ones(2), np.zeros(2)
    info = DataInfo(10, 2, 1, zero, ones, penalty, reference, (zero, np.zeros(1)), False, ones)
    at = Evaluation(1.0, ones, np.zeros(1), None, 0.0)
    base = NewtonPoint(Iterate(zero, np.zeros(1)), at, 1.0, 1.0, zero)
    return NewtonState(info, base.x, Point(zero, np.zeros(1), zero), base, hessian, exact=True)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_damping_ends_where_the_model_is_flat_or_not_finite(value: float) -> None:
    state = stuck(np.full((3, 3), value))
    for _ in range(20):
        state, _ = Newton()._retry(Problem(losses.Logistic(), penalties.Zero()), state)
        if state.status:
            break
    assert state.status == "stalled"


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_local_model_without_a_factor_falls_back_on_its_diagonal(value: float) -> None:
    hessian = np.diag([2.0, value, 3.0])
    model, _ = HessianModel(hessian).prepared(0.5, 10)
    d = model.direction(np.ones(3), 0.5)
    np.testing.assert_allclose(d[[0, 2]], [-1.0 / 2.5, -1.0 / 3.5])
    assert d[1] < 0.0


@pytest.mark.parametrize("solver", [solvers.Newton(), solvers.ProximalGradient(), solvers.ADMM()], ids=lambda s: s.name)
@pytest.mark.parametrize("penalty", [penalties.Box(0.0, np.inf), penalties.L2(0.1, weights=[0, 1, 1])])
def test_the_kind_of_certificate_is_the_same_at_all_points(solver: Any, penalty: Any) -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((60, 3))
    y = X @ [1.0, -1.0, 0.5] + 0.1 * rng.standard_normal(60)
    kinds = []
    found = solve(
        Problem(losses.Huber(), penalty), X, y, solver=solver, tol=1e-9, max_iter=500,
        callback=lambda progress, row: kinds.append(progress.certificate.kind),
    )  # fmt: skip
    assert found.certificate.satisfied
    assert set(kinds) == {"gradient"}


def test_the_kind_does_not_depend_on_the_gradient() -> None:
    problem = Problem(losses.Squared(), penalties.Box(0.0, np.inf))
    reference = Reference(1.0, 2.0, 0.0, False, 1e-6)
    for slope in (np.array([1.0, 0.0]), np.array([-1.0, 0.0]), np.zeros(2)):
        at = Evaluation(1.0, slope, np.zeros(1), None, 0.0)
        c = problem.certify(problem.scaled_penalty(2), np.zeros(2), at, reference)
        assert (c.kind, c.gap) == ("gradient", max(-slope[0], 0.0))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Problem(losses.Huber(1), penalties.L2(1)), Problem(losses.Huber(1.0), penalties.L2(1.0))),
        (Problem(losses.Squared(1), penalties.L1(np.float32(2))), Problem(losses.Squared(), penalties.L1(2.0))),
        (
            Problem(losses.EpsilonInsensitive(0), penalties.ElasticNet(np.int64(1), 1)),
            Problem(losses.EpsilonInsensitive(0.0), penalties.ElasticNet(1.0, 1.0)),
        ),
        (
            Problem(losses.SquaredHinge(1), penalties.Box(0, 1, 2)),
            Problem(losses.SquaredHinge(), penalties.Box(0.0, 1.0, 2.0)),
        ),
    ],
)
def test_whole_hyper_parameters_are_the_same_problem_for_compiled_code(given: Problem, wanted: Problem) -> None:
    from numba import typeof

    assert given == wanted
    assert typeof(given.loss) == typeof(wanted.loss)
    assert typeof(given.penalty) == typeof(wanted.penalty)
    assert typeof(given.scaled_penalty(3).rule) == typeof(wanted.scaled_penalty(3).rule)


def test_classes_stay_whole_numbers() -> None:
    assert type(Problem(losses.Multinomial(3), penalties.L2()).loss.n_classes) is int


def test_wrong_hyper_parameters_are_still_named_as_given() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="alpha of the penalty is 'one'"):
            solve(Problem(losses.Squared(), penalties.L2("one")), np.ones((3, 1)), np.ones(3))


def test_squared_hinges_with_a_weak_ridge_are_come_at_from_stronger_ones() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 150))
    y = (X[:, :30].sum(axis=1) + 3.0 * rng.logistic(size=300) > 0).astype(float)
    found = solve(Problem(losses.SquaredHinge(), penalties.L2(1e-5)), X, y, solver=Newton(), tol=1e-7)
    assert found.status == "converged"
    assert found.passes <= 100
    margin = np.maximum(1.0 - (2.0 * y - 1.0) * (X @ found.coef + found.intercept), 0.0)
    rest = 1e-5 * found.coef - X.T @ ((2.0 * y - 1.0) * margin) / 300
    assert float(rest @ rest) / 2e-5 <= 1e-6  # the gap that this gradient leaves
