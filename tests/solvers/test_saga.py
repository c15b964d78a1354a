"""SAGA: the right optimum from any container, in any order of work, with threads; awkward rows; losses of one's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from conformance.oracle import Data, objective, optimum
from offbeat import Problem, engines, losses, penalties, solve, solvers
from offbeat.data.load import as_dataset
from offbeat.datasets import make_sparse_classification
from offbeat.errors import ProblemError
from offbeat.kernels import saga
from offbeat.solvers.saga import shard as saga_rows
from offbeat.solvers.saga.messages import SagaContribution
from support.bench import SerialShards, twice

PENALTIES = [
    penalties.Zero(),
    penalties.L2(1e-2),
    penalties.L1(1e-2),
    penalties.ElasticNet(2e-2, 0.3),
    penalties.Box(-0.2, 0.3),
]


def rows(n: int = 400, k: int = 8, seed: int = 0) -> Data:
    """Sparse rows with a feature that never occurs, rows of zeros, one column that nearly always occurs."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((n, k)) < 0.4, rng.standard_normal((n, k)) + 0.5, 0.0)
    X[:, 0] = rng.random(n) < 0.9
    X[:, 4] = 0.0
    X[3:6] = 0.0
    y = (X @ rng.standard_normal(k) + 0.3 + rng.standard_normal(n) > 0.0).astype(float)
    return Data(X, y, rng.integers(0, 3, n) * 1.0, 0.3 * rng.standard_normal(n))


def fit(problem: Problem, X: Any, given: Data, **options: Any) -> Any:
    settings = {"tol": 1e-10, "max_iter": 5000.0, "engine": engines.Serial(), "solver": solvers.SAGA()} | options
    return solve(problem, X, given.y, sample_weight=given.weight, offset=given.offset, **settings)


ORDERS: dict[str, dict[str, Any]] = {
    "one shard": {},
    "one after another": {"staleness": math.inf, "concurrency": 1},
    "side by side": {"engine": SerialShards()},
    "asynchronous": {"engine": engines.Simulated(3, straggler={0: 4.0}), "staleness": math.inf},
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: p.name)
def test_all_containers_and_orders_of_work_lead_to_the_optimum(penalty: Any, order: str, tmp_path: Path) -> None:
    given, problem = rows(), Problem(losses.Logistic(), penalty)
    best = optimum(problem, given)
    np.save(tmp_path / "x.npy", given.X)
    compressed = sparse.csr_array(given.X)
    containers = [
        given.X, compressed, twice(given.X), [given.X[:150], given.X[150:]], [compressed[:10], compressed[10:]],
        tmp_path / "x.npy",
    ]  # fmt: skip
    for X in containers:
        solution = fit(problem, X, given, memory_budget="8KiB", **ORDERS[order])
        assert solution.status == "converged"
        value = objective(problem, given, solution.coef, solution.intercept)
        assert_allclose(solution.certificate.primal, value, rtol=1e-12)
        assert_allclose(value, best, rtol=1e-8)
        if penalty.name == "l1":
            assert solution.coef[4] == 0.0


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("penalty", PENALTIES[1:4], ids=lambda p: p.name)
def test_threads_without_locks_leave_no_floor(penalty: Any, container: Any) -> None:
    given, problem = rows(4000), Problem(losses.Logistic(), penalty)
    for threads in (2, 4):
        solution = fit(problem, container(given.X), given, solver=solvers.SAGA(threads=threads))
        assert solution.status == "converged"
        assert solution.certificate.relative_gap <= 1e-10
        assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=1e-9)


def test_what_threads_do_to_each_other_does_not_reach_the_gradient() -> None:
    given = rows(4000)
    problem = Problem(losses.Logistic(), penalties.L2(1e-2))
    shard, solver = as_dataset(given.X, given.y).shards(1)[0], solvers.SAGA(threads=3)
    info = _info(problem, given)
    _, query = solver.init_global(problem, info)
    first = solver.local_step(problem, shard, solver.init_local(problem, shard), query)
    step = solver.local_step(problem, shard, first.local, query._replace(number=1))
    c = SagaContribution.unflat(step.payload, 9, 0)
    centred = given.X - info.center
    assert_allclose(c.gradient, np.append(centred.T @ c.table, c.table.sum()), atol=1e-9)


def _info(problem: Problem, given: Data) -> Any:
    from offbeat.fit.inspection import Options, inspect

    dataset = as_dataset(given.X, given.y)
    return inspect(problem, dataset, dataset.shards(1), engines.Serial(), Options())


@pytest.mark.parametrize("loss", [losses.Squared(), losses.Huber(), losses.SquaredHinge()], ids=lambda x: x.name)
def test_other_losses(loss: Any) -> None:
    given, problem = rows(), Problem(loss, penalties.ElasticNet(1e-2, 0.5))
    solution = fit(problem, sparse.csr_array(given.X), given)
    assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=1e-8)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", [losses.Poisson(), losses.Gamma()], ids=lambda x: x.name)
def test_targets_over_orders_of_magnitude_do_not_make_implicit_steps_overshoot(loss: Any, container: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 6))
    mean = np.exp(X @ np.linspace(-1.5, 1.5, 6))
    y = rng.poisson(mean).astype(float) if loss.name == "poisson" else mean * rng.gamma(2.0, size=2000)
    assert y.max() > 100.0 * y.mean() ** 0.5
    given, problem = Data(X, y), Problem(loss, penalties.L2(1e-2))
    solution = solve(problem, container(X), y, solver=solvers.SAGA(), tol=1e-9, engine=engines.Serial())
    assert solution.status == "converged"
    assert_allclose(solution.certificate.primal, optimum(problem, given), rtol=1e-8)


@pytest.mark.parametrize("z", [-30.0, 0.0, 5.0, 800.0])
@pytest.mark.parametrize("old", [-20.0, 0.0, 1e3])
@pytest.mark.parametrize("reach", [1e-3, 1.0, 1e3])
def test_an_implicit_step_ends_where_its_slope_says(z: float, old: float, reach: float) -> None:
    loss = losses.Poisson()
    at = saga.implicit(loss, z, 4.0, 1.5, old, reach)
    assert math.isfinite(at)
    moved = reach * (1.5 * loss.derivative(at, 4.0) - old)
    assert_allclose(at + moved, z, rtol=1e-6, atol=1e-6 * (1.0 + abs(moved)))


def test_columns_over_twelve_orders_of_magnitude() -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((500, 7))
    y = (X.sum(axis=1) + rng.standard_normal(500) > 0.0).astype(float)
    units = np.logspace(-6.0, 6.0, 7)
    problem = Problem(losses.Logistic(), penalties.L2(1e-3))
    plain = solve(problem, X, y, solver=solvers.SAGA(), tol=1e-10, standardize=True)
    for XX in (X * units, sparse.csr_array(X * units)):
        scaled = solve(problem, XX, y, solver=solvers.SAGA(), tol=1e-10, standardize=True)
        assert_allclose(scaled.coef * units, plain.coef, atol=1e-4)
        assert scaled.passes < 100.0


def test_rows_in_order_of_the_target_do_no_harm() -> None:
    given, problem = rows(2000), Problem(losses.Logistic(), penalties.L2(1e-3))
    order = np.argsort(given.y, kind="stable")
    mixed, ordered = (solve(problem, given.X[o], given.y[o], solver=solvers.SAGA(), tol=1e-10, engine=engines.Serial())
                      for o in (np.arange(2000), order))  # fmt: skip
    assert ordered.passes < 2.0 * mixed.passes + 10.0


def test_steps_that_are_too_long_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga_rows, "STEP_LENGTH", 100.0)
    given, problem = rows(1000), Problem(losses.Logistic(), penalties.L2(1e-2))
    solution = fit(problem, given.X, given)
    assert solution.status == "converged"
    assert any("too long" in row.note for row in solution.trace)


def test_an_epoch_over_a_list_visits_the_same_rows_in_the_same_order() -> None:
    given, problem = rows(2000), Problem(losses.Logistic(), penalties.L1(1e-2))
    X, y = make_sparse_classification(2000, 300, seed=0)
    for whole, target in ((given.X, given.y), (X, y)):
        one = solve(problem, whole, target, solver=solvers.SAGA(), tol=1e-6, engine=engines.Serial())
        parts = [whole[:700], whole[700:710], whole[710:]]
        many = solve(problem, parts, target, solver=solvers.SAGA(), tol=1e-6, engine=engines.Serial())
        assert one.passes == many.passes
        assert_allclose(many.coef, one.coef, rtol=1e-6, atol=1e-9)


def test_a_contribution_holds_all_that_a_shard_knows() -> None:
    given, problem = rows(), Problem(losses.Logistic(), penalties.L2(1e-2))
    shard, solver = as_dataset(given.X, given.y).shards(1)[0], solvers.SAGA()
    _, query = solver.init_global(problem, _info(problem, given))
    first = solver.local_step(problem, shard, solver.init_local(problem, shard), query)
    asked = query._replace(number=1)
    second = solver.local_step(problem, shard, first.local, asked)
    lost = solver.init_local(problem, shard, first.payload)
    assert_array_equal(solver.local_step(problem, shard, lost, asked).payload, second.payload)


def test_two_runs_are_the_same_and_seeds_differ() -> None:
    given, problem = rows(), Problem(losses.Logistic(), penalties.L2(1e-2))
    one, two, other = (fit(problem, given.X, given, random_state=seed) for seed in (3, 3, 4))
    assert_array_equal(one.coef, two.coef)
    assert not np.array_equal(one.coef, other.coef)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"threads": 0}])
def test_numbers_below_one_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ProblemError, match=f"{next(iter(options))} of SAGA is 0"):
        solvers.SAGA(**options)


@pytest.mark.parametrize("loss", [losses.Hinge(), losses.Multinomial(3)], ids=lambda x: x.name)
def test_what_has_no_derivative_or_several_outputs_is_refused(loss: Any) -> None:
    with pytest.raises(ProblemError, match="use"):
        solve(Problem(loss, penalties.L2(0.1)), np.eye(3), np.array([0.0, 1.0, 1.0]), solver=solvers.SAGA())


class _Fields(NamedTuple):
    smoothness: float = 1.0


class Halved(_Fields):
    """The squared loss, with NaN beyond a residual of 20."""

    __slots__ = ()
    name, quadratic, classifier, smooth = "halved", False, False, True

    def value(self, z: float, y: float) -> float:
        return 0.5 * (z - y) ** 2 if z - y < 20.0 else math.nan

    def derivative(self, z: float, y: float) -> float:
        return z - y if z - y < 20.0 else math.nan

    def second_derivative(self, z: float, y: float) -> float:
        return 1.0

    def conjugate(self, theta: float, y: float) -> float:
        return theta * (0.5 * theta + y)

    def dual_direction(self, z: float, y: float) -> float:
        return 1.0

    def inverse_link(self, z: float) -> float:
        return z

    def link(self, mean: float) -> float:
        return mean

    def check(self) -> Any:
        return self

    def check_target(self, y: Any) -> None:
        return None


@pytest.mark.parametrize("solver", [solvers.SAGA(), solvers.Newton(), solvers.LBFGS()], ids=lambda s: s.name)
def test_nan_of_ones_own_loss_is_named(solver: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X.sum(axis=1)
    solution = solve(Problem(Halved(), penalties.L2(0.1)), X, y, solver=solver)
    assert solution.status == "converged"
    y[7] = -90.0
    with pytest.raises(ProblemError, match=r"the value of the loss 'halved' is nan at z=.*: correct the method"):
        solve(Problem(Halved(), penalties.L2(0.1)), X, y, solver=solver)
