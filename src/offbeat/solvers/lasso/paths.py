"""Regularisation paths: each strength of the penalty starts from the solution, columns and matrices of the last.

When columns are added to the working set, those that the sequential strong rule keeps are added too (Tibshirani, Bien,
Friedman et al. 2012, J. R. Stat. Soc. B 74:245). The result does not depend on the rule, as the certificate of each
solution covers all columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from offbeat.data.shards import Cancelled, Shard, Workspace
from offbeat.problem import Certificate, Evaluation, Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Message
from offbeat.sideways.protocol import DataInfo, Progress, internal_to_original, limited
from offbeat.solvers.lasso.proximal_newton import ProximalNewton, ProximalNewtonState
from offbeat.solvers.lasso.working_set import WorkingSetLocal

MAX_ROUNDS_PER_STRENGTH = 200


class PathSolution(NamedTuple):
    """Solutions along a path, in the units of the columns, with their certificates; the total number of passes."""

    coefs: Floats
    intercepts: Floats
    certificates: tuple[Certificate, ...]
    passes: float


def column_path(
    problem: Problem, info: DataInfo, shard: Shard, at: Evaluation, alphas: Floats,
    over: Callable[[float], bool] = lambda passes: False, most: float = math.inf,
) -> PathSolution:  # fmt: skip
    """Solve a problem for a range of strengths of the penalty, on one shard with all rows.

    Parameters
    ----------
    problem : Problem
        The ``alpha`` of its penalty is replaced.
    info : DataInfo
        Its start is the start of the path.
    shard : Shard
    at : Evaluation
        Evaluation of the loss at the start.
    alphas : ndarray, shape (n_alphas,)
        Largest first.
    over : callable
        Whether to end the path after this number of passes. The last solution may be less accurate then.
    most : float
        Maximum number of passes.

    Returns
    -------
    solution : PathSolution
    """
    solver, local, previous = ProximalNewton(), WorkingSetLocal(Workspace()), math.nan
    state, _ = solver.init_global(problem, info)
    query = state.query
    state = replace(
        state,
        at=at,
        query=query._replace(
            gradient=at.gradient * info.scale, slope=float(at.intercept_gradient[0]), loss=at.loss, excess=0.0
        ),
    )
    coefs, intercepts, certificates = [], [], []
    for alpha in alphas:
        one = Problem(problem.loss, problem.penalty._replace(alpha=float(alpha)))
        rule = info.penalty.rule._replace(alpha=float(alpha))
        here = replace(info, penalty=replace(info.penalty, rule=rule))
        eager = max(2.0 * alpha - previous, 0.5 * alpha) if previous > alpha else math.nan
        state, local, progress = _solve_one(solver, one, here, shard, state, local, float(eager), over, most)
        coef, intercept = internal_to_original(here, progress.coef, progress.intercept)
        coefs.append(coef[:, 0])
        intercepts.append(float(intercept[0]))
        certificates.append(progress.certificate)
        previous = alpha
        if over(state.passes):
            break
    return PathSolution(np.array(coefs), np.array(intercepts), tuple(certificates), state.passes)


def _solve_one(
    solver: ProximalNewton, problem: Problem, info: DataInfo, shard: Shard, state: ProximalNewtonState,
    local: WorkingSetLocal, eager: float, over: Callable[[float], bool], most: float,
) -> tuple[ProximalNewtonState, WorkingSetLocal, Progress]:  # fmt: skip
    """Return the solution for one strength: rounds until its certificate is satisfied or the solver stalls."""
    state = solver.restart(problem, replace(state, info=info), eager)
    local, board = replace(local, first=math.inf), Board(1)
    best = state.progress
    assert best is not None
    for clock in range(1, MAX_ROUNDS_PER_STRENGTH + 1):
        if best.certificate.satisfied or state.status is not None or over(state.passes):
            break
        try:
            step = solver.local_step(problem, shard, local, limited(state.query, most - state.passes))
        except Cancelled:
            break
        local = step.local
        board.put(Message(0, 0, 0, 0, clock, "step", step.payload))
        state, _ = solver.global_step(problem, state, board)
        if state.progress is not None and state.progress.certificate.relative_gap <= best.certificate.relative_gap:
            best = state.progress
    return replace(state, status=None), local, best
