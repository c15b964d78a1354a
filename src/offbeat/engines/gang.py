"""Programs on threads: one thread a rank, a queue each for what comes in, and a flag that ends them all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from offbeat.data.shard import Cancelled, Shard
from offbeat.engines.base import Listener
from offbeat.sideways.messages import Message, Row, Wait
from offbeat.sideways.port import BasePort, Program, begin, cost
from offbeat.sideways.topologies import Peers

POLL = 0.05  # seconds between looks at the wish to stop


class _Switchboard:
    """Queues of all ranks, and the flag that ends the run."""

    def __init__(self, n_ranks: int, listener: Listener) -> None:
        self.queues: list[deque[Message]] = [deque() for _ in range(n_ranks)]
        self.news = [threading.Event() for _ in range(n_ranks)]
        self.stop = threading.Event()
        self.listener = listener

    def now(self) -> float:
        return time.perf_counter() - self.listener.started

    def over(self) -> bool:
        """Whether all ranks should end."""
        if self.listener.cancelled():
            self.stop.set()
        return self.stop.is_set()


class _Port(BasePort):
    """A port whose messages are handed over in memory."""

    def __init__(self, board: _Switchboard, worker: int, topology: Peers) -> None:
        n = len(board.queues)
        super().__init__(worker, n, 0, topology.neighbours(worker, n))
        self._board = board

    def push(self, message: Message, to: Sequence[int] | None = None) -> None:
        """Put a message into the queues of the neighbours."""
        for rank in self.neighbours if to is None else to:
            self._board.queues[rank].append(message)
            self._board.news[rank].set()

    def poll(self) -> list[Message]:
        """Return what has come in since the last call."""
        self._board.news[self.worker].clear()
        queue = self._board.queues[self.worker]
        return [queue.popleft() for _ in range(len(queue))]

    def record(self, row: Row) -> None:
        """Keep a row of the trace."""
        self._board.listener.record(row)

    def now(self) -> float:
        """Return seconds since the run began."""
        return self._board.now()


def run_gang(
    program: Program, shards: list[Shard], topology: Peers, listener: Listener, slowdown: Mapping[int, float]
) -> list[Any]:
    """Run a program on every shard, each rank on its thread.

    Parameters
    ----------
    program : callable
    shards : list of Shard
    topology : Broadcast, Tree or Gossip
    listener : Listener
    slowdown : mapping of int to float
        Factors by which ranks are slowed with sleeps.

    Returns
    -------
    results : list
        Of each rank; None for those that were stopped.

    Raises
    ------
    BaseException
        What the first failing rank raised; the others are stopped.
    """
    board = _Switchboard(len(shards), listener)

    def rank(worker: int) -> Any:
        generator = begin(program, _Port(board, worker, topology), shards[worker])
        try:
            return _follow(generator, board, worker, slowdown.get(worker, 1.0))
        except BaseException as error:
            board.stop.set()
            error.add_note(f"raised by rank {worker}")
            raise
        finally:
            generator.close()
            if worker == 0 and listener.lead_ends:
                board.stop.set()

    with ThreadPoolExecutor(len(shards), thread_name_prefix="offbeat") as pool:
        futures = [pool.submit(rank, worker) for worker in range(len(shards))]
        try:
            return [future.result() for future in futures]
        finally:
            board.stop.set()


def _follow(generator: Generator[Any, None, Any], board: _Switchboard, worker: int, factor: float) -> Any:
    """Run a program from step to step; None when it is stopped before its end."""
    begun = board.now()
    while not board.over():
        try:
            said = next(generator)
        except StopIteration as end:
            return end.value
        except Cancelled:
            return None
        if isinstance(said, Wait):
            _sleep(board, worker, said.until)
            begun = board.now()
            continue
        cost(said)
        if factor > 1.0:
            board.stop.wait((factor - 1.0) * (board.now() - begun))
        begun = board.now()
    return None


def _sleep(board: _Switchboard, worker: int, until: float) -> None:
    """Wait for a message, for a time, or for the end of the run."""
    while not board.over() and not board.queues[worker] and board.now() < until:
        board.news[worker].wait(min(POLL, max(until - board.now(), 0.0)))
