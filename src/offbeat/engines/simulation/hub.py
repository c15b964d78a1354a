"""A coordinator and its workers in virtual time: what carries out the hub loop's commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from offbeat.data.shards import Cancelled
from offbeat.engines.base import Listener, Loop, Steps, answer, nbytes
from offbeat.engines.interpreter import interpret
from offbeat.engines.simulation.faults import Join
from offbeat.engines.simulation.world import HUB, World
from offbeat.errors import ProblemError
from offbeat.sideways.loop import Outcome
from offbeat.sideways.messages import (
    Arrived,
    Event,
    Failed,
    Idle,
    Interrupted,
    Joined,
    Lost,
    Message,
    Row,
    Run,
    Tick,
    Wait,
)

HINT = 0.1  # of the time of its last step: how long a worker is idle before it says so, if messages can be lost
HINTS = 3  # doublings of that
HEADER = 64  # bytes of a message besides its numbers


class _Machine:
    """A worker: what it is doing, what waits, what it answered last for each shard, which shards it has loaded.

    And since when it has been idle, and how long its last step took.
    """

    def __init__(self) -> None:
        self.running: Run | None = None
        self.queue: deque[Run] = deque()
        self.answers: dict[tuple[str, int], Message] = {}
        self.held: set[int] = set()
        self.idle, self.usual = 0.0, 0.0


class Cluster:
    """Interprets a hub loop in a simulated world.

    Parameters
    ----------
    world : World
    steps : Steps
    listener : Listener
    after : callable, optional
        Called after every event with this cluster: for tests that check what must always hold.
    update : float
        Seconds that an update takes.
    """

    def __init__(
        self, world: World, steps: Steps, listener: Listener, after: Callable[[Cluster], Any] | None = None,
        *, update: float = 0.0,
    ) -> None:  # fmt: skip
        self.world, self.steps, self.after = world, steps, after
        self.listener = replace(listener, record=self._record) if update > 0.0 else listener
        self._trace, self._busy = listener.record, update
        steps.allowance = lambda worker, shard, time: world.work_in(worker, steps.shards[shard].n_rows, time)
        self._inbox: deque[Event] = deque()
        self._machines = {w: _Machine() for w in range(world.n_workers)}
        n_shards = len(steps.shards)
        for shard in range(n_shards):
            self._machines[shard * world.n_workers // n_shards].held.add(shard)
        for worker in self._machines:
            self._rest(worker)
        world.schedule_crashes(self._down, self._up)
        for number, join in enumerate(world.conditions.of(Join)):
            world.at(join.at, partial(self._join, world.n_workers + number))

    def run(self, loop: Loop) -> Outcome:
        """Drive the loop to its end."""
        self.loop = loop
        return interpret(loop, self._start, self._next, self.listener)

    def _record(self, row: Row) -> None:
        """Keep a row; while the coordinator is busy with an update, the workers go on."""
        self._trace(row)
        if row.batch > 0:
            self.world.pass_until(self.world.now + self._busy)

    # the coordinator's side ----------------------------------------------------------------------------------------
    def _start(self, command: Run) -> None:
        size = HEADER + nbytes(command.query)
        self.world.send(HUB, command.worker, size, lambda: self._receive(command))

    def _next(self, wait: Wait) -> Event:
        if self.after is not None:
            self.after(self)
        while not self._inbox:
            if self.listener.cancelled():
                return Interrupted(self.world.now)
            if not self.world.advance(wait.until):
                if wait.until == float("inf"):
                    return Failed(-1, ProblemError("no worker is left, and none is to come back"), self.world.now)
                self.world.now = max(self.world.now, wait.until)
                return Tick(self.world.now)
            if self.after is not None and not self._inbox:
                self.after(self)
        return self._inbox.popleft()

    # the workers' side ---------------------------------------------------------------------------------------------
    def _receive(self, command: Run) -> None:
        machine = self._machines.get(command.worker)
        if machine is None or not self.world.up[command.worker]:
            return
        done = machine.answers.get((command.role, command.shard))
        if done is not None and done.clock == command.clock:
            self._reply(command.worker, done)
        elif not any(_same(command, other) for other in (machine.running, *machine.queue)):
            machine.queue.append(command)
            self._work(command.worker)

    def _work(self, worker: int) -> None:
        machine = self._machines[worker]
        if machine.running is not None:
            return
        if not machine.queue:
            self._rest(worker)
            return
        command = machine.running = machine.queue.popleft()
        foreign = command.shard not in machine.held
        machine.held.add(command.shard)
        started, life = self.world.now, self.world.lives[worker]
        try:
            step = self.steps.step(command, worker)
        except Cancelled:  # the listener says why
            return
        except Exception as error:  # raised again by the loop
            self._inbox.append(Failed(command.shard, error, started))
            return
        end = self.world.end_of(worker, step.work, self.steps.shards[command.shard].n_rows, foreign=foreign)
        message = answer(command, worker, step, started, end - started, life)
        self.world.at(end, lambda: self._finish(worker, message))

    def _finish(self, worker: int, message: Message) -> None:
        if self.world.lives[worker] != message.incarnation:
            return
        machine = self._machines[worker]
        machine.running, machine.usual = None, message.duration
        machine.answers[message.role, message.shard] = message
        self._reply(worker, message)
        self._work(worker)

    def _rest(self, worker: int) -> None:
        """Have a worker say that it is idle, from time to time while it is."""
        if not self.world.unreliable:
            return
        machine = self._machines[worker]
        machine.idle = since = self.world.now
        first = HINT * (machine.usual or self.world.conditions.compute.typical)

        def hint(count: int) -> None:
            if self._machines[worker] is not machine or machine.running is not None or machine.idle != since:
                return
            now = self.world.now
            self.world.send(worker, HUB, HEADER, lambda: self._inbox.append(Idle(worker, now, self.world.now)))
            self.world.at(now + first * 2.0 ** min(count, HINTS), partial(hint, count + 1))

        self.world.at(since + first, partial(hint, 1))

    def _reply(self, worker: int, message: Message) -> None:
        size = HEADER + message.payload.nbytes
        self.world.send(worker, HUB, size, lambda: self._inbox.append(Arrived(message, self.world.now)))

    # comings and goings --------------------------------------------------------------------------------------------
    def _down(self, worker: int) -> None:
        self._machines[worker] = _Machine()
        self.steps.forget(worker)
        self._inbox.append(Lost(worker, self.world.now, self.world.lives[worker] - 1))

    def _up(self, worker: int) -> None:
        self._rest(worker)
        self._inbox.append(Joined(worker, self.world.now, self.world.lives[worker]))

    def _join(self, worker: int) -> None:
        self.world.add(worker)
        self._machines[worker] = _Machine()
        self._inbox.append(Joined(worker, self.world.now))


def _same(command: Run, other: Run | None) -> bool:
    return other is not None and other[:2] == command[:2] and other.role == command.role
