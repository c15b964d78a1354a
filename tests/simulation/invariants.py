"""What must hold after every event of a simulation, checked from outside: `Simulated(after=Invariants(staleness))`."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np

from offbeat.engines.simulation.gang import Gang
from offbeat.engines.simulation.hub import Cluster
from offbeat.sideways.board import Board
from offbeat.sideways.exchange import Flood
from offbeat.sideways.messages import STEP


class Invariants:
    """Checks a cluster or a gang after every event; keeps what it needs to compare with the event before."""

    def __init__(self, staleness: float) -> None:
        self.staleness = staleness
        self.events = 0
        self.over = False
        self._hub: Any = None
        self._arrivals: dict[int, int] = {}
        self._clocks: dict[tuple[int, int], int] = {}
        self._slots: dict[int, Any] = {}
        self._largest: dict[int, Any] = {}
        self._updates = 0
        self._gap = math.inf

    def __call__(self, world: Cluster | Gang) -> None:
        """Check everything."""
        assert not self.over, "an event after the end of the run"
        self.events += 1
        if isinstance(world, Gang):
            self._gang(world)
        else:
            if self._hub is None:
                self._hub = inspect.getgeneratorlocals(world.loop)["hub"]
            self._cluster(world, self._hub)

    def ended(self, solution: Any) -> None:
        """Take note that the run is over: no message may outlive it."""
        self.over = True
        gap = solution.certificate.relative_gap
        assert gap == self._gap or (gap < self._gap), "a worse point than the best was returned"

    # with a coordinator --------------------------------------------------------------------------------------------
    def _cluster(self, cluster: Cluster, hub: Any) -> None:
        schedule, board, world = hub.schedule, hub.board, cluster.world
        if self._arrivals.get(0) != board.arrivals:
            self._arrivals[0] = board.arrivals
            self._sum(0, board)
            for shard in range(schedule.n_shards):
                self._news(shard, board.slot(shard), board.run, world)
        for shard, clock in enumerate(schedule.homes.clocks):
            assert clock >= self._clocks.get((shard, 0), 0), f"the clock of shard {shard} went back"
            self._clocks[shard, 0] = clock
        assert max(schedule.homes.clocks) - min(schedule.homes.clocks) <= self.staleness + 1, (
            "ahead by more than the staleness"
        )
        assert schedule.homes.slowest == min(schedule.homes.clocks)
        self._nobody_waits_in_vain(cluster, schedule)
        if hub.update != self._updates:
            self._updates = hub.update
            if self.staleness == 0:
                clocks = {board.slot(shard).clock for shard in range(schedule.n_shards)}
                assert len(clocks) == 1, f"an update in barrier mode with contributions of rounds {clocks}"
        self._best(hub.best)

    def _news(self, shard: int, slot: Any, run: int, world: Any) -> None:
        """Check a contribution that came in since the last look."""
        old = self._slots.get(shard)
        if slot is None or slot is old:
            return
        self._slots[shard] = slot
        assert slot.run == run, "a message of another run"
        assert slot.incarnation == world.lives[slot.worker], "a contribution of a dead incarnation counts"
        assert old is None or slot.clock > old.clock, f"the contribution of shard {shard} went back"

    def _nobody_waits_in_vain(self, cluster: Cluster, schedule: Any) -> None:
        at = set()
        for worker, flights in schedule.workers.items():
            assert len(flights) <= schedule.depth
            assert all(flight.worker == worker and flight.key == key for key, flight in flights.items())
            at.update(flights)
        assert len(schedule.flights) == sum(map(len, schedule.workers.values()))
        for shard, clock in enumerate(schedule.homes.clocks):
            someone = (shard, clock + 1, STEP) in at
            assert someone != schedule.homes.waits[shard], f"shard {shard} waits and does not, or neither"
        if schedule.workers:
            assert all(home in schedule.workers for home in schedule.homes.of), "a shard is at home with a lost worker"

    # among peers ---------------------------------------------------------------------------------------------------
    def _gang(self, gang: Gang) -> None:
        for worker, rank in enumerate(gang.ranks):
            if rank.generator is None or rank.ended:
                assert not rank.waiting, "a rank that is gone waits"
                continue
            if rank.generator.gi_frame is None or rank.generator.gi_running:
                continue
            peer = inspect.getgeneratorlocals(rank.generator).get("peer")
            if peer is not None:
                self._peer(worker, peer, gang)

    def _peer(self, worker: int, peer: Any, gang: Gang) -> None:
        life = peer.port.incarnation
        assert life == gang.world.lives[worker], "an earlier life still runs"
        key = (worker, life)
        assert peer.clock >= self._clocks.get(key, 0), f"the clock of rank {worker} went back"
        self._clocks[key] = peer.clock
        if worker == 0:
            self._best(peer.best)
        if peer.ask is not None:
            run = peer.ask.evaluations._seat.run
            assert run == peer.ask.number, "evaluations of one certificate are kept with another"
        exchange = peer.exchange
        board = exchange._board if isinstance(exchange, Flood) else exchange._slots
        if self._arrivals.get(worker) == board.arrivals:
            return
        self._arrivals[worker] = board.arrivals
        self._sum(worker, board)
        slots = [board.slot(s) for s in range(board.n_shards)]
        for slot in slots:
            assert slot is None or slot.run == board.run, "a message of another run"
            assert slot is None or slot.incarnation <= gang.world.lives[slot.worker], "a life that is yet to come"
        if peer.known and self.staleness == 0 and exchange.oldest():
            assert peer.clock <= max(exchange.oldest(), peer.updates) + 1, f"rank {worker} is more than a round ahead"

    # common --------------------------------------------------------------------------------------------------------
    def _sum(self, who: int, board: Board) -> None:
        """Compare, up to the rounding of what has passed through the running sum since it was taken anew.

        Several contributions may have passed since the last look: a number that was there and is zero again is in none
        of the slots that were seen, but its rounding is in the sum.
        """
        payloads = [slot.payload for slot in map(board.slot, range(board.n_shards)) if slot is not None]
        if not payloads or len({payload.shape for payload in payloads}) > 1:
            return
        stack = np.array(payloads)
        size = np.abs(stack).sum(axis=0)
        largest = self._largest.get(who)
        if largest is None or largest.shape != size.shape:
            largest = size
        self._largest[who] = largest = np.maximum(largest, size)
        off = np.abs(board.total() - stack.sum(axis=0))
        assert np.all(off <= 1e-13 * largest + 1e-15 * largest.max()), (
            f"the sum is not the sum of the slots, by {off.max():g}"
        )

    def _best(self, best: Any) -> None:
        if best.progress is not None:
            gap = best.progress.certificate.relative_gap
            assert gap <= self._gap, "the best certified gap grew"
            self._gap = gap
