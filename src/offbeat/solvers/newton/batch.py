"""Many models in shared passes: the folds and penalties of a cross-validation, or a path.

A *chain* is a list of models that are solved one after another. Each starts from the solution of the one before: the
loss at that point does not depend on the penalty, so Newton's model is kept, and the new certificate needs no pass.
Chains advance in parallel. In each pass every chain has a query, and a block of rows is read once for all of them.

Parallel chains save reading; long chains save computing. One chain a fold suits data in memory, where evaluating costs
more than reading. One chain a model suits data on disk: the number of passes is about that of the hardest model. Each
model has its own state (for `Newton` a Hessian), which limits the number of parallel chains. A chain that is done
leaves; the others go on.
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

UNKNOWN_CERTIFICATE = Certificate(math.nan, -math.inf, math.inf, math.inf, "duality gap")


class BatchMember(NamedTuple):
    """One model: its problem, the `DataInfo` of its rows, and the number of its selection of rows.

    ``info`` has the penalty and reference of this model, and the number of selected rows.
    """

    problem: Problem
    info: DataInfo
    selection: int


class BatchQuery(NamedTuple):
    """The queries of all chains that are not done."""

    points: tuple[SelectionQuery, ...]

    @property
    def label(self) -> str:
        """Description of a step in traces."""
        return f"{len(self.points)} models"


class BatchResult(NamedTuple):
    """Result of one model: the best certified point, the status, and the passes of this model."""

    progress: Progress | None
    status: str
    passes: float


@dataclass(frozen=True)
class BatchProgress(Progress):
    """Results of all chains so far. When all are done, the certificate is the worst one of all models."""

    results: tuple[tuple[BatchResult, ...], ...] = ()


@dataclass(frozen=True)
class BatchChain:
    """State of a chain: results so far, and state and query of the current model (None at the end)."""

    results: tuple[BatchResult, ...]
    state: Any
    query: Any
    best: Progress | None = None
    before: float = 0.0


@dataclass(frozen=True)
class BatchState(State):
    """State of all chains."""

    chains: tuple[BatchChain, ...]


@dataclass(frozen=True)
class Batch:
    """Solve many models of one loss over shared passes.

    Parameters
    ----------
    solver : Solver
        Solver of each model. Its queries must be points, as those of Newton, L-BFGS and gradient methods.
    chains : tuple of tuple of BatchMember
        Members of a chain share their selection.
    selections : tuple of Selection
        Selections of rows of the data set.

    Examples
    --------
    >>> from offbeat.solvers import LBFGS
    >>> Batch(LBFGS(), (), ()).max_staleness
    0.0
    """

    solver: Solver
    chains: tuple[tuple[BatchMember, ...], ...]
    selections: tuple[Selection, ...] = field(repr=False)

    name = "batch"
    max_staleness = 0.0

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` when the solver cannot solve one of the models."""
        for chain in self.chains:
            for member in chain:
                self.solver.check(member.problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Workspace:
        """Return scratch memory."""
        return Workspace()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[BatchState, BatchQuery]:
        """Return the first state and query of each chain."""
        if not self.chains:
            raise ProblemError("a batch needs at least one model")
        chains = tuple(
            BatchChain((), *self.solver.init_global(chain[0].problem, chain[0].info)) for chain in self.chains
        )
        return BatchState(chains), self._queries(chains)

    def _queries(self, chains: tuple[BatchChain, ...]) -> BatchQuery:
        """Return the queries of the chains that are not done."""
        points = (
            SelectionQuery(members[0].selection, chain.query)
            for chain, members in zip(chains, self.chains, strict=True)
            if chain.query is not None
        )
        return BatchQuery(tuple(points))

    def local_step(self, problem: Problem, shard: Shard, local: Workspace, query: BatchQuery) -> Step:
        """Evaluate all queries, block by block."""
        sums = selection.evaluate(shard, problem.loss, query.points, self.selections, local)
        work = sum(evaluation.work(each.point) for each in query.points)
        return Step(local, np.concatenate(sums), work, query.label)

    def global_step(self, problem: Problem, state: BatchState, board: Board) -> tuple[BatchState, BatchQuery]:
        """Advance each chain, with its part of the sums."""
        flat, begin, chains, widest = board.total(), 0, [], 0.0
        for chain, members in zip(state.chains, self.chains, strict=True):
            if chain.query is not None:
                end = begin + selection.payload_size(chain.query)
                widest = max(widest, chain.query.fraction)
                chain = self._advance(chain, members, BatchPart(flat[begin:end]))
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

    def _advance(self, chain: BatchChain, members: tuple[BatchMember, ...], part: BatchPart) -> BatchChain:
        """Advance the current model. When it is done, begin the next models, up to one that needs a pass."""
        member = members[len(chain.results)]
        state, query = self.solver.global_step(member.problem, chain.state, part)  # type: ignore[arg-type]
        chain = replace(chain, state=state, query=query, best=_better(chain.best, state.progress))
        while _ended(chain):
            status = "converged" if chain.best and chain.best.certificate.satisfied else str(chain.state.status)
            result = BatchResult(chain.best, status, chain.state.passes - chain.before)
            chain = replace(chain, results=(*chain.results, result), query=None, before=chain.state.passes)
            if status == "not finite" or len(chain.results) == len(members):
                return replace(chain, state=None)
            state, query = continue_from(self.solver, chain.state, result, members[len(chain.results)])
            before = 0.0 if state.passes == 0.0 else chain.before
            chain = replace(chain, state=state, query=query, best=state.progress, before=before)
        return chain


class BatchPart(NamedTuple):
    """One chain's part of the board. Solvers ask a board for its total only."""

    flat: Floats

    def total(self) -> Floats:
        """Return the sums."""
        return self.flat


def _ended(chain: BatchChain) -> bool:
    """Whether the current model is done."""
    return bool(chain.state.status is not None or (chain.best is not None and chain.best.certificate.satisfied))


def _better(old: Progress | None, new: Progress | None) -> Progress | None:
    """Return the point with the smaller relative gap."""
    if old is None or new is None:
        return new or old
    return new if new.certificate.relative_gap <= old.certificate.relative_gap else old


def continue_from(solver: Solver, state: Any, result: BatchResult, member: BatchMember) -> tuple[Any, Any]:
    """Return the first state and query of the next model, which start from the solution of the last one.

    Only the penalty differs. So Newton's model of the loss and its last evaluation are kept.
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


def _progress(chains: list[BatchChain]) -> BatchProgress:
    """Return the results so far, with the worst certificate when all models are done."""
    results = tuple(_results_so_far(chain) for chain in chains)
    worst = UNKNOWN_CERTIFICATE
    if all(chain.query is None for chain in chains):
        known = [r.progress.certificate if r.progress else UNKNOWN_CERTIFICATE for each in results for r in each]
        worst = max(known, key=lambda certificate: certificate.relative_gap)
    return BatchProgress(np.empty(0), np.empty(0), worst, results=results)


def _results_so_far(chain: BatchChain) -> tuple[BatchResult, ...]:
    """Return the results of a chain, including the best point of the current model."""
    if chain.query is None or chain.best is None:
        return chain.results
    return (*chain.results, BatchResult(chain.best, "unfinished", chain.state.passes - chain.before))
