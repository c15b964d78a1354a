"""What solvers, loops and engines expect of each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from offbeat.data.shards import Shard
from offbeat.data.shards.conditioning import needs_conditioning
from offbeat.problem import Certificate, Problem, Reference, ScaledPenalty
from offbeat.sideways.board import Board
from offbeat.sideways.messages import Floats

MANY = 1 << 14  # rows over which the rounding of products in single precision averages out
MODEST = 1e-7  # tolerance that it does not disturb


@dataclass(frozen=True)
class DataInfo:
    """What a solver may know about the data before its first query.

    ``center`` and ``scale`` define internal coordinates: ``u = w * scale``, intercept ``b + center.w``. ``start`` holds
    coefficients and intercepts in internal coordinates. ``rarity`` is the largest squared deviation of each scaled
    column: about the reciprocal of how often an indicator column differs from its usual value. ``n_shards``,
    ``longest`` (rows of the largest shard), ``at_once`` (most steps under way at once), ``staleness`` and ``seed`` say
    how the fit is run, ``resident`` whether the data is in memory, ``warm`` that the start is somebody's and may be the
    answer, ``single`` that the rows are dense and in single precision.
    """

    n_rows: int
    n_columns: int
    n_outputs: int
    center: Floats
    scale: Floats
    penalty: ScaledPenalty
    reference: Reference
    start: tuple[Floats, Floats]
    sparse: bool
    rarity: Floats
    n_shards: int = 1
    longest: int = 0
    at_once: int = 1
    resident: bool = True
    staleness: float = 0.0
    seed: int = 0
    warm: bool = False
    single: bool = False

    @property
    def size(self) -> int:
        """Number of penalised coefficients, over all outputs."""
        return self.n_columns * self.n_outputs

    @property
    def rough(self) -> bool:
        """Whether products with several outputs are in single precision: of many such rows, to a modest tolerance."""
        return self.single and self.n_outputs > 1 and self.n_rows >= MANY and self.reference.tolerance >= MODEST

    @property
    def conditioned(self) -> bool:
        """Whether sparse columns are rewritten as they are read: see `offbeat.data.shards.conditioning`."""
        return self.sparse and bool(np.any(needs_conditioning(self.center, self.scale)))


@dataclass(frozen=True)
class Progress:
    """What a solver knows about a point it has evaluated on all the data.

    ``coef`` and ``intercept`` are internal; ``certificate`` belongs to exactly this point.
    """

    coef: Floats
    intercept: Floats
    certificate: Certificate
    primal_residual: float = math.nan
    dual_residual: float = math.nan

    @property
    def finite(self) -> bool:
        """Whether all coefficients are numbers."""
        return bool(np.all(np.isfinite(self.coef)) and np.all(np.isfinite(self.intercept)))


class Step(NamedTuple):
    """What a step of a shard gives: its new local state, its contribution (flat), and what it cost.

    ``work`` is in passes over the shard for a gradient; ``kind`` says in a word or two what was done; ``stamp`` is the
    engine's, see `messages.Message`.
    """

    local: Any
    payload: Floats
    work: float = 1.0
    kind: str = ""
    stamp: int = 0


class Candidate(NamedTuple):
    """A point that a solver offers to the loop, which certifies it.

    ``coef`` and ``intercept`` are internal and feasible for the penalty. ``estimate`` is the relative gap that the
    solver believes it has, from contributions of different ages: it decides when certifying is worth a pass, and
    nothing else. ``dual`` is a lower bound of the optimal objective that holds whatever the ages.
    """

    coef: Floats
    intercept: Floats
    estimate: float = math.inf
    dual: float = -math.inf
    primal_residual: float = math.nan
    dual_residual: float = math.nan


@dataclass(frozen=True, kw_only=True)
class State:
    """What the global state of every solver shows to the loop; solvers add fields of their own.

    A solver whose queries are evaluations at one point on all the data certifies as it goes: ``progress``. Any other
    shows a ``candidate``, and the loop has it evaluated from time to time. ``passes`` counts reads of the whole data,
    fractions included; ``status`` is set when the solver itself ends ("stalled", "separable", "diverged"); ``note`` is
    for the reader of a trace.
    """

    candidate: Candidate | None = None
    progress: Progress | None = None
    passes: float = 0.0
    status: str | None = None
    note: str = ""


class Solver(Protocol):
    """A method: hyper-parameters only, pure steps, explicit state. See docs/architecture.md.

    A class attribute ``exact = False`` says that fits come near the optimum and that no certificate is to be expected.
    ``early = True`` says that the method, without barrier, may set out before all shards have reported: the sum over
    those that have, in proportion, stands for all.
    """

    @property
    def name(self) -> str:
        """Name in traces and messages."""

    @property
    def max_staleness(self) -> float:
        """Largest staleness the method is safe with: 0 needs rounds, ``inf`` none."""

    def check(self, problem: Problem) -> None:
        """Raise `ProblemError` when the method cannot solve this problem."""

    def init_local(self, problem: Problem, shard: Shard, contribution: Floats | None = None) -> Any:
        """Return the local state of a shard: a new one, or the one that goes with its last contribution."""

    def init_global(self, problem: Problem, info: DataInfo) -> tuple[Any, Any]:
        """Return the global state and the first query."""

    def local_step(self, problem: Problem, shard: Shard, local: Any, query: Any) -> Step:
        """Return the new local state and the shard's contribution, flat. ``local`` itself is left as it is."""

    def global_step(self, problem: Problem, state: Any, board: Board) -> tuple[Any, Any]:
        """Return the new global state and the next query."""


def limited(query: Any, passes: float) -> Any:
    """Return a query whose steps take no more than the passes that are left, or one if they are fewer.

    Parameters
    ----------
    query : object
        Of a step that may take many passes: a named tuple with the field ``allowance``, the most gradient passes over
        the shard that it may take (it takes what it needs at least), or ``epochs``, those that it takes.
    passes : float

    Examples
    --------
    >>> limited((1.0, 2.0), 10.0)
    (1.0, 2.0)
    """
    passes = max(passes, 1.0)
    if getattr(query, "allowance", 0.0) > passes:
        return query._replace(allowance=passes)
    return query._replace(epochs=int(passes)) if getattr(query, "epochs", 0) > passes else query


def internal_to_original(info: DataInfo, coef: Floats, intercept: Floats) -> tuple[Floats, Floats]:
    """Return coefficients (k, n_outputs) and intercepts in the units of the columns.

    Without an intercept the centre is zero, so that the intercept stays zero. Where the penalty is about original
    coefficients, they are put back on bounds that dividing by the scale took them across.
    """
    w = coef.reshape(info.n_columns, info.n_outputs) / info.scale[:, None]
    if np.array_equal(info.penalty.factor, np.repeat(1.0 / info.scale, info.n_outputs)):
        w = replace(info.penalty, factor=np.ones(w.size)).prox(w.ravel(), 0.0).reshape(w.shape)
    return w, intercept - info.center @ w


def original_to_internal(info: DataInfo, coef: Floats, intercept: Floats) -> tuple[Floats, Floats]:
    """Return internal coefficients (flat) and intercepts: the inverse of `internal_to_original`."""
    w = coef.reshape(info.n_columns, info.n_outputs)
    return np.ascontiguousarray(w * info.scale[:, None]).ravel(), intercept + info.center @ w
