"""What moves between the loop, the engines and the workers: plain named tuples."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
STEP = "step"
"""Role: a contribution of the method."""
CERTIFY = "certify"
"""Role: an evaluation at the point that is being certified."""
ASK = "ask"
"""Role: the point that is to be evaluated, on its way to the peers."""
HELLO = "hello"
"""Role: a peer that restarted, and wants to hear again what it missed."""
WHERE = "where"
"""Role: what a peer tells one that restarted: its state, its query, its updates (pickled)."""


class Message(NamedTuple):
    """A contribution on its way: the newest ``(incarnation, clock)`` of a shard wins.

    ``kind`` says what the step did, in a word or two, for the reader of a trace; ``started`` and
    ``duration`` are seconds of the engine's clock; ``payload`` is flat; ``work`` is what the step cost, in passes over
    the shard for a gradient; ``role`` is what the payload is for: `STEP`, `CERTIFY`, `ASK`, `HELLO` or `WHERE`;
    ``stamp`` tells this execution of the step from all others, 0 when nobody asks.
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
    work: float = 1.0
    role: str = STEP
    stamp: int = 0


class Row(NamedTuple):
    """One row of a trace.

    ``kind`` is ``"step"`` (a worker's), ``"update"`` (the coordinator's, worker -1) or ``"transfer"`` (what an engine
    moved to a worker: ``bytes`` of it, and ``note`` says of what; before the step ``clock`` of ``shard``). ``batch`` is
    the number of contributions that an update took in. ``staleness`` of a step is, with a hub, the number of updates
    while it was under way; of a peer's, how many steps it is ahead of the slowest.
    """

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
    batch: int = 0


class Run(NamedTuple):
    """Command: run a step of the shard at this query on this worker.

    ``contribution`` is the newest that the shard has sent: what a worker that does not hold the shard's state starts
    from; ``stamp`` is that of its message: a worker that holds the state which goes with it goes on from there.
    """

    shard: int
    clock: int
    query: Any
    worker: int = 0
    role: str = STEP
    contribution: Floats | None = None
    stamp: int = 0


class Wait(NamedTuple):
    """Command: send the next event, or a `Tick` when there is none by ``until`` on the engine's clock."""

    until: float = math.inf


class Record(NamedTuple):
    """Command: keep this row of the trace."""

    row: Row


class Save(NamedTuple):
    """Command: keep this snapshot, so that the fit can be resumed should this process end."""

    snapshot: Any


Command: TypeAlias = Run | Wait | Record | Save


class Arrived(NamedTuple):
    """Event: a contribution came in at ``time``."""

    message: Message
    time: float


class Idle(NamedTuple):
    """Event: a worker says that it has had nothing to do since a time; from engines whose messages can be lost."""

    worker: int
    since: float
    time: float


class Failed(NamedTuple):
    """Event: a step raised; the loop raises it again in the caller."""

    shard: int
    error: BaseException
    time: float


class Interrupted(NamedTuple):
    """Event: the user wants the best model so far."""

    time: float


class Tick(NamedTuple):
    """Event: nothing came in until the time the loop named."""

    time: float


class Joined(NamedTuple):
    """Event: a worker is there, for the first time or again; it knows nothing."""

    worker: int
    time: float
    incarnation: int = 0


class Lost(NamedTuple):
    """Event: this life of a worker has ended, with all it held and was doing."""

    worker: int
    time: float
    incarnation: int = 0


Event: TypeAlias = Arrived | Idle | Failed | Interrupted | Tick | Joined | Lost
