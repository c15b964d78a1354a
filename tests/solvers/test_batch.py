"""Batches: each model is the one that it would be alone, whatever the chains, and passes are shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat.data.arrays.in_memory import array_source
from offbeat.data.dataset import Dataset
from offbeat.engines import Serial, Threads
from offbeat.engines.base import Engine, Listener, Steps
from offbeat.errors import ProblemError
from offbeat.fit.inspection import Options, inspect
from offbeat.sideways.loop import Outcome, Policy, hub_loop
from offbeat.sideways.protocol import internal_to_original
from offbeat.solvers._common.selection import Selection
from offbeat.solvers.newton.batch import Batch, BatchMember, BatchProgress

N, K = 400, 5
ALPHAS = (0.3, 0.1, 0.03, 0.01)
SOLVERS = [solvers.Newton(), solvers.LBFGS(), solvers.ProximalGradient()]


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    X = rng.standard_normal((N, K)) * np.array([1.0, 2.0, 0.5, 1.0, 1.0]) + 1
    return X, (X @ np.array([1.0, -0.5, 0.0, 0.3, 0.0]) + rng.standard_normal(N) > 0.5).astype(float)


def run(batch: Batch, problem: Problem, dataset: Dataset, engine: Engine, **policy: Any) -> Outcome:
    shards = dataset.shards(engine.n_workers)
    info = replace(batch.chains[0][0].info, n_shards=len(shards))
    loop = hub_loop(batch, problem, info, Policy(len(shards), len(shards), **policy))
    return engine.drive(loop, Steps(batch, problem, shards), Listener(lambda row: None))


def members(problems: Sequence[Problem], dataset: Dataset, tol: float) -> list[BatchMember]:
    engine = Serial()
    found = []
    for fold in range(2):
        mask = np.arange(N) % 2 == fold
        part = replace(dataset, source=array_source(dataset.source.array[mask]), y=dataset.y[mask])  # type: ignore[attr-defined]
        info = inspect(problems[0], part, part.shards(1), engine, Options(tol=tol))
        found += [BatchMember(p, replace(info, penalty=p.scaled_penalty(K, info.scale)), fold) for p in problems]
    return found


SELECTIONS = tuple(Selection(np.arange(N) % 2 == fold) for fold in range(2))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)
@pytest.mark.parametrize("engine", [Serial(), Threads(2)], ids=lambda e: e.name)
@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("kinks", [True, False])
def test_each_model_is_as_alone(data: Any, solver: Any, engine: Any, chained: bool, kinks: bool) -> None:
    X, y = data
    if kinks and solver.name == "lbfgs":
        pytest.skip("L-BFGS does not solve problems with kinks")
    kind = penalties.L1 if kinks else penalties.L2
    problems = [Problem(losses.Logistic(), kind(alpha)) for alpha in ALPHAS]
    dataset = Dataset(array_source(X), y)
    each = members(problems, dataset, tol=1e-10)
    chains = (tuple(each[:4]), tuple(each[4:])) if chained else tuple((member,) for member in each)
    outcome = run(Batch(solver, chains, SELECTIONS), problems[0], dataset, engine)
    assert isinstance(outcome.best, BatchProgress)
    results = [result for chain in outcome.best.results for result in chain]
    assert [result.status for result in results] == ["converged"] * 8
    for result, member in zip(results, each, strict=True):
        assert result.progress is not None
        coef, intercept = internal_to_original(member.info, result.progress.coef, result.progress.intercept)
        mask = np.arange(N) % 2 == member.selection
        alone = solve(member.problem, X[mask], y[mask], tol=1e-12)
        np.testing.assert_allclose(coef[:, 0], alone.coef, rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(intercept[0], alone.intercept, rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(result.progress.certificate.primal, alone.certificate.primal, rtol=1e-9)
    if not chained:
        assert outcome.passes == max(result.passes for result in results)
    assert outcome.best.certificate.satisfied


def test_newton_goes_on_from_its_model(data: Any) -> None:
    """The first query of the next penalty needs no Hessian, and a penalty that changes nothing needs no pass."""
    X, y = data
    problems = [Problem(losses.Logistic(), penalties.L2(alpha)) for alpha in (0.1, 0.1, 0.099)]
    dataset = Dataset(array_source(X), y)
    chain = tuple(members(problems, dataset, tol=1e-6)[:3])
    outcome = run(Batch(solvers.Newton(), (chain,), SELECTIONS), problems[0], dataset, Serial())
    assert isinstance(outcome.best, BatchProgress)
    passes = [result.passes for result in outcome.best.results[0]]
    assert passes[1] == 0.0
    assert passes[2] <= 1.0 < passes[0]


def test_stopped_early_keeps_what_there_is(data: Any) -> None:
    X, y = data
    problems = [Problem(losses.Logistic(), penalties.L2(alpha)) for alpha in ALPHAS]
    dataset = Dataset(array_source(X), y)
    chain = tuple(members(problems, dataset, tol=1e-12)[:4])
    outcome = run(Batch(solvers.Newton(), (chain,), SELECTIONS), problems[0], dataset, Serial(), max_passes=3)
    assert outcome.status == "max_iter"
    assert isinstance(outcome.best, BatchProgress)
    assert not outcome.best.certificate.satisfied
    statuses = [result.status for result in outcome.best.results[0]]
    assert statuses[-1] == "unfinished"
    assert len(statuses) < 4


def test_not_finite_ends_all(data: Any) -> None:
    X, y = data
    X[3, 2] = np.nan
    problem = Problem(losses.Logistic(), penalties.L2(0.1))
    dataset = Dataset(array_source(X), y)
    each = members([problem], dataset, tol=1e-6)
    outcome = run(Batch(solvers.Newton(), tuple((m,) for m in each), SELECTIONS), problem, dataset, Serial())
    assert outcome.status == "not finite"


def test_no_models() -> None:
    with pytest.raises(ProblemError, match="at least one model"):
        Batch(solvers.Newton(), (), ()).init_global(None, None)  # type: ignore[arg-type]
