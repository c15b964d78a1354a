"""What was moved to a worker in the course of a run, as the worker itself has it in its log; nothing is installed."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pickle import PickleBuffer
from typing import Any, NamedTuple

from distributed.metrics import time
from distributed.protocol.pickle import dumps

from offbeat.engines.dask.names import SHARD, kind_of
from offbeat.sideways.messages import Row, Run

TRANSFER = "transfer"
WAITED = 10.0  # seconds that a step may have waited for its turn, after it was told since when the run goes on
SLACK = 0.1  # seconds by which the client may be wrong about when a step began: the way of its answer
AHEAD = 1.0  # the same for a rank, which takes the run for younger than it is by the way of its orders


class Moved(NamedTuple):
    """Something that was moved to a worker: ``start`` in seconds after (mostly: before) it was looked for."""

    start: float
    duration: float
    bytes: int
    what: str


class Transfers:
    """Tells each transfer to the workers of this process once."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def new(self, worker: Any, elapsed: float, shard: Any) -> tuple[Moved, ...]:
        """Return what was moved to a worker since it was last asked.

        Parameters
        ----------
        worker : distributed.Worker
        elapsed : float
            Seconds since the run began, as far as this worker knows.
        shard : Shard
            One of those of the run, which are of about the same size. Dask takes each for a few bytes.
        """
        log, now = worker.transfer_incoming_log, time() + worker.scheduler_delay  # as the log has its times
        with self._lock:
            told = self._told.get(worker.address, now - elapsed - WAITED)
            if not log or log[-1]["stop"] <= told:
                return ()
            new = [entry for entry in log.copy() if entry["stop"] > told]
            self._told[worker.address] = max(entry["stop"] for entry in new)
        return tuple(_moved(entry, now, shard) for entry in new)


def _moved(entry: Any, now: float, shard: Any) -> Moved:
    kinds = [kind_of(key) for key in entry["keys"]]
    size = int(entry["total"] or 0) + (_size(shard) * kinds.count(SHARD) if SHARD in kinds else 0)
    return Moved(entry["start"] - now, entry["stop"] - entry["start"], size, " + ".join(sorted(set(kinds))))


def _size(shard: Any) -> int:
    """Return the bytes of the arrays that travel when a shard does."""
    buffers: list[PickleBuffer] = []
    dumps(shard, buffer_callback=buffers.append)
    return sum(buffer.raw().nbytes for buffer in buffers)


def rows(moved: Iterable[Moved], command: Run, looked: float, slack: float = SLACK) -> list[Row]:
    """Return rows of the trace, of what was moved in the course of the run.

    Parameters
    ----------
    moved : iterable of Moved
    command : Run
        The step before which that was looked for.
    looked : float
        When, on the clock of the run.
    slack : float
        Seconds by which that may be wrong: what seems to have ended earlier than that before the run is left out.
    """
    made = []
    for each in moved:
        end = looked + each.start + each.duration
        if end > -slack:
            end = max(end, 0.0)
            begun = max(min(looked + each.start, end), 0.0)
            made.append(
                Row(
                    begun, end - begun, TRANSFER, worker=command.worker, shard=command.shard, clock=command.clock,
                    bytes=each.bytes, note=each.what,
                )
            )  # fmt: skip
    return made
