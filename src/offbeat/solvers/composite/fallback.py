"""A method, and another for when it goes badly: the second starts at the best point of the first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from offbeat.data.shards import Shard
from offbeat.problem import Floats, Problem
from offbeat.sideways.board import Board
from offbeat.sideways.protocol import DataInfo, Progress, Solver, State, Step, limited


class Query(NamedTuple):
    """A query of the first method, or of the second; ``allowance`` bounds the passes of a step."""

    inner: Any
    second: bool
    allowance: float = math.inf


class Local(NamedTuple):
    """The local state of the method of the moment."""

    inner: Any = None
    second: bool = False


@dataclass(frozen=True)
class ChangingState(State):
    """Where the method of the moment stands, and the best point so far; ``before`` are the passes of the first."""

    info: DataInfo
    inner: Any
    second: bool = False
    before: float = 0.0
    best: Progress | None = None


@dataclass(frozen=True)
class Changing:
    """One method until it stalls or has used up its passes, then another. Both need rounds and certify as they go.

    Parameters
    ----------
    first, then : Solver
    most : float
        Passes of the first.

    Examples
    --------
    >>> from offbeat import Problem, losses, penalties, solve, solvers
    >>> from offbeat.datasets import make_classification
    >>> X, y = make_classification(200, 5, seed=0)
    >>> solver = Changing(solvers.GradientDescent(), solvers.Newton(), most=3)
    >>> solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y, solver=solver).status
    'converged'
    """

    first: Any
    then: Any
    most: float = math.inf

    max_staleness = 0.0

    @property
    def name(self) -> str:
        """Name of the first."""
        return str(self.first.name)

    @property
    def whole(self) -> bool:
        """Whether one of them needs all rows in one shard."""
        return bool(getattr(self.first, "whole", False) or getattr(self.then, "whole", False))

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` when one of them cannot solve this problem."""
        self.first.check(problem)
        self.then.check(problem)

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Local:
        """Return no state yet: a query says whose it is."""
        return Local()

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[ChangingState, Query]:
        """Return the first query of the first method."""
        inner, query = self.first.init_global(problem, info)
        return ChangingState(info=info, inner=inner), Query(query, second=False)

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Take a step of the method that asks."""
        solver: Solver = self.then if query.second else self.first
        inner = local.inner
        if inner is None or local.second != query.second:
            inner = solver.init_local(problem, shard)
        step = solver.local_step(problem, shard, inner, limited(query.inner, query.allowance))
        return step._replace(local=Local(step.local, query.second))

    def global_step(self, problem: Problem, state: ChangingState, board: Board) -> tuple[ChangingState, Query]:
        """Update the method of the moment; change it where it goes badly."""
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
        if best is not None and not state.second and self._badly(inner, best):
            return self._changed(problem, replace(state, best=best))
        return state, Query(query, state.second)

    def _badly(self, inner: Any, best: Progress) -> bool:
        """Whether the first method has ended, or used up its passes, without a small enough gap."""
        return not best.certificate.satisfied and (inner.status == "stalled" or inner.passes >= self.most)

    def _changed(self, problem: Problem, state: ChangingState) -> tuple[ChangingState, Query]:
        """Begin the second method at the best point."""
        assert state.best is not None
        start = (state.best.coef, state.best.intercept)
        inner, query = self.then.init_global(problem, replace(state.info, start=start, warm=True))
        note = f"{self.first.name} goes badly: {self.then.name} from here"
        state = replace(state, inner=inner, second=True, before=state.passes, status=None, note=note)
        return state, Query(query, second=True)
