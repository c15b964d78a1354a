"""A slow shard does not keep the others waiting: methods set out before it has reported, and prove nothing by that."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.datasets import make_classification
from offbeat.engines.simulation.models import Exponential
from offbeat.errors import ConvergenceWarning
from offbeat.sideways import early
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message
from offbeat.sideways.protocol import Candidate, State

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))
HINGE = Problem(losses.Hinge(), penalties.L2(1e-2))
SLOW = 30.0  # times as slow as the others is one of the workers, which nobody helps
N_WORKERS = 16
TOPOLOGIES = [topology.Hub(), topology.Gossip(3)]


def able() -> list[Any]:
    """Return the methods that set out early, with a problem that each solves."""
    made = [getattr(solvers, name)() for name in solvers.__all__]
    return [(solver, HINGE if solver.name == "sdca" else RIDGE) for solver in made if getattr(solver, "early", False)]


def objectives(problem: Problem, solver: Any, how: Any) -> tuple[list[float], offbeat.Solution]:
    """Return the objectives of the points that came of updates before all shards had reported, and the solution."""
    X, y = make_classification(1600, 6, seed=0)
    seen: list[float] = []

    class Spy(type(solver)):  # type: ignore[misc]
        """Notes the objective after each update."""

        def global_step(self, problem: Problem, state: Any, board: Any) -> Any:
            state, query = super().global_step(problem, state, board)
            if not board.complete:
                found = state.candidate
                z = (X - state.info.center) / state.info.scale @ found.coef + found.intercept
                loss = np.mean([problem.loss.value(*pair) for pair in zip(z, y, strict=True)])
                seen.append(float(loss) + problem.scaled_penalty(6, state.info.scale).value(found.coef))
            return state, query

    engine = engines.Simulated(N_WORKERS, compute=Exponential(0.01), straggler={N_WORKERS - 1: SLOW}, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = offbeat.solve(
            problem, X, y, solver=Spy(), engine=engine, staleness=math.inf, topology=how, tol=1e-3, max_iter=60.0
        )
    return seen, solution


@pytest.mark.parametrize("how", TOPOLOGIES, ids=repr)
@pytest.mark.parametrize(("solver", "problem"), able(), ids=lambda value: getattr(value, "name", ""))
def test_the_objective_falls_before_a_slow_shard_has_reported(solver: Any, problem: Problem, how: Any) -> None:
    zero = problem.loss.value(0.0, 1.0)
    seen, solution = objectives(problem, solver, how)
    assert len(seen) > N_WORKERS
    assert seen[-1] < 0.9 * zero
    best = offbeat.solve(problem, *make_classification(1600, 6, seed=0), tol=1e-6).certificate
    assert solution.certificate.dual <= best.primal
    assert solution.certificate.primal >= best.dual


def test_with_a_barrier_everybody_waits() -> None:
    assert early.least_heard(solvers.ADMM(), 0.0) == 1.0
    assert early.least_heard(solvers.LBFGS(), math.inf) == 1.0
    assert early.least_heard(solvers.ADMM(), math.inf) == early.LEAST_HEARD


class Hasty:
    """Claims all that a method can claim."""

    def global_step(self, problem: Problem, state: State, board: Board) -> tuple[State, float]:
        found = Candidate(np.zeros(1), np.zeros(1), 0.0, 0.5)
        total = float(board.total()[0])
        return State(candidate=found, progress=total, passes=total, status="diverged"), total  # type: ignore[arg-type]


def test_shards_that_are_missing_prove_nothing() -> None:
    board = Board(4, exact=False)
    for shard in range(2):
        board.put(Message(0, shard, 0, shard, 1, "step", np.array([1.5])))
    state, query = early.global_step(Hasty(), RIDGE, State(), board)  # type: ignore[arg-type]
    assert query == 6.0
    assert (state.progress, state.status, state.passes) == (None, None, 3.0)
    assert (state.candidate.estimate, state.candidate.dual) == (math.inf, -math.inf)
    for shard in range(2, 4):
        board.put(Message(0, shard, 0, shard, 1, "step", np.array([1.5])))
    state, _ = early.global_step(Hasty(), RIDGE, State(), board)  # type: ignore[arg-type]
    assert (state.status, state.candidate.dual) == ("diverged", 0.5)
