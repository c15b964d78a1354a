"""Programs in virtual time: every rank is resumed by the world's events, and nothing happens by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from offbeat.data.shards import Cancelled, Shard
from offbeat.engines.base import Listener
from offbeat.engines.simulation.hub import HEADER
from offbeat.engines.simulation.world import World
from offbeat.errors import ProblemError
from offbeat.sideways.messages import Message, Row, Wait
from offbeat.sideways.port import BasePort, Program, begin, cost
from offbeat.sideways.topologies import Peers


class _Rank:
    """One rank: its generator, what came in, and until when it waits."""

    def __init__(self, shard: Shard, machine: int) -> None:
        self.shard = shard
        self.machine = machine  # that has loaded the shard
        self.generator: Generator[Any, None, Any] | None = None
        self.inbox: list[Message] = []
        self.waiting = False
        self.turn = 0
        self.ended = False
        self.result: Any = None


class _Port(BasePort):
    """A port whose messages travel through the simulated network."""

    def __init__(self, gang: Gang, worker: int, incarnation: int) -> None:
        n = len(gang.ranks)
        super().__init__(worker, n, incarnation, gang.topology.neighbours(worker, n))
        self._gang = gang

    def push(self, message: Message, to: Sequence[int] | None = None) -> None:
        """Send a message to the neighbours, or to the ranks named."""
        for rank in self.neighbours if to is None else to:
            size = HEADER + message.payload.nbytes
            self._gang.world.send(self.worker, rank, size, partial(self._gang.deliver, rank, message))

    def poll(self) -> list[Message]:
        """Return what has come in since the last call."""
        rank = self._gang.ranks[self.worker]
        inbox, rank.inbox = rank.inbox, []
        return inbox

    def record(self, row: Row) -> None:
        """Keep a row of the trace."""
        self._gang.listener.record(row)

    def allowance(self, rows: int, seconds: float) -> float:
        """Return the work on so many rows that this rank does in a virtual time."""
        return self._gang.world.work_in(self.worker, rows, seconds)

    def now(self) -> float:
        """Return virtual seconds since the run began."""
        return self._gang.world.now


class Gang:
    """Runs a program on every shard in a simulated world.

    Parameters
    ----------
    world : World
    program : callable
    shards : list of Shard
    topology : Broadcast, Tree or Gossip
    listener : Listener
    after : callable, optional
        Called after every event with this gang: for tests that check what must always hold.
    """

    def __init__(
        self, world: World, program: Program, shards: list[Shard], topology: Peers, listener: Listener,
        after: Callable[[Gang], Any] | None = None,
    ) -> None:  # fmt: skip
        self.world, self.program, self.topology, self.listener = world, program, topology, listener
        self.after = after
        self.ranks = [_Rank(shard, worker) for worker, shard in enumerate(shards)]
        world.schedule_crashes(self._down, self._up, takeover=True)

    def run(self) -> list[Any]:
        """Let all ranks run to their ends; return what each returned."""
        for worker in range(len(self.ranks)):
            self._begin(worker)
        try:
            while not self._over():
                if not self.world.advance():
                    waiting = [w for w, rank in enumerate(self.ranks) if not rank.ended]
                    raise ProblemError(f"ranks {waiting} wait for messages, and none is on its way")
                if self.after is not None:
                    self.after(self)
        finally:
            for rank in self.ranks:
                if rank.generator is not None:
                    rank.generator.close()
        return [rank.result for rank in self.ranks]

    def deliver(self, worker: int, message: Message) -> None:
        """Put a message into a rank's inbox; wake the rank if it waits."""
        rank = self.ranks[worker]
        if rank.ended or not self.world.up[worker]:
            return
        rank.inbox.append(message)
        if rank.waiting:
            self._resume(worker, rank.turn)

    def _over(self) -> bool:
        if self.listener.cancelled():
            return True
        return self.ranks[0].ended if self.listener.lead_ends else all(rank.ended for rank in self.ranks)

    def _begin(self, worker: int) -> None:
        rank = self.ranks[worker]
        if rank.ended:
            return
        rank.generator = begin(self.program, _Port(self, worker, self.world.lives[worker]), rank.shard)
        rank.turn += 1
        turn = rank.turn
        self.world.at(self.world.now, lambda: self._resume(worker, turn))

    def _resume(self, worker: int, turn: int) -> None:
        """Run a rank to its next yield, unless this turn is over."""
        rank = self.ranks[worker]
        if turn != rank.turn or rank.generator is None:
            return
        rank.turn += 1
        rank.waiting = False
        try:
            said = next(rank.generator)
        except StopIteration as end:
            rank.ended, rank.result = True, end.value
            return
        except Cancelled:  # the listener says why, and the run is over
            return
        except BaseException as error:
            error.add_note(f"raised by rank {worker}")
            raise
        following = rank.turn
        if isinstance(said, Wait):
            rank.waiting = True
            due = said.until if not rank.inbox else self.world.now
        else:
            machine = self.world.host[worker]
            foreign, rank.machine = machine != rank.machine, machine
            due = self.world.end_of(worker, cost(said), rank.shard.n_rows, foreign=foreign)
        if not math.isinf(due):
            self.world.at(due, lambda: self._resume(worker, following))

    def _down(self, worker: int) -> None:
        rank = self.ranks[worker]
        if rank.generator is not None:
            rank.generator.close()
        rank.generator, rank.inbox, rank.waiting = None, [], False
        rank.turn += 1

    def _up(self, worker: int) -> None:
        self._begin(worker)
