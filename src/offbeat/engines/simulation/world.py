"""The virtual clock, the machines and the network: who is up, how fast, and when a message is there."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from offbeat.engines.simulation.faults import Crash, Delay, Duplicate, Fault, Loss, Partition, Pause, SlowDisk
from offbeat.engines.simulation.models import Model

HUB = -1
"""The coordinator's address."""
NOWHERE = -2
"""The machine of a rank that waits for one."""
F = TypeVar("F")


@dataclass(frozen=True)
class Conditions:
    """Speed of machines and network, and what goes wrong.

    ``compute`` is seconds of a gradient pass over an even share of the rows; ``bandwidth`` bytes a second of each
    machine's link, in each direction.
    """

    compute: Model
    latency: Model
    bandwidth: float
    straggler: Mapping[int, float]
    faults: tuple[Fault, ...]
    seed: int

    def of(self, kind: type[F]) -> list[F]:
        """Return the faults of one kind."""
        return [fault for fault in self.faults if isinstance(fault, kind)]


@dataclass
class Traffic:
    """What went over the network, by sender: messages and bytes; and what was lost."""

    messages: dict[int, int] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)
    lost: int = 0

    def sent(self, sender: int, receiver: int, size: int) -> None:
        """Take note of a message."""
        self.messages[sender] = self.messages.get(sender, 0) + 1
        self.bytes[sender] = self.bytes.get(sender, 0) + size
        self.received[receiver] = self.received.get(receiver, 0) + size


class World:
    """Virtual time: events happen in order, and nothing else moves the clock.

    Parameters
    ----------
    conditions : Conditions
    n_workers : int
        At the start.
    even_share : float
        Rows that a step is measured by: the number of rows over the number of workers.
    """

    def __init__(self, conditions: Conditions, n_workers: int, even_share: float) -> None:
        self.conditions, self.n_workers, self.even_share = conditions, n_workers, even_share
        self.rng = np.random.default_rng(conditions.seed)
        self.now = 0.0
        self.traffic = Traffic()
        self.up = dict.fromkeys(range(n_workers), True)
        self.lives = dict.fromkeys(range(n_workers), 0)
        self.host = {worker: worker for worker in range(n_workers)}
        self._running = dict.fromkeys(range(n_workers), True)  # machines; ``up`` and ``lives`` are of what runs on them
        self._moved = False
        self._events: list[tuple[float, int, Callable[[], Any]]] = []
        self._count = 0
        self._free_out: dict[int, float] = {}
        self._free_in: dict[int, float] = {}
        self._losses = conditions.of(Loss)
        self._duplicates = conditions.of(Duplicate)
        self._delays = conditions.of(Delay)
        self._partitions = conditions.of(Partition)
        self.unreliable = bool(self._losses or self._partitions)
        self._pauses: dict[int, list[Pause]] = {}
        self._disk = sum(each.seconds for each in conditions.of(SlowDisk))
        for pause in sorted(conditions.of(Pause), key=lambda pause: pause.at):
            self._pauses.setdefault(pause.worker, []).append(pause)

    # time ----------------------------------------------------------------------------------------------------------
    def at(self, time: float, action: Callable[[], Any]) -> None:
        """Have something happen at a time, not before now; ties in the order of asking."""
        if math.isfinite(time):
            self._count += 1
            heapq.heappush(self._events, (max(time, self.now), self._count, action))

    def advance(self, until: float = math.inf) -> bool:
        """Let the next event happen if it is due by ``until``; whether there was one."""
        if not self._events or self._events[0][0] > until:
            return False
        time, _, action = heapq.heappop(self._events)
        self.now = time
        action()
        return True

    def pass_until(self, time: float) -> None:
        """Let everything happen that is due by a time; then it is that time."""
        while self.advance(time):
            pass
        self.now = max(self.now, time)

    # machines ------------------------------------------------------------------------------------------------------
    def add(self, worker: int) -> None:
        """Put in a machine that was not there at the start."""
        self.up[worker], self.lives[worker], self.host[worker], self._running[worker] = True, 0, worker, True

    def schedule_crashes(
        self, down: Callable[[int], Any], up: Callable[[int], Any], *, takeover: bool = False
    ) -> None:  # fmt: skip
        """Have crashes happen: ``down(worker)`` when one goes, ``up(worker)`` when it is back.

        With ``takeover``, what ran on a machine that never comes back begins again on the machine with least to do.
        """

        def settle() -> None:
            for rank in [rank for rank, machine in self.host.items() if machine == NOWHERE]:
                loads = Counter(self.host.values())
                able = [machine for machine, running in self._running.items() if running]
                if able:
                    self._moved = True
                    self.host[rank] = min(able, key=lambda machine: (loads[machine], machine))
                    self.up[rank] = True
                    up(rank)

        def fall(crash: Crash) -> None:
            if not self._running.get(crash.worker):
                return
            self._running[crash.worker] = False
            for rank in self._on(crash.worker):
                self.up[rank] = False
                self.lives[rank] += 1
                down(rank)
                if takeover and math.isinf(crash.down):
                    self.host[rank] = NOWHERE
            settle()

        def rise(machine: int) -> None:
            if self._running.get(machine) is False:
                self._running[machine] = True
                for rank in self._on(machine):
                    self.up[rank] = True
                    up(rank)
                settle()

        for crash in self.conditions.of(Crash):
            self.at(crash.at, partial(fall, crash))
            self.at(crash.at + crash.down, partial(rise, crash.worker))

    def _on(self, machine: int) -> list[int]:
        return [rank for rank, its in self.host.items() if its == machine]

    def work_in(self, worker: int, rows: int, seconds: float) -> float:
        """Return the work on so many rows that a machine does in a time, when nothing out of the ordinary happens."""
        slow = self.conditions.straggler.get(self.host[worker], 1.0)
        return seconds / max(self.conditions.compute.typical * slow * rows / self.even_share, 1e-300)

    def end_of(self, worker: int, work: float, rows: int, *, foreign: bool = False) -> float:
        """Return when a step that begins now is over: its cost, the machine's speed, its pauses, loading."""
        conditions, machine = self.conditions, self.host[worker]
        seconds = conditions.compute.draw(self.rng) * work * rows / self.even_share
        if machine in conditions.straggler:
            seconds *= conditions.straggler[machine]
        if machine != worker or self._moved:
            seconds *= len(self._on(machine))
        if foreign:
            seconds += self._disk
        return around(self._pauses[machine], self.now, seconds) if machine in self._pauses else self.now + seconds

    # network -------------------------------------------------------------------------------------------------------
    def send(self, sender: int, receiver: int, size: int, deliver: Callable[[], Any]) -> None:
        """Have a message arrive, once, twice or never."""
        self.traffic.sent(sender, receiver, size)
        if self._happens(self._losses) or self._cut(sender, receiver):
            self.traffic.lost += 1
            return
        for _ in range(2 if self._happens(self._duplicates) else 1):
            self.at(self._arrival(sender, receiver, size), deliver)

    def _arrival(self, sender: int, receiver: int, size: int) -> float:
        seconds = size / self.conditions.bandwidth
        out = max(self.now, self._free_out.get(sender, 0.0)) + seconds
        self._free_out[sender] = out
        there = out + self.conditions.latency.draw(self.rng)
        for delay in self._delays:
            if self.rng.random() < delay.probability:
                there += delay.seconds * float(self.rng.random())
        if seconds > 0.0:  # a link takes in one message at a time
            there = max(there, self._free_in.get(receiver, 0.0) + seconds)
            self._free_in[receiver] = there
        return there

    def _happens(self, faults: Iterable[Loss | Duplicate]) -> bool:
        return any(self.rng.random() < fault.probability for fault in faults)

    def _cut(self, sender: int, receiver: int) -> bool:
        return any(
            p.at <= self.now < p.at + p.seconds
            and (self.host.get(sender, sender) in p.workers) != (self.host.get(receiver, receiver) in p.workers)
            for p in self._partitions
        )


def around(pauses: list[Pause], begin: float, seconds: float) -> float:
    """Return the end of so many seconds of work that stands still during pauses; those come in order of time."""
    time, left = begin, seconds
    for pause in pauses:
        if math.isfinite(pause.every):
            left = _around_cycle(pause, time, left) - time
        elif time < pause.at + pause.seconds and time + left > pause.at:
            left -= max(pause.at - time, 0.0)
            time = pause.at + pause.seconds
    return time + left


def _around_cycle(pause: Pause, begin: float, seconds: float) -> float:
    """Return the end of so many seconds of work with a pause at the beginning of every cycle."""
    awake = pause.every - pause.seconds
    if begin < pause.at:
        if begin + seconds <= pause.at:
            return begin + seconds
        seconds -= pause.at - begin
        cycle, done = 0.0, 0.0
    else:
        cycle = (begin - pause.at) // pause.every
        done = max(begin - pause.at - cycle * pause.every - pause.seconds, 0.0)
    if awake <= 0.0:
        return math.inf
    more, rest = divmod(done + seconds, awake)
    return max(begin, pause.at + (cycle + more) * pause.every + pause.seconds + rest)
