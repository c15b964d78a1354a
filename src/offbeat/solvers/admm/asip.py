"""ASIP-ADMM as published (Gonzalez et al. 2015, arXiv 1510.07092, section 4.3): a baseline.

Worker: ``mu += rho (x - z)``, then ``x`` by mini-batch SGD on ``f_i(x) + mu.(x - z) + rho ||x - z||^2 / 2`` from where
it is. Everybody: ``z = prox_{R / rho}(mean x + mean mu / rho)`` of the last messages, of whatever age. The parameter is
fixed, nothing is known of convergence when messages are old, and no lower bound comes with it: the loop stops such a
fit on certificates of its iterates.

``f_i`` is the mean over the shard's rows; shards count by their share of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shard import Shard, Workspace
from offbeat.data.source import CSR
from offbeat.problem import Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import Candidate, DataInfo, State, Step

RHO = 0.01
RATE = 0.1
BATCH = 32
STEPS = 10_000
TOLERANCE = 1e-5
FACTS = 4  # numbers behind the vectors: share, passes, primal residual squared, size of x squared


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
    """Where the consensus stands."""

    info: DataInfo
    query: AsipQuery


def start(info: DataInfo, rho: float | None, inner: int, seconds: float | None) -> tuple[AsipState, AsipQuery]:
    """Return the first state and query."""
    query = AsipQuery(
        evaluation.start(info).flat(), info.center, info.scale, float(info.n_rows), info.reference.fit_intercept,
        RHO if rho is None else rho, inner, info.seed, math.inf if seconds is None else seconds,
    )  # fmt: skip
    return AsipState(info, query), query


def local(contribution: Floats | None) -> AsipLocal:
    """Return the local state of a shard: a new one, or the one that goes with its last contribution."""
    if contribution is None:
        return AsipLocal()
    m = (contribution.size - FACTS - 1) // 2
    share, passes = float(contribution[2 * m]), float(contribution[2 * m + 1])
    x, mu = contribution[:m] / share, contribution[m : 2 * m] / share
    return AsipLocal(x, mu, int(contribution[-1]), passes / share)


def local_step(problem: Problem, shard: Shard, here: AsipLocal, query: AsipQuery) -> Step:
    """Update the multiplier and take mini-batch steps."""
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
    problem: Problem, shard: Shard, x: Floats, mu: Floats, query: AsipQuery, local: tuple[int, Workspace]
) -> float:
    """Take mini-batch steps from ``x``, in place; return how many passes over the shard they were."""
    from offbeat.kernels import local_sgd

    clock, workspace = local
    rng = np.random.default_rng((query.seed, shard.start, clock))
    passes = max(min(float(query.inner), query.allowance), 0.0)
    columns = (query.center, 1.0 / query.scale, float(query.intercept))
    pull, seen = (mu, query.z, query.rho), 0
    for block, targets, ranges in shard.blocks(1.0, workspace):
        rows = int(ranges[-1, 1])
        size = min(BATCH, rows)
        count = min(max(int(passes * rows / size), 1), STEPS)
        starts = rng.integers(0, rows - size + 1, count)
        take: Any = local_sgd.sparse_sgd if isinstance(block, CSR) else local_sgd.dense_sgd
        data = tuple(block) if isinstance(block, CSR) else block
        seen += size * take(problem.loss, data, tuple(targets), x, columns, pull, (starts, size, RATE, TOLERANCE))
    return float(seen) / max(shard.n_rows, 1)


def global_step(state: AsipState, board: Board) -> tuple[AsipState, AsipQuery]:
    """Take the proximal step of the penalty at the mean of the messages."""
    total, info, query = board.total(), state.info, state.query
    if not np.all(np.isfinite(total)):
        return replace(state, status="diverged", note="a contribution is not finite"), query
    m = query.z.size
    share, passes, apart, size = total[2 * m : 2 * m + FACTS].tolist()
    mean = (total[:m] + total[m : 2 * m] / query.rho) / share
    z = np.append(info.penalty.prox(np.ascontiguousarray(mean[:-1]), 1.0 / (query.rho * share)), mean[-1])
    moved = float(np.linalg.norm(z - query.z))
    primal, dual = math.sqrt(apart), query.rho * moved
    length = max(math.sqrt(size), float(np.linalg.norm(z)), 1e-300)
    guess = (primal + moved) / length  # distances only: the gap may be anything
    candidate = Candidate(z[:-1].copy(), z[-1:].copy(), guess * guess, -math.inf, primal, dual)
    query = query._replace(z=z)
    return replace(state, query=query, candidate=candidate, passes=passes), query
