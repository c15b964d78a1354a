"""Losses and penalties from outside the package, fitted with every solver that says it can."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.optimize import linprog
from scipy.special import expit

from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.data.load import as_dataset
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit import choice
from offbeat.fit.solve import solve
from offbeat.losses import questions
from support.outside import Floats, GroupLasso, Pinball, TwoSlopes

N, K = 60, 6
GROUPS = (0, 1, 1, 2, 2, 2)
GROUP = GroupLasso(0.05, GROUPS)
PINBALL = Pinball(0.3)
TOL = 1e-6
PROBLEMS = [
    *(Problem(loss, GROUP) for loss in (losses.Squared(), losses.Logistic(), losses.Huber(0.5), PINBALL)),
    *(Problem(PINBALL, p) for p in (penalties.L2(0.05), penalties.L1(0.02), penalties.ElasticNet(0.05, 0.5))),
]
SOLVERS = [getattr(solvers, name)() for name in solvers.__all__]
CONTAINERS: dict[str, Any] = {
    "dense": np.asarray,
    "dense32": lambda X: X.astype(np.float32),
    "csr": sparse.csr_array,
    "csr32": lambda X: sparse.csr_array(X.astype(np.float32)),
}
REFERENCES: dict[Any, float] = {}


def rows(loss: Any) -> tuple[Floats, Floats]:
    """Columns in units that are far apart, some zeros, numbers that single precision holds exactly."""
    rng = np.random.default_rng(11)
    X = rng.standard_normal((N, K)) * np.geomspace(0.2, 4.0, K) + np.linspace(-1.0, 1.0, K)
    X = np.where(np.abs(X) < 0.3, 0.0, X).astype(np.float32).astype(np.float64)
    z = X @ np.array([2.0, -0.5, 0.5, 0.0, 0.0, 0.0]) + rng.standard_normal(N)
    return X, (z > 0.5).astype(float) if loss.classifier else z


def mean_loss(loss: Any, z: Floats, y: Floats) -> float:
    return float(np.mean([loss.value(a, b) for a, b in zip(z.tolist(), y.tolist(), strict=True)]))


def strength(penalty: Any, w: Floats) -> float:
    """Value of a penalty without weights."""
    if penalty.name == "group-lasso":
        groups = np.array(penalty.groups)
        blocks = [w[groups == g] for g in np.unique(groups)]
        return float(sum(penalty.alpha * math.sqrt(len(b)) * np.linalg.norm(b) for b in blocks))
    return float(sum(penalty.value(each, 1.0) for each in w.tolist()))


def objective(problem: Problem, coef: Floats, intercept: float) -> float:
    X, y = rows(problem.loss)
    return mean_loss(problem.loss, X @ coef + intercept, y) + strength(problem.penalty, coef)


def linear_program(X: Floats, y: Floats, slopes: tuple[float, float], alpha: float, intercept: bool) -> float:
    """Optimum of the pinball loss with a lasso."""
    n, k = X.shape
    cost = np.concatenate([np.full(2 * k, alpha), [0.0], np.full(n, slopes[0] / n), np.full(n, slopes[1] / n)])
    equal = np.hstack([X, -X, np.ones((n, 1)), np.eye(n), -np.eye(n)])
    free = (None, None) if intercept else (0.0, 0.0)
    bounds = [(0.0, None)] * (2 * k) + [free] + [(0.0, None)] * (2 * n)
    return float(linprog(cost, A_eq=equal, b_eq=y, bounds=bounds, method="highs").fun)


def shrunk(penalty: Any, w: Floats, step: float) -> Floats:
    """Proximal point of a ridge, an elastic net or the group lasso."""
    if penalty.name != "group-lasso":
        l1, l2 = float(penalty.l1(1.0)), float(penalty.curvature(1.0))
        return np.sign(w) * np.maximum(np.abs(w) - step * l1, 0.0) / (1.0 + step * l2)
    out, groups = w.copy(), np.array(GROUPS)
    for g in np.unique(groups):
        norm = float(np.linalg.norm(w[groups == g]))
        limit = step * penalty.alpha * math.sqrt(float(np.sum(groups == g)))
        out[groups == g] *= max(0.0, 1.0 - limit / norm) if norm > 0.0 else 0.0
    return out


def slope_of(loss: Any, z: Floats, y: Floats) -> Floats:
    if loss.name == "logistic":
        return expit(z) - y
    return z - y if loss.name == "squared" else np.clip(z - y, -loss.delta, loss.delta)


def long_proximal_gradient(loss: Any, X: Floats, y: Floats, intercept: bool) -> tuple[Floats, float]:
    """Accelerated proximal gradient with a fixed step, for long."""
    A = np.hstack([X, np.full((len(y), 1), float(intercept))])
    step = len(y) / float(np.linalg.norm(A, 2)) ** 2
    x = v = np.zeros(A.shape[1])
    t = 1.0
    for _ in range(20_000):
        new = v - step * (A.T @ slope_of(loss, A @ v, y)) / len(y)
        new[:-1] = shrunk(GROUP, new[:-1], step)
        if float((v - new) @ (new - x)) > 0.0:
            t = 1.0
        ahead = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        x, v, t = new, new + (t - 1.0) / ahead * (new - x), ahead
    return x[:-1], float(x[-1])


def long_primal_dual(problem: Problem, X: Floats, y: Floats, intercept: bool) -> tuple[Floats, float]:
    """Primal-dual hybrid gradient (Chambolle & Pock 2011), for the pinball loss."""
    n, q = len(y), problem.loss.quantile
    A = np.hstack([X, np.full((n, 1), float(intercept))]) / n
    size = float(np.linalg.norm(A, 2))
    sigma, tau = 9.9 / size, 0.1 / size
    x, theta = np.zeros(A.shape[1]), np.zeros(n)
    for _ in range(20_000):
        new = x - tau * (A.T @ theta)
        new[:-1] = shrunk(problem.penalty, new[:-1], tau)
        theta = np.clip(theta + sigma * (A @ (2.0 * new - x) - y / n), -q, 1.0 - q)
        x = new
    return x[:-1], float(x[-1])


def reference(problem: Problem, intercept: bool) -> float:
    """Optimal objective, found once, by code that shares nothing with the package."""
    key = (repr(problem), intercept)
    if key not in REFERENCES:
        loss, penalty = problem.loss, problem.penalty
        X, y = rows(loss)
        if loss.name != "pinball":
            best = objective(problem, *long_proximal_gradient(loss, X, y, intercept))
        elif penalty.name == "l1":
            best = linear_program(X, y, (loss.quantile, 1.0 - loss.quantile), penalty.alpha, intercept)
        else:
            best = objective(problem, *long_primal_dual(problem, X, y, intercept))
        REFERENCES[key] = best
    return REFERENCES[key]


def accepts(solver: Any, problem: Problem) -> bool:
    try:
        solver.check(problem)
    except ProblemError:
        return False
    return True


def cases(exact: bool) -> list[Any]:
    chosen: list[Any] = [s for s in SOLVERS if getattr(s, "exact", True) == exact]
    chosen += ["auto"] if exact else []
    return [
        pytest.param(
            problem, solver, id=f"{problem.loss.name}-{problem.penalty.name}-{getattr(solver, 'name', solver)}"
        )
        for problem in PROBLEMS
        for solver in chosen
        if solver == "auto" or accepts(solver, problem)
    ]


def test_each_is_taken_by_the_solvers_that_can() -> None:
    taken = {(p.values[0].loss.name, p.values[0].penalty.name, p.values[1]) for p in cases(True) + cases(False)}
    names = {(*key[:2], getattr(key[2], "name", key[2])) for key in taken}
    assert names >= {
        ("squared", "group-lasso", name) for name in ("proximal-gradient", "admm", "sgd", "dual-averaging")
    }
    assert names >= {("pinball", "l2", name) for name in ("sdca", "interior-point", "admm", "hogwild")}
    assert names >= {("pinball", "group-lasso", name) for name in ("admm", "sgd", "dual-averaging")}


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("problem", "solver"), cases(exact=True))
def test_is_solved_and_certified(problem: Problem, solver: Any, container: str, intercept: bool) -> None:
    X, y = rows(problem.loss)
    given = CONTAINERS[container](X)
    found = solve(problem, given, y, solver=solver, tol=TOL, max_iter=50_000, fit_intercept=intercept)
    c, best = found.certificate, reference(problem, intercept)
    assert found.status == "converged" and c.satisfied and c.kind == "duality gap"
    assert_allclose(c.primal, objective(problem, found.coef, found.intercept), rtol=1e-12)
    assert c.dual <= best + 1e-10 * best
    assert best - 1e-6 * best <= c.primal <= best + c.gap + 1e-10 * best
    assert intercept or found.intercept == 0.0


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("problem", "solver"), cases(exact=False))
def test_comes_near_and_claims_no_more_than_is_true(problem: Problem, solver: Any, container: str) -> None:
    X, y = rows(problem.loss)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = solve(problem, CONTAINERS[container](X), y, solver=solver, tol=TOL, max_iter=30)
    c, best = found.certificate, reference(problem, True)
    start = objective(problem, np.zeros(K), float(np.median(y)))
    assert_allclose(c.primal, objective(problem, found.coef, found.intercept), rtol=1e-12)
    assert c.dual <= best + 1e-10 * best
    assert best - 1e-6 * best <= c.primal <= best + max(0.2 * (start - best), 0.01 * best)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)
def test_what_a_solver_cannot_do_it_says(solver: Any) -> None:
    for problem in PROBLEMS:
        if not accepts(solver, problem):
            with pytest.raises(ProblemError, match=r"use .*(ProximalGradient|ADMM)"):
                solver.check(problem)


def test_a_kinked_loss_that_knows_no_step_has_no_solver() -> None:
    X, y = rows(losses.Squared())
    with pytest.raises(ProblemError, match=r"no solver takes the two-slopes loss.*dual_step"):
        solve(Problem(TwoSlopes(), GROUP), X, y)


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "origin"])
def test_interior_points_find_all_pieces_of_a_conjugate(intercept: bool) -> None:
    X, y = rows(losses.Squared())
    problem = Problem(TwoSlopes(0.4), penalties.L1(0.02))
    found = solve(problem, X, y, solver=solvers.InteriorPoint(), tol=1e-8, fit_intercept=intercept)
    cost = np.concatenate([np.full(2 * K, 0.02), [0.0], np.full(2 * N, 1.0 / N), np.full(N, 1.0 / N)])
    rest = np.zeros((N, N))
    equal = np.hstack([X, -X, np.ones((N, 1)), -np.eye(N), np.eye(N), rest])
    beyond = np.hstack([np.zeros((N, 2 * K + 1)), np.eye(N), np.eye(N), -np.eye(N)])
    free = (None, None) if intercept else (0.0, 0.0)
    bounds = [(0.0, None)] * (2 * K) + [free] + [(0.0, None)] * (3 * N)
    best = linprog(cost, A_ub=beyond, b_ub=np.full(N, 0.4), A_eq=equal, b_eq=y, bounds=bounds, method="highs").fun
    assert found.status == "converged"
    assert_allclose(found.certificate.primal, best, rtol=1e-7)
    assert found.certificate.dual <= best * (1.0 + 1e-12)


def test_auto_takes_what_is_for_such_classes() -> None:
    X, y = rows(losses.Squared())
    dataset = as_dataset(X, y)

    def name(problem: Problem, staleness: float = 0.0) -> str:
        return choice.solver(problem, dataset, "auto", staleness=staleness)[0].name

    assert name(Problem(PINBALL, penalties.L2(0.1))) == "interior-point"
    assert name(Problem(PINBALL, GROUP)) == "admm"
    assert name(Problem(PINBALL, penalties.Zero())) == "admm"
    assert name(Problem(losses.Squared(), GROUP)) == "proximal-gradient"
    assert name(Problem(losses.Squared(), GROUP), math.inf) == "delayed-proximal-gradient"


@pytest.mark.parametrize("solver", [solvers.ADMM(), solvers.DelayedProximalGradient(repeats=3)], ids=lambda s: s.name)
def test_a_group_penalty_without_rounds(solver: Any) -> None:
    problem = Problem(losses.Logistic(), GROUP)
    cluster = engines.Simulated(3, straggler={0: 5.0}, seed=1)
    X, y = rows(problem.loss)
    found = solve(problem, X, y, solver=solver, engine=cluster, staleness=math.inf, tol=1e-5, max_iter=20_000)
    best = reference(problem, True)
    assert found.status == "converged"
    assert found.certificate.dual <= best * (1.0 + 1e-10)
    assert found.certificate.primal <= best + found.certificate.gap


def test_a_group_is_zero_or_not_whatever_the_units_of_its_columns() -> None:
    """The penalty is about coefficients in the units of the columns: internal scales change nothing."""
    X, y = rows(losses.Squared())
    strong = Problem(losses.Squared(), GroupLasso(0.1, GROUPS))
    found = solve(strong, X, y, tol=1e-10)
    away, _ = long_proximal_gradient(losses.Squared(), X, y, True)
    groups = np.array(GROUPS)
    zero = [bool(np.all(found.coef[groups == g] == 0.0)) for g in range(3)]
    assert any(zero) and not all(zero)
    assert all(bool(np.all(found.coef[groups == g] != 0.0)) for g in range(3) if not zero[g])
    best = solve(Problem(losses.Squared(), GROUP), X, y, tol=1e-12)
    assert_allclose(best.coef, away, atol=1e-6)


def test_standardised_columns_are_penalised_as_they_are_then() -> None:
    X, y = rows(losses.Squared())
    problem = Problem(losses.Squared(), GROUP)
    scale = X.std(axis=0)
    implicit = solve(problem, X, y, tol=1e-10, standardize=True)
    explicit = solve(problem, X / scale, y, tol=1e-10)
    assert_allclose(implicit.certificate.primal, explicit.certificate.primal, rtol=1e-9)
    assert_allclose(implicit.coef * scale, explicit.coef, atol=1e-5)


def test_classes_have_a_group_penalty_each() -> None:
    X, _ = rows(losses.Squared())
    y = (np.arange(N) % 3).astype(float)
    X[:, 0] += y
    problem = Problem(losses.Multinomial(3), GroupLasso(0.02, GROUPS))
    found = solve(problem, X, y, tol=1e-7)
    other = solve(problem, X, y, solver=solvers.DelayedProximalGradient(), tol=1e-7, max_iter=20_000)
    assert found.status == other.status == "converged"
    z = X @ found.coef + found.intercept
    loss = float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(N), y.astype(int)]))
    value = loss + sum(strength(problem.penalty, found.coef[:, c]) for c in range(3))
    assert_allclose(found.certificate.primal, value, rtol=1e-12)
    assert_allclose(other.certificate.primal, value, rtol=1e-6)


def test_a_group_without_a_penalty_leaves_no_finite_dual() -> None:
    X, y = rows(losses.Squared())
    weights = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    found = solve(Problem(losses.Squared(), GROUP._replace(weights=weights)), X, y, tol=1e-6)
    assert found.status == "converged" and found.certificate.kind == "gradient"
    assert found.coef[0] != 0.0


class TestBlockwise:
    """The vector protocol, on internal coefficients whose factor differs between groups."""

    factor = np.array([0.5, 3.0, 3.0, 1.5, 1.5, 1.5])

    def penalty(self) -> Any:
        return Problem(losses.Squared(), GROUP).scaled_penalty(K, 1.0 / self.factor)

    def test_the_proximal_point_is_the_best(self) -> None:
        rng, penalty = np.random.default_rng(0), self.penalty()
        for _ in range(50):
            v, step = rng.standard_normal(K) * 0.5, 0.3
            u = penalty.prox(v, step)
            assert penalty.optimality(u, (u - v) / step) <= 1e-12
            best = 0.5 * float((u - v) @ (u - v)) + step * strength(GROUP, self.factor * u)
            for _ in range(20):
                x = u + 0.1 * rng.standard_normal(K)
                assert 0.5 * float((x - v) @ (x - v)) + step * strength(GROUP, self.factor * x) >= best

    def test_conjugates_fit_values(self) -> None:
        rng, penalty = np.random.default_rng(1), self.penalty()
        for _ in range(50):
            v = rng.standard_normal(K)
            u = penalty.prox(v, 0.3)
            slope = (v - u) / 0.3
            assert penalty.dual_scale(slope) >= 1.0 - 1e-12
            scale = penalty.dual_scale(slope)
            assert_allclose(penalty.value(u) + penalty.conjugate(slope, scale), u @ slope, rtol=1e-10, atol=1e-14)
            edge = penalty.dual_scale(10.0 * v + 1.0)
            assert edge < 1.0 and math.isfinite(penalty.conjugate(10.0 * v + 1.0, edge))
            assert math.isinf(penalty.conjugate(10.0 * v + 1.0, edge * (1.0 + 1e-9)))

    def test_scales_are_the_same_within_a_block(self) -> None:
        problem = Problem(losses.Squared(), GROUP)
        common = problem.common_scale(np.array([2.0, 1.0, 4.0, 1e-3, 1.0, 1e3]))
        assert_allclose(common, [2.0, 2.0, 2.0, 1.0, 1.0, 1.0], rtol=1e-12)
        assert np.array_equal(problem.common_scale(common), common)
        with pytest.raises(ProblemError, match="different scales"):
            problem.scaled_penalty(K, np.arange(1.0, 7.0))

    def test_a_penalty_that_does_not_grow_everywhere_has_no_dual(self) -> None:
        assert self.penalty().has_dual
        assert not Problem(losses.Squared(), GroupLasso(0.0, GROUPS)).scaled_penalty(K).has_dual


def test_questions_have_answers_for_classes_that_give_none() -> None:
    for loss in (PINBALL, TwoSlopes()):
        assert questions.n_outputs(loss) == 1 and questions.link_name(loss) is None
        assert not questions.probabilistic(loss) and questions.variance_power(loss) is None
        assert questions.piecewise_linear(loss) and not questions.bounded_curvature(loss)
        assert questions.means(loss, np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
