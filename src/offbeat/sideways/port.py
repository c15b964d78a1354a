"""The sideways operator as a program sees it: push to peers, poll what came in, yield at step boundaries.

A *program* is a generator function ``program(port, shard)``. What it yields tells the engine where it stands:

``yield work``
    A step is done that cost ``work`` passes over the shard (None counts as one). What is pushed after it leaves when
    the step is over.
``yield WAIT``
    There is nothing to do until a message comes in; ``yield Wait(until)`` waits no longer than to that time.

Its return value is the worker's result. Source: Gonzalez et al. 2015 (arXiv 1510.07092), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeAlias

from offbeat.data.shards import Shard
from offbeat.errors import ProblemError
from offbeat.sideways.messages import Floats, Message, Row, Wait

WAIT = Wait()
"""Yielded by a program that has nothing to do until a message comes in."""


class Port(Protocol):
    """What a running program has of its surroundings.

    ``worker`` is its rank among ``n_workers``; ``incarnation`` counts its restarts; ``neighbours`` are the ranks that
    `push` sends to unless told otherwise.
    """

    worker: int
    n_workers: int
    incarnation: int
    neighbours: tuple[int, ...]

    def push(self, message: Message, to: Sequence[int] | None = None) -> None:
        """Send a message to the neighbours, or to the ranks named; one-way, never blocks."""

    def poll(self) -> list[Message]:
        """Return what has come in since the last call, oldest first; never blocks."""

    def message(self, payload: Floats, *, kind: str = "step", clock: int = 0, shard: int | None = None) -> Message:
        """Return a message from this worker; ``shard`` is the worker's rank unless given."""

    def record(self, row: Row) -> None:
        """Keep a row of the trace."""

    def allowance(self, rows: int, seconds: float) -> float:
        """Return the gradient passes over so many rows that this worker makes in a time, as far as is known."""

    def now(self) -> float:
        """Return seconds of the engine's clock since the run began."""


Program: TypeAlias = Callable[[Port, Shard], Generator[Any, None, Any]]
"""What `engine.run` takes."""


def begin(program: Program, port: Port, shard: Shard) -> Generator[Any, None, Any]:
    """Return a program's generator for one rank.

    Raises
    ------
    ProblemError
        If the program is not a generator function: it would never give control back.
    """
    generator = program(port, shard)
    if not isinstance(generator, Generator):
        raise ProblemError("a program must be a generator function: yield at the end of each step, for example `yield`")
    return generator


def cost(said: Any) -> float:
    """Return the work that a program says a step took, in passes over its shard.

    Raises
    ------
    ProblemError
        If it is not a number of at least 0.

    Examples
    --------
    >>> cost(None), cost(0.5)
    (1.0, 0.5)
    """
    work = 1.0 if said is None else said
    if not (isinstance(work, (int, float)) and work >= 0.0):
        raise ProblemError(f"a program yielded {said!r}; yield the work of a step (a number), None or Wait()")
    return float(work)


def within(query: Any, work: Callable[[float], float]) -> Any:
    """Return a query whose ``seconds``, where it has any, are converted into an ``allowance`` of work.

    Parameters
    ----------
    query : object
        Time-boxed queries are named tuples with the fields ``seconds`` and ``allowance``.
    work : callable
        Returns the gradient passes over the shard that a worker makes in so many seconds.

    Examples
    --------
    >>> within((1.0, 2.0), lambda seconds: 10.0 * seconds)
    (1.0, 2.0)
    """
    seconds = getattr(query, "seconds", math.inf)
    return query if math.isinf(seconds) else query._replace(allowance=min(work(seconds), query.allowance))


class BasePort:
    """What all ports share; an engine adds how messages travel.

    Parameters
    ----------
    worker, n_workers, incarnation : int
    neighbours : tuple of int
    """

    def __init__(self, worker: int, n_workers: int, incarnation: int, neighbours: tuple[int, ...]) -> None:
        self.worker, self.n_workers, self.incarnation = worker, n_workers, incarnation
        self.neighbours = neighbours

    def allowance(self, rows: int, seconds: float) -> float:
        """Return the gradient passes over so many rows that this worker makes in a time, as far as is known."""
        return math.inf

    def message(self, payload: Floats, *, kind: str = "step", clock: int = 0, shard: int | None = None) -> Message:
        """Return a message from this worker; ``shard`` is the worker's rank unless given."""
        return Message(0, self.worker, self.incarnation, self.worker if shard is None else shard, clock, kind, payload)
