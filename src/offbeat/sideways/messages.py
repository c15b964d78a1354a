"""What moves between the loop, the engines and the workers: plain named tuples."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


class Message(NamedTuple):
    """A contribution on its way: the newest ``(incarnation, clock)`` of a shard wins.

    ``kind`` says what the step did, in a word or two, for the reader of a trace; ``started`` and
    ``duration`` are seconds of the engine's clock; ``payload`` is flat.
    """

    run: int
    worker: int
    incarnation: int
    shard: int
    clock: int
    kind: str
    payload: Floats
    started: float = 0.0
    duration: float = 0.0


class Row(NamedTuple):
    """One row of a trace. ``kind`` is ``"step"`` (a worker's) or ``"update"`` (the coordinator's, worker -1)."""

    time: float
    duration: float = 0.0
    kind: str = "update"
    passes: float = 0.0
    worker: int = -1
    shard: int = -1
    clock: int = 0
    staleness: int = 0
    primal: float = math.nan
    dual: float = math.nan
    gap: float = math.nan
    primal_residual: float = math.nan
    dual_residual: float = math.nan
    bytes: int = 0
    note: str = ""


class Run(NamedTuple):
    """Command: run a step of the shard at this query, on whichever worker is free."""

    shard: int
    clock: int
    query: Any


class Wait(NamedTuple):
    """Command: send the next event."""


class Record(NamedTuple):
    """Command: keep this row of the trace."""

    row: Row


Command: TypeAlias = Run | Wait | Record


class Arrived(NamedTuple):
    """Event: a contribution came in at ``time``."""

    message: Message
    time: float


class Failed(NamedTuple):
    """Event: a step raised; the loop raises it again in the caller."""

    shard: int
    error: BaseException
    time: float


class Interrupted(NamedTuple):
    """Event: the user wants the best model so far."""

    time: float


Event: TypeAlias = Arrived | Failed | Interrupted
