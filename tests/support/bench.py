"""Fits for the tests of asynchronous methods: small data, exact optima, and a fit taken apart into its steps."""

from __future__ import annotations

import math
import warnings
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.optimize import linprog
from sklearn.svm import SVC

from conformance.oracle import Data, Floats, objective, optimum
from offbeat import Problem, engines
from offbeat.data.load import as_dataset
from offbeat.data.shards import Shard
from offbeat.errors import ConvergenceWarning
from offbeat.fit.inspection import Options, inspect
from offbeat.fit.settings import FitArguments, Settings
from offbeat.fit.solution import Solution
from offbeat.fit.solve import fit, solve
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message
from offbeat.sideways.protocol import DataInfo


class SerialShards(engines.Serial):
    """One thread, three shards."""

    @property
    def n_workers(self) -> int:
        return 3


def gappy(n: int = 120, k: int = 12, seed: int = 0) -> Data:
    """Sparse rows with a feature that never occurs and rows of zeros."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((n, k)) < 0.3, rng.standard_normal((n, k)), 0.0)
    X[:, 4] = 0.0
    X[3:6] = 0.0
    y = (X @ rng.standard_normal(k) + 0.3 + 0.5 * rng.standard_normal(n) > 0.0).astype(float)
    return Data(X, y)


def twice(X: Any) -> sparse.csr_array:
    """Return a matrix that stores halves of its entries, twice."""
    once = sparse.csr_array(X)
    halves = np.repeat(once.data / 2.0, 2)
    return sparse.csr_array((halves, np.repeat(once.indices, 2), 2 * once.indptr), shape=X.shape)


def label(thing: Any) -> str:
    """Name of a problem, a solver or anything else, for the names of tests."""
    if isinstance(thing, Problem):
        return f"{thing.loss.name}-{thing.penalty.name}"
    return str(getattr(thing, "name", thing))


OPTIMA: dict[str, float] = {}  # by text: named tuples of different classes with equal fields are equal


def data(loss: Any, n: int = 120, k: int = 4) -> Data:
    """Rows that a model might have drawn; columns on different scales and away from zero."""
    rng = np.random.default_rng(23)
    X = rng.standard_normal((n, k)) * np.geomspace(0.5, 2.0, k) + np.linspace(-1.0, 1.0, k)
    z = X @ rng.standard_normal(k) / np.sqrt(k)
    if loss.classifier:
        return Data(X, (z + rng.standard_normal(n) > 0.0).astype(float))
    if loss.name == "poisson":
        return Data(X, rng.poisson(np.exp(np.clip(z, -2.0, 2.0))).astype(float))
    return Data(X, z + rng.standard_normal(n))


def best(problem: Problem) -> float:
    """Optimal objective: by SciPy, and for the hinge by linear programming or libsvm, which take its kink."""
    if repr(problem) not in OPTIMA:
        OPTIMA[repr(problem)] = _best(problem)
    return OPTIMA[repr(problem)]


def _best(problem: Problem) -> float:
    given = data(problem.loss)
    if problem.loss.name != "hinge":
        return optimum(problem, given)
    n, k = given.X.shape
    alpha, sign = problem.penalty.alpha, 2.0 * given.y - 1.0
    if problem.penalty.name == "l2":
        machine = SVC(C=1.0 / (n * alpha), kernel="linear", tol=1e-12).fit(given.X, given.y)
        return objective(problem, given, machine.coef_[0], machine.intercept_[0])
    rows = sign[:, None] * given.X
    bound = -np.hstack([np.eye(n), rows, -rows, sign[:, None]])
    cost = np.concatenate([np.full(n, 1.0 / n), np.full(2 * k, alpha), [0.0]])
    return float(linprog(cost, bound, -np.ones(n), bounds=[(0.0, None)] * (n + 2 * k) + [(None, None)]).fun)


def run(problem: Problem, solver: Any, **settings: Any) -> Solution:
    """Fit the data of the problem's loss, whatever it ends with."""
    given = settings.pop("given", None) or data(problem.loss)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(problem, given.X, given.y, solver=solver, **{"tol": 1e-4, "max_iter": 4000.0} | settings)


def watched(problem: Problem, solver: Any, tol: float = 1e-6, **settings: Any) -> tuple[Solution, list[Floats]]:
    """Fit, and return all iterates too: those offered for certification, or those certified on the way."""
    seen: list[Floats] = []
    given = data(problem.loss)

    def keep(point: Any, _: Any) -> None:
        seen.append(np.append(point.coef, point.intercept))

    how = Settings(**{f.name: settings.pop(f.name) for f in fields(Settings) if f.name in settings})
    options = FitArguments(solver, settings=how, watch=keep, **{"max_iter": 15.0, "random_state": 5} | settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = fit(problem, as_dataset(given.X, given.y), Options(tol=tol), options)
        if not seen:
            options = replace(options, watch=None, callback=keep)
            solution = fit(problem, as_dataset(given.X, given.y), Options(tol=tol), options)
    return solution, seen


def honest(problem: Problem, solution: Solution, given: Data | None = None, reference: float | None = None) -> None:
    """Check that the certificate is of the returned point, and true."""
    given = data(problem.loss) if given is None else given
    optimal = best(problem) if reference is None else reference
    c, slack = solution.certificate, 1e-9 * max(abs(optimal), 1.0)
    value = objective(problem, given, solution.coef, solution.intercept)
    assert_allclose(c.primal, value, rtol=1e-11)
    assert c.primal >= optimal - slack
    assert c.primal - optimal <= c.gap + slack
    bounds = [row.dual for row in solution.trace if row.kind == "update" and math.isfinite(row.dual)]
    assert max([c.dual, *bounds]) <= optimal + slack


class Bench:
    """A fit taken apart: shards, what is known of the data, states, a board."""

    def __init__(
        self, problem: Problem, solver: Any, n_shards: int = 3, *, staleness: float = 0.0, given: Data | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        given = data(problem.loss) if given is None else given
        dataset = as_dataset(given.X, given.y)
        self.problem, self.solver, self.given = problem, solver, given
        self.shards: list[Shard] = dataset.shards(n_shards)
        info = inspect(problem, dataset, self.shards, engines.Serial(), Options(**options))
        self.info: DataInfo = replace(info, n_shards=n_shards, staleness=staleness, seed=3)
        self.state, self.query = solver.init_global(problem, self.info)
        self.locals = [solver.init_local(problem, shard) for shard in self.shards]
        self.board = Board(n_shards)
        self.clocks = [0] * n_shards
        self.payloads: list[Any] = [None] * n_shards

    def rows(self, shard: int) -> tuple[Floats, Floats]:
        """Return the rows of a shard in internal coordinates, with a column of ones, and its targets."""
        part = self.shards[shard]
        X = (self.given.X[part.start : part.stop] - self.info.center) / self.info.scale
        return np.column_stack([X, np.ones(len(X))]), self.given.y[part.start : part.stop]

    def step(self, shard: int, *, rebuilt: bool = False) -> Any:
        """Run a step of a shard and put it on the board; with ``rebuilt``, from its contribution alone."""
        part = self.shards[shard]
        if rebuilt:
            self.locals[shard] = self.solver.init_local(self.problem, part, self.payloads[shard])
        step = self.solver.local_step(self.problem, part, self.locals[shard], self.query)
        self.locals[shard], self.payloads[shard] = step.local, step.payload
        self.clocks[shard] += 1
        self.board.put(Message(0, shard, 0, shard, self.clocks[shard], step.kind, step.payload, work=step.work))
        return step

    def update(self) -> None:
        """Take the global step."""
        self.state, self.query = self.solver.global_step(self.problem, self.state, self.board)

    def round(self, *, rebuilt: bool = False) -> list[Any]:
        """Run a step of every shard, then the global step; return the steps."""
        steps = [self.step(shard, rebuilt=rebuilt) for shard in range(len(self.shards))]
        self.update()
        return steps

    def prox(self, v: Floats, step: float) -> Floats:
        """Return the proximal point of the problem's penalty at internal coordinates, written out for L1 and L2."""
        alpha, scale = self.problem.penalty.alpha, self.info.scale
        if self.problem.penalty.name == "l2":
            u = v[:-1] / (1.0 + step * alpha / scale**2)
        else:
            u = np.sign(v[:-1]) * np.maximum(np.abs(v[:-1]) - step * alpha / scale, 0.0)
        return np.append(u, v[-1])

    def slope(self, shard: int, x: Floats) -> Floats:
        """Return the gradient of the loss summed over a shard's rows, from the rows: squared, logistic or hinge."""
        rows, y = self.rows(shard)
        z, name = rows @ x, self.problem.loss.name
        if name == "squared":
            return rows.T @ (z - y)
        if name == "logistic":
            return rows.T @ (1.0 / (1.0 + np.exp(-z)) - y)
        sign = 2.0 * y - 1.0
        return rows.T @ np.where(sign * z < 1.0, -sign, 0.0)
