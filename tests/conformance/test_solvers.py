"""What every solver promises, for every loss and penalty it accepts: judged by the certificate and by SciPy."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from conformance.oracle import Data, Floats, objective, optimum
from conformance.registry import classes
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit.solution import Solution
from offbeat.fit.solve import solve

N_CLASSES = 3
TOL = 1e-8
LOSSES = [cls(N_CLASSES) if cls.name == "multinomial" else cls() for cls in classes(losses)]
SOLVERS = [cls() for name in solvers.__all__ if getattr(cls := getattr(solvers, name), "exact", True)]
STRENGTHS: dict[str, list[Any]] = {
    "l2": [penalties.L2(0.05), penalties.L2(1e-4)],
    "l1": [penalties.L1(0.02), penalties.L1(0.02, weights=[1.0, 0.0, 2.0, 1.0, 0.5])],
    "elastic-net": [penalties.ElasticNet(0.05, 0.5)],
    "box": [penalties.Box(-0.1, 0.15), penalties.NonNegative(), penalties.Box(0.05, math.inf, 0.1)],
}
PENALTIES = [p for cls in classes(penalties) for p in STRENGTHS.get(cls.name, [cls()])]
OPTIMA: dict[Any, float] = {}
SMOOTH, KINKED = penalties.L2(0.05), penalties.L1(0.02)


def target(loss: Any, z: Floats, rng: np.random.Generator) -> Floats:
    """Targets that a model with predictors ``z`` might have drawn."""
    noise = rng.standard_normal(len(z))
    if loss.name == "multinomial":
        return rng.permutation(np.arange(len(z)) % loss.n_classes).astype(float)
    if loss.classifier:
        return (z + 2.0 * noise > 0.0).astype(float)
    if loss.name == "poisson":
        return rng.poisson(np.exp(np.clip(z, -2.0, 2.0))).astype(float)
    if loss.name == "gamma":
        return np.exp(0.5 * z) * rng.gamma(2.0, size=len(z))
    return z + noise


def data(loss: Any, n: int = 60, k: int = 5, extras: bool = False) -> Data:
    """Columns on different scales and away from zero; with ``extras`` weights (some are zero) and offsets."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, k)) * np.geomspace(0.3, 3.0, k) + np.linspace(-1.0, 1.0, k)
    y = target(loss, X @ rng.standard_normal(k) / np.sqrt(k), rng)
    if not extras:
        return Data(X, y)
    weight = rng.integers(0, 4, n) * 0.5
    return Data(X, y, weight, 0.3 * rng.standard_normal(n))


def best(problem: Problem, n: int = 60, k: int = 5, extras: bool = False, fit_intercept: bool = True) -> float:
    """Optimal objective, found once for all solvers."""
    key = (problem.loss.name, repr(problem), n, k, extras, fit_intercept)
    if key not in OPTIMA:
        OPTIMA[key] = optimum(problem, data(problem.loss, n, k, extras), fit_intercept=fit_intercept)
    return OPTIMA[key]


def run(problem: Problem, given: Data, solver: Any, **options: Any) -> Solution:
    settings = {
        "tol": TOL if getattr(problem.loss, "smooth", True) or problem.penalty.smooth else 1e-6,
        "max_iter": 20_000.0,
        "engine": engines.Serial(),
    } | options
    return solve(
        problem,
        given.X,
        given.y,
        solver=solver,
        sample_weight=given.weight if given.weight.size else None,
        offset=given.offset if given.offset.size else None,
        **settings,
    )


def accepts(solver: Any, problem: Problem) -> bool:
    try:
        solver.check(problem)
    except ProblemError:
        return False
    return True


def linear(problem: Problem) -> bool:
    """Whether it is a linear program without a bound on every dual variable: ADMM gets close, and proves nothing."""
    loss, penalty = problem.loss, problem.penalty
    free = penalty.name == "none" or 0.0 in (penalty.weights or ()) or (penalty.name == "box" and not penalty.alpha)
    return not getattr(loss, "smooth", True) and free


def cases(of_losses: list[Any], of_penalties: list[Any]) -> list[Any]:
    """All that fit together: parameters ``problem`` and ``solver`` of a test."""
    found = []
    for loss in of_losses:
        for penalty in of_penalties:
            for solver in SOLVERS:
                problem = Problem(loss, penalty)
                if accepts(solver, problem) and not linear(problem):
                    fields = [f"{x:g}" for x in penalty if isinstance(x, float)]
                    name = "-".join([loss.name, penalty.name, *fields, solver.name])
                    name += "-weights" if penalty.weights else ""
                    found.append(pytest.param(problem, solver, id=name))
    return found


def judge(problem: Problem, given: Data, solution: Solution, reference: float) -> None:
    """The certificate is true, and the model as good as SciPy's."""
    c = solution.certificate
    assert solution.status == "converged"
    assert c.satisfied
    assert_allclose(c.primal, objective(problem, given, solution.coef, solution.intercept), rtol=1e-12)
    slack = 1e-11 * max(abs(reference), 1.0)
    assert c.primal <= reference + (c.gap if c.kind == "duality gap" else 1e-7) + slack
    duals = [row.dual for row in solution.trace if row.kind == "update" and math.isfinite(row.dual)]
    assert max(duals, default=-math.inf) <= reference + slack
    if c.kind == "duality gap":
        assert_allclose(c.gap, c.primal - c.dual, atol=slack)
        assert c.gap <= 10.0 * c.tolerance * max(reference, 1.0)


@pytest.mark.parametrize(("problem", "solver"), cases(LOSSES, PENALTIES))
def test_finds_the_optimum_and_proves_it(problem: Problem, solver: Any) -> None:
    given = data(problem.loss)
    judge(problem, given, run(problem, given, solver), best(problem))


@pytest.mark.parametrize(("problem", "solver"), cases(LOSSES, [SMOOTH, KINKED]))
def test_weights_and_offsets(problem: Problem, solver: Any) -> None:
    given = data(problem.loss, extras=True)
    judge(problem, given, run(problem, given, solver), best(problem, extras=True))


@pytest.mark.parametrize(("problem", "solver"), cases(LOSSES, [SMOOTH, KINKED]))
def test_more_columns_than_rows(problem: Problem, solver: Any) -> None:
    given = data(problem.loss, n=12, k=20)
    solution = run(problem, given, solver, max_iter=100_000.0)  # ADMM takes 50,000 for a linear program, in 3 s
    judge(problem, given, solution, best(problem, n=12, k=20))


@pytest.mark.parametrize(("problem", "solver"), cases(LOSSES, [SMOOTH, KINKED]))
def test_without_intercept(problem: Problem, solver: Any) -> None:
    given = data(problem.loss)
    solution = run(problem, given, solver, fit_intercept=False)
    assert_array_equal(solution.intercept, np.zeros_like(solution.intercept))
    judge(problem, given, solution, best(problem, fit_intercept=False))


@pytest.mark.parametrize(("problem", "solver"), cases(LOSSES, [SMOOTH, KINKED]))
def test_a_certificate_is_true_long_before_convergence(problem: Problem, solver: Any) -> None:
    given, reference = data(problem.loss), best(problem)
    for passes in (1, 2, 4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solution = run(problem, given, solver, max_iter=passes, tol=0.0)
        c = solution.certificate
        before = [row.passes for row in solution.trace if row.kind == "update"][:-1]
        assert solution.passes <= passes or all(p < passes for p in before[:-1])  # the last round may be a long one
        assert_allclose(c.primal, objective(problem, given, solution.coef, solution.intercept), rtol=1e-12)
        assert c.dual <= reference + 1e-12 * abs(reference)
        assert c.primal >= reference - 1e-9
        if problem.n_outputs == 1:
            assert c.kind == "duality gap"


SOME_LOSSES = [loss for loss in LOSSES if loss.name in ("logistic", "squared", "multinomial")]
CONTAINERS: dict[str, tuple[Callable[[Floats], Any], float]] = {
    "float32": (lambda X: X.astype(np.float32), 2e-4),
    "fortran": (np.asfortranarray, 1e-9),
    "strided": (lambda X: np.repeat(X, 2, axis=0)[::2], 1e-9),
    "csr": (sparse.csr_array, 1e-9),
    "csc-float32": (lambda X: sparse.csc_array(X.astype(np.float32)), 2e-4),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("problem", "solver"), cases(SOME_LOSSES, [SMOOTH, KINKED]))
def test_the_container_does_not_matter(problem: Problem, solver: Any, container: str) -> None:
    convert, accuracy = CONTAINERS[container]
    given = data(problem.loss)
    hollow = replace(given, X=np.where(np.abs(given.X) < 0.5, 0.0, given.X))
    expected = run(problem, hollow, solver, tol=1e-10)
    tol = 1e-10 if accuracy < 1e-6 else 1e-5
    solution = run(problem, replace(hollow, X=convert(hollow.X)), solver, tol=tol)
    assert solution.status == "converged"
    assert_allclose(solution.certificate.primal, expected.certificate.primal, rtol=accuracy)
    assert_allclose(
        objective(problem, hollow, solution.coef, solution.intercept), expected.certificate.primal, rtol=accuracy
    )


class SerialOnShards(engines.Serial):
    """One thread, but as many shards as asked for."""

    @property
    def n_workers(self) -> int:
        return 3


@pytest.mark.parametrize(("problem", "solver"), cases(SOME_LOSSES, [SMOOTH, KINKED]))
def test_threads_and_serial_agree_to_the_last_bit(problem: Problem, solver: Any) -> None:
    given = data(problem.loss)
    one = run(problem, given, solver, engine=SerialOnShards())
    three = run(problem, given, solver, engine=engines.Threads(3))
    assert_array_equal(one.coef, three.coef)
    assert_array_equal(one.intercept, three.intercept)
    assert one.certificate == three.certificate


@pytest.mark.parametrize(("problem", "solver"), cases(SOME_LOSSES, [SMOOTH, KINKED]))
def test_a_weight_counts_rows(problem: Problem, solver: Any) -> None:
    given = data(problem.loss)
    times = np.random.default_rng(3).integers(0, 4, len(given.y))
    repeated = Data(np.repeat(given.X, times, axis=0), np.repeat(given.y, times))
    share = len(given.y) / times.sum()  # the mean is over rows, not over weights
    weaker = Problem(problem.loss, problem.penalty._replace(alpha=problem.penalty.alpha * share))
    one = run(problem, replace(given, weight=times.astype(float)), solver, tol=1e-11)
    other = run(weaker, repeated, solver, tol=1e-11)
    assert_allclose(one.coef, other.coef, atol=1e-5)
    assert_allclose(one.certificate.primal * share, other.certificate.primal, rtol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize(("problem", "solver"), cases(SOME_LOSSES, [SMOOTH, KINKED]))
def test_standardize_is_what_it_says(problem: Problem, solver: Any, container: Any) -> None:
    given = data(problem.loss)
    mean, scale = given.X.mean(axis=0), given.X.std(axis=0)
    explicit = run(problem, replace(given, X=(given.X - mean) / scale), solver, tol=1e-11)
    implicit = run(problem, replace(given, X=container(given.X)), solver, tol=1e-11, standardize=True)
    assert_allclose(implicit.certificate.primal, explicit.certificate.primal, rtol=1e-10)
    assert_allclose((implicit.coef.T * scale).T, explicit.coef, atol=1e-5)


@pytest.mark.parametrize(("problem", "solver"), cases(LOSSES, [SMOOTH, KINKED]))
def test_a_warm_start_needs_one_look(problem: Problem, solver: Any) -> None:
    given = data(problem.loss)
    cold = run(problem, given, solver, tol=1e-9)
    warm = run(problem, given, solver, start=(cold.coef, cold.intercept))
    assert warm.status == "converged"
    updates = [row for row in warm.trace if row.kind == "update"]
    if (solver.name == "admm" and not problem.penalty.smooth) or not getattr(problem.loss, "smooth", True):
        assert warm.passes <= 1.1 * cold.passes  # the proof is in the multipliers, and these begin anew
    else:
        assert warm.passes <= 1.0 or len(updates) == 2  # of a round, and of the certificate
    slack = 0.0 if problem.n_outputs > 1 else warm.certificate.gap + cold.certificate.gap
    assert_allclose(warm.certificate.primal, cold.certificate.primal, rtol=1e-10, atol=slack)


@pytest.mark.parametrize(("problem", "solver"), cases(SOME_LOSSES[:1], [SMOOTH, KINKED]))
def test_stopping_early(problem: Problem, solver: Any) -> None:
    given, seen = data(problem.loss), []
    last = 1 if solver.name == "row-space" else 2  # its second update may be exact

    def stop(progress: Any, row: Any) -> bool:
        seen.append(objective(problem, given, progress.coef, progress.intercept))
        assert_allclose(seen[-1], row.primal, rtol=1e-12)
        return len(seen) == last

    with pytest.warns(ConvergenceWarning, match="callback"):
        solution = run(problem, given, solver, tol=0.0, callback=stop)
    assert (solution.status, len(seen)) == ("callback", last)
    with pytest.warns(ConvergenceWarning, match="time_limit"):
        solution = run(problem, given, solver, time_limit=0.0)
    assert solution.status == "time_limit"
    assert np.all(np.isfinite(solution.coef))


class Twice:
    """A solver whose every step is taken twice: pure steps do not notice."""

    max_staleness = 0.0

    def __init__(self, inner: Any) -> None:
        self.inner, self.name = inner, inner.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
        first = self.inner.local_step(problem, shard, local, query)
        second = self.inner.local_step(problem, shard, local, pickle.loads(pickle.dumps(query)))
        assert_array_equal(first.payload, second.payload)
        return second

    def global_step(self, problem: Any, state: Any, board: Any) -> Any:
        before = pickle.dumps(state)
        self.inner.global_step(problem, state, board)
        assert pickle.dumps(state) == before
        return self.inner.global_step(problem, pickle.loads(before), board)


@pytest.mark.parametrize(("problem", "solver"), cases(SOME_LOSSES, [SMOOTH, KINKED]))
def test_steps_are_pure_and_what_crosses_machines_pickles(problem: Problem, solver: Any) -> None:
    given = data(problem.loss)
    plain, twice = run(problem, given, solver), run(problem, given, Twice(solver))
    assert_array_equal(plain.coef, twice.coef)
    assert plain.passes == twice.passes


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)
def test_what_a_solver_cannot_do_it_says(solver: Any) -> None:
    assert pickle.loads(pickle.dumps(solver)) == solver
    for loss in LOSSES:
        for penalty in PENALTIES:
            problem = Problem(loss, penalty)
            if not accepts(solver, problem):
                with pytest.raises(ProblemError, match=r"use .*(ProximalGradient|ADMM)"):
                    run(problem, data(loss), solver)
