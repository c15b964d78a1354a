"""Programs on threads: one thread a rank, a queue each for what comes in, and a flag that ends them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from offbeat.data.shards import Shard
from offbeat.engines.base import Listener
from offbeat.engines.port import RealPort, Stop, follow
from offbeat.sideways.messages import Message
from offbeat.sideways.port import Program, begin
from offbeat.sideways.topologies import Peers


class _Queue:
    """The post of one rank: messages are handed over in memory."""

    def __init__(self, queues: list[_Queue]) -> None:
        self._queues = queues  # of all ranks, by rank
        self._messages: deque[Message] = deque()
        self._news = threading.Event()

    def push(self, message: Message, to: Sequence[int]) -> None:
        """Put a message into the queues of these ranks."""
        for rank in to:
            self._queues[rank].put(message)

    def put(self, message: Message) -> None:
        """Take a message from any rank."""
        self._messages.append(message)
        self._news.set()

    def poll(self) -> list[Message]:
        """Return what has come in since the last call."""
        self._news.clear()
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def wait(self, seconds: float) -> bool:
        """Wait until something has come in, but no longer than that."""
        if not self._messages:
            self._news.wait(max(seconds, 0.0))
        return bool(self._messages)


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
    stop = Stop(listener.cancelled)
    queues: list[_Queue] = []
    queues.extend(_Queue(queues) for _ in shards)

    def rank(worker: int) -> Any:
        port = RealPort(queues[worker], worker, len(shards), topology, listener)
        generator = begin(program, port, shards[worker])
        try:
            return follow(generator, port, stop, slowdown.get(worker, 1.0))
        except BaseException as error:
            stop.set()
            error.add_note(f"raised by rank {worker}")
            raise
        finally:
            generator.close()
            if worker == 0 and listener.lead_ends:
                stop.set()

    with ThreadPoolExecutor(len(shards), thread_name_prefix="offbeat") as pool:
        futures = [pool.submit(rank, worker) for worker in range(len(shards))]
        try:
            return [future.result() for future in futures]
        finally:
            stop.set()
            queues.clear()  # they know each other: what nobody polled would stay until the next garbage collection
