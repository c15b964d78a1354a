"""Many models at once, over shared passes: the folds and penalties of a cross-validation, or a path.

A *chain* is a list of models that are solved one after another, each from the solution of the one before (the loss at
that point does not depend on the penalty, so a Newton model is carried over whole, and the new certificate costs
nothing). Chains advance side by side: in each pass every chain has its own query, and a block of rows is read once for
all of them. What is shared is reading, and what is saved by longer chains is computing: one chain a fold is right for
data in memory, where evaluating costs more than reading; one chain a model is right for data on disk, where all models
are done after about as many passes as the hardest alone needs. Each model keeps its own state (for `Newton` a Hessian),
which bounds how many can run at once.

Rounds end together (barrier mode): a chain that is done leaves, the others go on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from offbeat.data.shards import Shard, Workspace
from offbeat.errors import ProblemError
from offbeat.problem import Certificate, Floats, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Progress, Solver, State, Step
from offbeat.solvers._common import selection
from offbeat.solvers._common.selection import Selection, SelectionQuery
from offbeat.solvers._common.stalling import StallCounter
from offbeat.solvers.newton.newton import Newton, NewtonState

UNKNOWN = Certificate(math.nan, -math.inf, math.inf, math.inf, "duality gap")


class Member(NamedTuple):
    """One model: its problem, what is known of its rows, and the number of its selection of rows.

    ``info`` has the penalty and reference of this model, and the number of selected rows.
    """

    problem: Problem
    info: DataInfo
    selection: int


class Queries(NamedTuple):
    """The points of all chains that are under way."""

    points: tuple[SelectionQuery, ...]

    @property
    def label(self) -> str:
        """What a step does, in words."""
        return f"{len(self.points)} models"


class Result(NamedTuple):
    """How one model came out: the best certified point, why it ended, and after how many passes of its own."""

    progress: Progress | None
    status: str
    passes: float


@dataclass(frozen=True)
class BatchProgress(Progress):
    """Results of all chains so far; its certificate is the worst of all models once all are done."""

    results: tuple[tuple[Result, ...], ...] = ()


@dataclass(frozen=True)
class Chain:
    """Where a chain stands: results so far, state and query of the model under way (None at the end)."""

    results: tuple[Result, ...]
    state: Any
    query: Any
    best: Progress | None = None
    before: float = 0.0


@dataclass(frozen=True)
class BatchState(State):
    """Where all chains stand."""

    chains: tuple[Chain, ...]


@dataclass(frozen=True)
class Batch:
    """Solve many models of one loss over shared passes.

    Parameters
    ----------
    solver : Solver
        Solves each; its queries must be points (as those of Newton, L-BFGS and the gradient methods are).
    chains : tuple of tuple of Member
        Members of a chain share their selection.
    selections : tuple of Selection
        Rows of the data set.

    Examples
    --------
    >>> from offbeat.solvers import LBFGS
    >>> Batch(LBFGS(), (), ()).max_staleness
    0.0
    """

    solver: Solver
    chains: tuple[tuple[Member, ...], ...]
    selections: tuple[Selection, ...] = field(repr=False)

    name = "batch"
    max_staleness = 0.0

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` when the method cannot solve one of the models."""
        for chain in self.chains:
            for member in chain:
                self.solver.check(member.problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Workspace:
        """Return scratch memory."""
        return Workspace()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[BatchState, Queries]:
        """Return the first query of each chain."""
        if not self.chains:
            raise ProblemError("a batch needs at least one model")
        chains = tuple(Chain((), *self.solver.init_global(chain[0].problem, chain[0].info)) for chain in self.chains)
        return BatchState(chains), self._queries(chains)

    def _queries(self, chains: tuple[Chain, ...]) -> Queries:
        points = (
            SelectionQuery(members[0].selection, chain.query)
            for chain, members in zip(chains, self.chains, strict=True)
            if chain.query is not None
        )
        return Queries(tuple(points))

    def local_step(self, problem: Problem, shard: Shard, local: Workspace, query: Queries) -> Step:
        """Evaluate all queries, block by block."""
        sums = selection.evaluate(shard, problem.loss, query.points, self.selections, local)
        work = sum(evaluation.work(each.point) for each in query.points)
        return Step(local, np.concatenate(sums), work, query.label)

    def global_step(self, problem: Problem, state: BatchState, board: Board) -> tuple[BatchState, Queries]:
        """Advance each chain with its part of the sums."""
        flat, begin, chains, widest = board.total(), 0, [], 0.0
        for chain, members in zip(state.chains, self.chains, strict=True):
            if chain.query is not None:
                end = begin + selection.payload_size(chain.query)
                widest = max(widest, chain.query.fraction)
                chain = self._advance(chain, members, Part(flat[begin:end]))
                begin = end
            chains.append(chain)
        going = sum(chain.query is not None for chain in chains)
        status = None if going else "done"
        if any(result.status == "not finite" for chain in chains for result in chain.results):
            status = "not finite"
        done = sum(len(chain.results) for chain in chains)
        state = BatchState(
            tuple(chains),
            progress=_progress(chains),
            passes=state.passes + widest,
            status=status,
            note=f"{done} of {sum(map(len, self.chains))} models done, {going} under way",
        )
        return state, self._queries(state.chains)

    def _advance(self, chain: Chain, members: tuple[Member, ...], part: Part) -> Chain:
        """Take a step of the model under way; when it is done, go on to the next that needs data."""
        member = members[len(chain.results)]
        state, query = self.solver.global_step(member.problem, chain.state, part)  # type: ignore[arg-type]
        chain = replace(chain, state=state, query=query, best=_better(chain.best, state.progress))
        while _ended(chain):
            status = "converged" if chain.best and chain.best.certificate.satisfied else str(chain.state.status)
            result = Result(chain.best, status, chain.state.passes - chain.before)
            chain = replace(chain, results=(*chain.results, result), query=None, before=chain.state.passes)
            if status == "not finite" or len(chain.results) == len(members):
                return replace(chain, state=None)
            state, query = continued(self.solver, chain.state, result, members[len(chain.results)])
            before = 0.0 if state.passes == 0.0 else chain.before
            chain = replace(chain, state=state, query=query, best=state.progress, before=before)
        return chain


class Part(NamedTuple):
    """One chain's part of the board: all that solvers ask of a board is its total."""

    flat: Floats

    def total(self) -> Floats:
        """Return the sums."""
        return self.flat


def _ended(chain: Chain) -> bool:
    return bool(chain.state.status is not None or (chain.best is not None and chain.best.certificate.satisfied))


def _better(old: Progress | None, new: Progress | None) -> Progress | None:
    if old is None or new is None:
        return new or old
    return new if new.certificate.relative_gap <= old.certificate.relative_gap else old


def continued(solver: Solver, state: Any, result: Result, member: Member) -> tuple[Any, Any]:
    """Return state and query that solve another penalty from where the last one ended.

    Newton's model of the loss, and the loss where it was evaluated last, are those of the new problem too.
    """
    info = member.info
    if isinstance(solver, Newton) and isinstance(state, NewtonState) and state.base is not None:
        base = state.base
        if base.fraction >= 1.0 and state.status is None:
            base = replace(base, objective=base.at.loss + info.penalty.value(base.x.u))
            progress = evaluation.progress(member.problem, info, base.x, base.at)
            state = replace(
                state, info=info, x=base.x, base=base, change=0.0, ease=1.0, solved=math.inf, progress=progress,
                status=None, patience=StallCounter(limit=state.patience.limit),
            )  # fmt: skip
            return solver._advance(state, previous=state)
    if result.progress is not None:
        info = replace(info, start=(result.progress.coef, result.progress.intercept))
    fresh = replace(solver, first_sample=max(info.n_rows, 1)) if isinstance(solver, Newton) else solver
    return fresh.init_global(member.problem, info)


def _progress(chains: list[Chain]) -> BatchProgress:
    """Return the results so far, certified by the worst once all are there."""
    results = tuple(_so_far(chain) for chain in chains)
    worst = UNKNOWN
    if all(chain.query is None for chain in chains):
        known = [r.progress.certificate if r.progress else UNKNOWN for each in results for r in each]
        worst = max(known, key=lambda certificate: certificate.relative_gap)
    return BatchProgress(np.empty(0), np.empty(0), worst, results=results)


def _so_far(chain: Chain) -> tuple[Result, ...]:
    """Return the results of a chain, with the best point of the model under way."""
    if chain.query is None or chain.best is None:
        return chain.results
    return (*chain.results, Result(chain.best, "unfinished", chain.state.passes - chain.before))
