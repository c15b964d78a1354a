"""A solver with a fallback. If the first solver stalls, the second one starts at the best point of the first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Progress, Solver, State, Step, limited


class FallbackQuery(NamedTuple):
    """A query of the first or the second solver; ``allowance`` bounds the passes of a step."""

    inner: Any
    second: bool
    allowance: float = math.inf


class FallbackLocal(NamedTuple):
    """Local state of the solver in use."""

    inner: Any = None
    second: bool = False


@dataclass(frozen=True)
class FallbackState(State):
    """State of the solver in use, and the best point so far. ``before`` counts the passes of the first solver."""

    info: DataInfo
    inner: Any
    second: bool = False
    before: float = 0.0
    best: Progress | None = None


@dataclass(frozen=True)
class Fallback:
    """Run one solver until it stalls or has used up its passes, then another.

    Both must need a barrier (``max_staleness = 0``) and certify their own iterates.

    Parameters
    ----------
    first, then : Solver
    most : float
        Maximum number of passes of the first solver.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(200, 5, seed=0)
    >>> solver = Fallback(solvers.GradientDescent(), solvers.Newton(), most=3)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solver).status
    'converged'
    """

    first: Any
    then: Any
    most: float = math.inf

    max_staleness = 0.0

    @property
    def name(self) -> str:
        """Name of the first solver."""
        return str(self.first.name)

    @property
    def whole(self) -> bool:
        """Whether one of the solvers needs all rows in one shard."""
        return bool(getattr(self.first, "whole", False) or getattr(self.then, "whole", False))

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` when one of them cannot solve this problem."""
        self.first.check(problem)
        self.then.check(problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> FallbackLocal:
        """Return an empty local state: the query tells which solver's state is needed."""
        return FallbackLocal()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[FallbackState, FallbackQuery]:
        """Return the first state and query of the first solver."""
        inner, query = self.first.init_global(problem, info)
        return FallbackState(info=info, inner=inner), FallbackQuery(query, second=False)

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Take a step of the solver that made the query."""
        solver: Solver = self.then if query.second else self.first
        inner = local.inner
        if inner is None or local.second != query.second:
            inner = solver.init_local(problem, shard)
        step = solver.local_step(problem, shard, inner, limited(query.inner, query.allowance))
        return step._replace(local=FallbackLocal(step.local, query.second))

    def global_step(self, problem: Problem, state: FallbackState, board: Board) -> tuple[FallbackState, FallbackQuery]:
        """Take the hub's step of the solver in use. Switch to the second solver if the first stalls."""
        solver: Solver = self.then if state.second else self.first
        inner, query = solver.global_step(problem, state.inner, board)
        found: Progress | None = inner.progress
        best = state.best
        if found is not None and (best is None or found.certificate.gap <= best.certificate.gap):
            best = found
        passes = state.before + inner.passes
        state = replace(
            state, inner=inner, best=best, progress=found, passes=passes, status=inner.status, note=inner.note
        )
        if best is not None and not state.second and self._must_switch(inner, best):
            return self._switch(problem, replace(state, best=best))
        return state, FallbackQuery(query, state.second)

    def _must_switch(self, inner: Any, best: Progress) -> bool:
        """Whether the first solver has stalled or used up its passes, with a gap above the tolerance."""
        return not best.certificate.satisfied and (inner.status == "stalled" or inner.passes >= self.most)

    def _switch(self, problem: Problem, state: FallbackState) -> tuple[FallbackState, FallbackQuery]:
        """Start the second solver at the best point."""
        assert state.best is not None
        start = (state.best.coef, state.best.intercept)
        inner, query = self.then.init_global(problem, replace(state.info, start=start, warm=True))
        note = f"{self.first.name} makes no progress: {self.then.name} from here"
        state = replace(state, inner=inner, second=True, before=state.passes, status=None, note=note)
        return state, FallbackQuery(query, second=True)
