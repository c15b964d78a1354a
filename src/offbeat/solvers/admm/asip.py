"""ASIP-ADMM as published (Gonzalez et al. 2015, arXiv 1510.07092, section 4.3): a baseline.

A worker updates ``mu += rho (x - z)``. Then it moves ``x`` by mini-batch SGD on ``f_i(x) + mu.(x - z) + rho ||x - z||^2
/ 2``, where ``f_i`` is the mean loss of its rows. The hub computes ``z = prox_{R / rho}(mean x + mean mu / rho)`` from
the last message of each worker, whatever its age. Means are weighted by rows. ``rho`` is fixed. No proof of convergence
is known for old messages. The method yields no lower bound, so the loop certifies its iterates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.kernels.arguments import Batches, Pull, ScaledColumns
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import Candidate, DataInfo, State, Step

DEFAULT_RHO = 0.01
LEARNING_RATE = 0.1
BATCH_ROWS = 32
MAX_SGD_STEPS_PER_BLOCK = 10_000
SGD_TOLERANCE = 1e-5  # length of a step, below which SGD stops
N_SCALARS = 4  # in a contribution, after the vectors: share of rows, passes, squared primal residual, squared norm of x


class AsipQuery(NamedTuple):
    """What a shard needs for its step; ``seconds`` and ``allowance`` as for `local_prox.Query`."""

    z: Floats
    center: Floats
    scale: Floats
    n_rows: float
    intercept: bool
    rho: float
    inner: int
    seed: int = 0
    seconds: float = math.inf
    allowance: float = math.inf


@dataclass(frozen=True)
class AsipLocal:
    """A shard's ``x`` and ``mu`` (None before its first step), the steps it made and the passes these took."""

    x: Floats | None = None
    mu: Floats | None = None
    steps: int = 0
    passes: float = 0.0
    workspace: Workspace | None = None


@dataclass(frozen=True)
class AsipState(State):
    """State of the hub: its query holds the consensus."""

    info: DataInfo
    query: AsipQuery


def initial(info: DataInfo, rho: float | None, inner: int, seconds: float | None) -> tuple[AsipState, AsipQuery]:
    """Return the first state and query."""
    query = AsipQuery(
        evaluation.start(info).flat(), info.center, info.scale, float(info.n_rows), info.reference.fit_intercept,
        DEFAULT_RHO if rho is None else rho, inner, info.seed, math.inf if seconds is None else seconds,
    )  # fmt: skip
    return AsipState(info, query), query


def initial_local(contribution: Floats | None) -> AsipLocal:
    """Return a new local state, or the one that a contribution was made from."""
    if contribution is None:
        return AsipLocal()
    m = (contribution.size - N_SCALARS - 1) // 2
    share, passes = float(contribution[2 * m]), float(contribution[2 * m + 1])
    x, mu = contribution[:m] / share, contribution[m : 2 * m] / share
    return AsipLocal(x, mu, int(contribution[-1]), passes / share)


def local_step(problem: Problem, shard: Shard, here: AsipLocal, query: AsipQuery) -> Step:
    """Update the multiplier ``mu``, then ``x`` by mini-batch steps. Return the step with its contribution."""
    x = query.z.copy() if here.x is None else here.x.copy()
    mu = np.zeros_like(x) if here.mu is None else here.mu
    mu = mu + query.rho * (x - query.z)
    workspace = here.workspace or Workspace()
    work = _descend(problem, shard, x, mu, query, (here.steps, workspace))
    here = replace(here, x=x, mu=mu, steps=here.steps + 1, passes=here.passes + work, workspace=workspace)
    share = shard.n_rows / query.n_rows
    apart = float((x - query.z) @ (x - query.z))
    facts = [share, share * here.passes, share * apart, share * float(x @ x), here.steps]
    return Step(here, np.concatenate([share * x, share * mu, facts]), work, "mini-batches")


def _descend(
    problem: Problem, shard: Shard, x: Floats, mu: Floats, query: AsipQuery, how: tuple[int, Workspace]
) -> float:
    """Move ``x`` in place by mini-batch steps. Return their cost in passes over the shard."""
    from offbeat.kernels import local_sgd

    clock, workspace = how
    rng = np.random.default_rng((query.seed, shard.first_row, clock))
    passes = max(min(float(query.inner), query.allowance), 0.0)
    columns = ScaledColumns(query.center, 1.0 / query.scale, float(query.intercept))
    pull, seen = Pull(mu, query.z, query.rho), 0
    for block, targets, ranges in shard.blocks(1.0, workspace):
        rows = int(ranges[-1, 1])
        size = min(BATCH_ROWS, rows)
        count = min(max(int(passes * rows / size), 1), MAX_SGD_STEPS_PER_BLOCK)
        starts = rng.integers(0, rows - size + 1, count)
        take: Any = local_sgd.sparse_sgd if isinstance(block, CSR) else local_sgd.dense_sgd
        batches = Batches(starts, size, LEARNING_RATE, SGD_TOLERANCE)
        seen += size * take(problem.loss, block, targets, x, columns, pull, batches)
    return float(seen) / max(shard.n_rows, 1)


def global_step(state: AsipState, board: Board) -> tuple[AsipState, AsipQuery]:
    """Return the state and query with the new consensus: the prox of the penalty at the mean of the messages."""
    total, info, query = board.total(), state.info, state.query
    if not np.all(np.isfinite(total)):
        return replace(state, status="diverged", note="a contribution is not finite"), query
    m = query.z.size
    share, passes, apart, size = total[2 * m : 2 * m + N_SCALARS].tolist()
    mean = (total[:m] + total[m : 2 * m] / query.rho) / share
    z = np.append(info.penalty.prox(np.ascontiguousarray(mean[:-1]), 1.0 / (query.rho * share)), mean[-1])
    moved = float(np.linalg.norm(z - query.z))
    primal, dual = math.sqrt(apart), query.rho * moved
    length = max(math.sqrt(size), float(np.linalg.norm(z)), 1e-300)
    guess = (primal + moved) / length  # a guess from distances: no bound of the gap is known
    candidate = Candidate(z[:-1].copy(), z[-1:].copy(), guess * guess, -math.inf, primal, dual)
    query = query._replace(z=z)
    return replace(state, query=query, candidate=candidate, passes=passes), query
