"""One worker, in the calling thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from offbeat.data.shard import Cancelled, Shard
from offbeat.engines.base import Loop, Steps, one_blas_thread
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import Arrived, Event, Interrupted, Record, Row, Run

T = TypeVar("T")


@dataclass(frozen=True)
class Serial:
    """Run every step in the calling thread, first come, first served.

    Examples
    --------
    >>> Serial().n_workers
    1
    """

    name = "serial"

    @property
    def n_workers(self) -> int:
        """One."""
        return 1

    def map(self, function: Callable[[Shard], T], shards: Iterable[Shard]) -> list[T]:
        """Return ``function`` of each shard, in order."""
        return [function(shard) for shard in shards]

    def run(self, loop: Loop, steps: Steps, record: Callable[[Row], Any]) -> Outcome:
        """Drive the loop to its end; rows go to ``record``."""
        with one_blas_thread():
            return _drive(loop, steps, record)


def _drive(loop: Loop, steps: Steps, record: Callable[[Row], Any]) -> Outcome:
    waiting: deque[Run] = deque()
    event: Event | None = None
    while True:
        try:
            command = loop.send(event)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        event = None
        if isinstance(command, Run):
            waiting.append(command)
        elif isinstance(command, Record):
            record(command.row)
        else:
            event = _next(waiting, steps)


def _next(waiting: deque[Run], steps: Steps) -> Event:
    try:
        message = steps.step(waiting.popleft(), worker=0)
    except Cancelled:
        return Interrupted(steps.now())
    if steps.cancelled():
        return Interrupted(steps.now())
    return Arrived(message, steps.now())
