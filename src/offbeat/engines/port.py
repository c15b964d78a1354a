"""Programs in real time, however their messages travel: through queues of this process, or through sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from offbeat.data.shards import Cancelled
from offbeat.engines.base import Listener
from offbeat.sideways.messages import Message, Row, Wait
from offbeat.sideways.port import BasePort, cost
from offbeat.sideways.topologies import Peers

POLL = 0.05  # seconds between looks at the wish to stop


class Post(Protocol):
    """How the messages of one rank travel."""

    def push(self, message: Message, to: Sequence[int]) -> None:
        """Send a message to these ranks; never blocks."""

    def poll(self) -> list[Message]:
        """Return what has come in since the last call, oldest first; never blocks."""

    def wait(self, seconds: float) -> bool:
        """Wait until something has come in, but no longer than that; return whether something has."""


class Stop:
    """The flag that ends a run; looking at it also asks whether somebody wants the run cancelled.

    Parameters
    ----------
    cancelled : callable, optional
        Whether somebody does.

    Examples
    --------
    >>> wishes = [False, True]
    >>> stop = Stop(lambda: wishes.pop(0))
    >>> stop.is_set(), stop.is_set(), stop.is_set()
    (False, True, True)
    """

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        self._event, self._cancelled = threading.Event(), cancelled

    def set(self) -> None:
        """End the run: from any thread."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the run is over."""
        if not self._event.is_set() and self._cancelled():
            self._event.set()
        return self._event.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the run goes on."""
        end = time.perf_counter() + seconds
        while not self.is_set() and (left := end - time.perf_counter()) > 0.0:
            self._event.wait(min(POLL, left))


class RealPort(BasePort):
    """A port in real time.

    Parameters
    ----------
    post : Post
        How its messages travel.
    worker, n_workers, incarnation : int
    topology : Broadcast, Tree or Gossip
    listener : Listener
        Keeps the rows of the trace; its clock is the port's.
    """

    def __init__(
        self, post: Post, worker: int, n_workers: int, topology: Peers, listener: Listener, incarnation: int = 0
    ) -> None:
        super().__init__(worker, n_workers, incarnation, topology.neighbours(worker, n_workers))
        self._post, self._listener = post, listener

    def push(self, message: Message, to: Sequence[int] | None = None) -> None:
        """Send a message to the neighbours, or to the ranks named."""
        self._post.push(message, self.neighbours if to is None else to)

    def poll(self) -> list[Message]:
        """Return what has come in since the last call."""
        return self._post.poll()

    def wait(self, seconds: float) -> bool:
        """Wait until something has come in, but no longer than that."""
        return self._post.wait(seconds)

    def record(self, row: Row) -> None:
        """Keep a row of the trace."""
        self._listener.record(row)

    def now(self) -> float:
        """Return seconds since the run began."""
        return time.perf_counter() - self._listener.started


def follow(generator: Generator[Any, None, Any], port: RealPort, stop: Stop, slowdown: float = 1.0) -> Any:
    """Run a program from step to step.

    Parameters
    ----------
    generator : generator
        What `begin` returned; it is for the caller to close.
    port : RealPort
        What `begin` was given.
    stop : Stop
    slowdown : float
        Factor by which the rank is slowed with sleeps.

    Returns
    -------
    result : object
        What the program returned; None when it was stopped before its end.
    """
    begun = port.now()
    while not stop.is_set():
        try:
            said = next(generator)
        except StopIteration as end:
            return end.value
        except Cancelled:
            return None
        if isinstance(said, Wait):
            _sleep(port, stop, said.until)
        else:
            cost(said)
            if slowdown > 1.0:
                stop.pause((slowdown - 1.0) * (port.now() - begun))
        begun = port.now()
    return None


def _sleep(port: RealPort, stop: Stop, until: float) -> None:
    """Wait for a message, for a time, or for the end of the run."""
    while not stop.is_set() and port.now() < until:
        if port.wait(min(POLL, until - port.now())):
            return
