"""Interior points: optima of linear programming, any units and strengths, honest certificates."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import linprog

from conformance.oracle import Data, Floats, objective, parts
from offbeat import Problem, engines, losses, penalties, solve, solvers, topology
from offbeat.errors import ProblemError
from offbeat.linear_model import LinearSVC, LinearSVR
from support.bench import Bench, gappy, twice

HINGE = losses.Hinge()
LOSSES = [HINGE, losses.EpsilonInsensitive(0.0), losses.EpsilonInsensitive(0.4)]
UNITS = np.array([1.0, 100.0, 0.01, 10.0, 0.1])


def rows(loss: Any, n: int = 300, units: Floats = UNITS, seed: int = 0) -> Data:
    """Rows of a noisy model, with columns in these units."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, len(units)))
    z = X @ rng.standard_normal(len(units)) + 0.7 * rng.standard_normal(n)
    return Data(X * units, (z > 0.0).astype(float) if loss.classifier else z)


def fit(problem: Problem, given: Data, **options: Any) -> Any:
    settings = {"tol": 1e-8, "max_iter": 300.0, "engine": engines.Serial(), "solver": solvers.InteriorPoint()} | options
    weight = given.weight if given.weight.size else None
    offset = given.offset if given.offset.size else None
    return solve(problem, given.X, given.y, sample_weight=weight, offset=offset, **settings)


def bound(problem: Problem, given: Data, w: Floats, intercept: bool = True) -> float:
    """Return a lower bound of the optimum from HiGHS, which takes squares as slacks above their tangents at ``w``.

    It holds whatever ``w`` is, and is the optimum itself if ``w`` is. Each term of the loss is a slack of at least 0.
    """
    loss, (n, k), p = problem.loss, given.X.shape, parts(problem.penalty, given.X.shape[1])
    v = given.weight if given.weight.size else np.ones(n)
    o = given.offset if given.offset.size else np.zeros(n)
    sign = 2.0 * given.y - 1.0
    terms = [(-sign, 1.0 - sign * o)] if loss.name == "hinge" else []
    if not terms:
        terms = [(np.ones(n), o - given.y - loss.epsilon), (-np.ones(n), given.y - o - loss.epsilon)]
    size = np.maximum(np.abs(given.X).max(axis=0), 1e-9)
    X = np.hstack([given.X / size, -given.X / size, np.full((n, 1), intercept)])
    above = np.vstack([a[:, None] * X for a, _ in terms])
    slope = p.l2 * w / size
    A = np.hstack([above, -np.vstack([np.eye(n)] * len(terms))])
    cost = np.concatenate([p.l1 / size + slope, p.l1 / size - slope, [0.0], v / n])
    bounds = [(0.0, None)] * (2 * k) + [(None, None)] + [(0.0, None)] * n
    right = -np.concatenate([c for _, c in terms])
    found = linprog(cost, A, right, bounds=bounds)
    return float(found.fun - 0.5 * p.l2 @ w**2) if found.status == 0 else -math.inf


def judge(problem: Problem, given: Data, solution: Any, intercept: bool = True, slack: float = 1e-7) -> None:
    c = solution.certificate
    assert solution.status == "converged" and c.satisfied and c.kind == "duality gap"
    assert_allclose(c.primal, objective(problem, given, solution.coef, solution.intercept), rtol=1e-11, atol=1e-300)
    least = bound(problem, given, solution.coef, intercept)
    assert least - slack * c.primal <= c.primal <= least + c.gap + slack * c.primal


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_lasso_like_linear_programming(loss: Any, intercept: bool) -> None:
    rng = np.random.default_rng(1)
    for extras in (False, True):
        plain = rows(loss, 60, np.array([1.0, 5.0, 0.2, 1.0]))
        weight = rng.integers(0, 4, 60) * 0.5
        given = Data(plain.X, plain.y, weight, 0.3 * rng.standard_normal(60)) if extras else plain
        problem = Problem(loss, penalties.L1(0.01))
        judge(problem, given, fit(problem, given, fit_intercept=intercept), intercept)


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_ridge_on_unscaled_columns(loss: Any, C: float) -> None:
    for weighted in (False, True):
        plain = rows(loss, 80, np.array([1.0, 30.0, 0.03]))
        v = np.random.default_rng(2).uniform(0.2, 3.0, 80) if weighted else np.empty(0)
        given, alpha = Data(plain.X, plain.y, v), 1.0 / (C * 80)
        problem = Problem(loss, penalties.L2(alpha))
        judge(problem, given, fit(problem, given))


@pytest.mark.parametrize("C", [1.0, 1e3])
@pytest.mark.parametrize("loss", LOSSES[:2], ids=repr)
def test_machines_on_unscaled_columns_are_certified_by_default(loss: Any, C: float) -> None:
    """300 x 5, units that differ 10,000 times."""
    given, problem = rows(loss), Problem(loss, penalties.L2(1.0 / (300 * C)))
    model = (LinearSVC(loss="hinge", C=C) if loss is HINGE else LinearSVR(C=C)).fit(given.X, given.y)
    assert model.status_ == "converged"
    coef, least = np.ravel(model.coef_), bound(problem, given, fit(problem, given).coef)
    value = objective(problem, given, coef, np.ravel(model.intercept_))
    assert least * (1.0 - 1e-7) <= value <= least * (1.0 + 1e-7) + model.certificate_.gap
    assert model.certificate_.dual <= least * (1.0 + 1e-7)


def test_a_machine_of_large_targets_and_hardly_a_ridge() -> None:
    given, problem = rows(LOSSES[1], units=np.ones(5)), Problem(LOSSES[1], penalties.L2(1.0 / 3e8))
    given = Data(given.X, 1e5 * given.y)
    model = LinearSVR(C=1e6, tol=1e-6).fit(given.X, given.y)
    assert model.status_ == "converged"
    value = objective(problem, given, model.coef_, model.intercept_)
    assert_allclose(value, bound(problem, given, model.coef_), rtol=1e-5)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elastic-net"])
def test_tiny_problems_take_some_twenty_five_steps(penalty: str) -> None:
    """At most 70 rows and 8 columns, to 1e-7, with the solver that is chosen: no unit or strength is too hard."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(2, 70)), int(rng.integers(1, 9))
        loss = LOSSES[seed % 3]
        given = rows(loss, n, 10.0 ** rng.uniform(-4.0, 4.0, k), seed)
        X = given.X[rng.integers(0, n, n)] if seed % 4 == 0 else given.X  # rows that repeat, with other targets
        if seed % 5 == 0 and k > 1:
            X[:, -1] = X[:, 0]
        v = 10.0 ** rng.uniform(-2.0, 2.0, n) if seed % 3 == 0 else np.empty(0)
        alpha = 10.0 ** rng.uniform(-6.0, 3.0) / n
        rule = {"l2": penalties.L2(alpha), "l1": penalties.L1(alpha)}.get(penalty, penalties.ElasticNet(alpha, 0.5))
        problem, given = Problem(loss, rule), Data(X, given.y, v)
        solution = fit(problem, given, solver="auto", tol=1e-7, fit_intercept=seed % 2 == 0, max_iter=200.0)
        assert solution.trace.metadata["solver"] == "interior-point"
        assert (solution.status, solution.certificate.kind) == ("converged", "duality gap"), seed
        value = objective(problem, given, solution.coef, solution.intercept)
        assert_allclose(solution.certificate.primal, value, rtol=1e-10, atol=1e-300)
        if np.abs(given.X).max() < 1e3 and alpha < 10.0:
            judge(problem, given, solution, seed % 2 == 0, slack=1e-6)


def test_bounds_are_true_from_the_first_step() -> None:
    given, problem = gappy(), Problem(HINGE, penalties.L2(1e-2))
    best = fit(problem, given).certificate.primal
    assert_allclose(bound(problem, given, fit(problem, given).coef), best, rtol=1e-6)
    bench = Bench(problem, solvers.InteriorPoint(), 1, given=given)
    seen = []
    for _ in range(12):
        bench.round()
        seen.append(bench.state.candidate.dual)
        assert seen[-1] <= best + 1e-12
    assert_allclose(seen[-1], best, rtol=1e-6)


def test_a_step_needs_nothing_but_the_contribution() -> None:
    for penalty in (penalties.L2(0.05), penalties.L1(0.02)):
        one, two = (Bench(Problem(HINGE, penalty), solvers.InteriorPoint(), 1) for _ in range(2))
        for _ in range(5):
            (a,), (b,) = one.round(), two.round(rebuilt=two.clocks[0] > 0)
            assert_array_equal(a.payload, b.payload)


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
def test_containers_and_weights_do_not_matter(intercept: bool) -> None:
    """Also sparse rows of columns far from zero, with repeats, and more of them than are filled up."""
    rng = np.random.default_rng(5)
    X = np.hstack([np.where(rng.random((90, 80)) < 0.2, rng.standard_normal((90, 80)), 0.0), np.ones((90, 1))])
    far = X.copy()
    far[:, 3] += 1e5
    y = (X[:, :5].sum(axis=1) + 0.3 * rng.standard_normal(90) > 0.0).astype(float)
    times = rng.integers(0, 3, 90)
    for given in (X, far):
        problem = Problem(HINGE, penalties.L2(0.1 / 90))
        one = fit(problem, Data(given, y, times.astype(float)), fit_intercept=intercept)
        assert one.status == "converged"
        others = [sparse.csr_array(given), np.asfortranarray(given)]
        for other in others if given is far else [*others, twice(given)]:
            again = fit(problem, Data(other, y, times.astype(float)), fit_intercept=intercept)
            assert again.status == "converged"
            assert_allclose(again.certificate.primal, one.certificate.primal, atol=2e-8)
        share = times.sum() / 90
        repeated = Data(np.repeat(given, times, axis=0), np.repeat(y, times))
        weaker = Problem(HINGE, penalties.L2(0.1 / 90 / share))
        again = fit(weaker, repeated, fit_intercept=intercept)
        assert_allclose(again.certificate.primal * share, one.certificate.primal, atol=2e-8)


def test_threads_share_the_rows_and_peers_take_them_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offbeat.data.shards.threads.MIN_VALUES_PER_THREAD", 100)
    given, problem = rows(HINGE), Problem(HINGE, penalties.L2(1e-2))
    values = [
        fit(problem, given, engine=engines.Threads(2)).certificate.primal,
        fit(problem, given).certificate.primal,
        fit(problem, given, engine=engines.Threads(2), topology=topology.Broadcast()).certificate.primal,
    ]
    assert_allclose(values, values[0], rtol=1e-7)


class _Share(NamedTuple):
    q: float = 0.3


class Pinball(_Share):
    """A loss of somebody else: the quantile's."""

    __slots__ = ()
    name, quadratic, classifier, smooth, smoothness = "pinball", False, False, False, math.inf

    def value(self, z: float, y: float) -> float:
        return self.q * (y - z) if z < y else (1.0 - self.q) * (z - y)

    def derivative(self, z: float, y: float) -> float:
        return -self.q if z < y else 1.0 - self.q

    def second_derivative(self, z: float, y: float) -> float:
        return 0.0

    def conjugate(self, theta: float, y: float) -> float:
        return theta * y if -self.q - 1e-15 <= theta <= 1.0 - self.q + 1e-15 else math.inf

    def dual_direction(self, z: float, y: float) -> float:
        return 0.0

    def dual_piece(self, theta: float, y: float) -> tuple[float, float, float]:
        return -self.q, 1.0 - self.q, y

    def link(self, mean: float) -> float:
        return mean

    def check(self) -> Any:
        return self

    def check_target(self, y: Any) -> None:
        pass


def test_a_loss_of_ones_own_with_a_straight_conjugate() -> None:
    """With a lasso that leaves no coefficient, the intercept is the quantile."""
    given = Data(np.random.default_rng(0).standard_normal((99, 2)), np.random.default_rng(1).standard_normal(99))
    solution = fit(Problem(Pinball(), penalties.L1(10.0)), given, tol=1e-9)
    assert solution.status == "converged"
    assert_allclose(solution.coef, 0.0, atol=1e-7)
    assert_allclose(solution.intercept, np.sort(given.y)[29], atol=1e-6)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(losses.Logistic(), penalties.L2(0.1)),
        Problem(HINGE, penalties.Zero()),
        Problem(HINGE, penalties.L2(0.0)),
        Problem(HINGE, penalties.L2(0.1, weights=[0.0, 1.0, 1.0, 1.0, 1.0])),
    ],
    ids=["smooth", "none", "nought", "weights"],
)
def test_what_it_does_not_solve_it_says(problem: Problem) -> None:
    with pytest.raises(ProblemError, match=r"InteriorPoint needs .*; use"):
        fit(problem, rows(HINGE))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_is_not_finite_is_named(value: float) -> None:
    given = rows(HINGE)
    given.X[7, 2] = value
    with pytest.raises(ValueError, match="column"):
        fit(Problem(HINGE, penalties.L2(0.1)), given)
