"""What peers know of each other: floods of single contributions, and sums along the edges of a tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from offbeat import topology
from offbeat.sideways.board import Board
from offbeat.sideways.exchange import Exchange, Flood, Seat, Sums, exchange
from offbeat.sideways.messages import Message

N = 7
ALL = [topology.Broadcast(), topology.Gossip(2, seed=3), topology.Tree(2), topology.Tree(3)]


def contribution(worker: int, clock: int, value: float, *, incarnation: int = 0, run: int = 0) -> Message:
    return Message(run, worker, incarnation, worker, clock, "step", np.array([value, 1.0]))


class Net:
    """Peers with an exchange each, and messages that travel when the test lets them."""

    def __init__(self, where: Any, *, exact: bool = False, n: int = N) -> None:
        self.where, self.n, self.exact = where, n, exact
        self.peers: list[Exchange] = [self.peer(worker) for worker in range(n)]
        self.way: list[tuple[int, Message]] = []
        self.sent = [0] * n

    def peer(self, worker: int, incarnation: int = 0) -> Exchange:
        return exchange(
            self.where, Seat(worker, incarnation, self.where.neighbours(worker, self.n), self.n), exact=self.exact
        )

    def send(self, worker: int) -> None:
        for neighbours, message in self.peers[worker].outgoing():
            self.way += [(to, message) for to in neighbours]
            self.sent[worker] += len(neighbours)

    def step(self, worker: int, clock: int, value: float, incarnation: int = 0) -> None:
        self.peers[worker].put(contribution(worker, clock, value, incarnation=incarnation))
        self.send(worker)

    def deliver(self, rng: np.random.Generator, count: int | None = None, *, twice: float = 0.0) -> None:
        """Let messages arrive in any order, some of them again later."""
        while self.way and (count is None or count > 0):
            at = int(rng.integers(len(self.way)))
            to, message = self.way[at]
            if rng.random() >= twice:
                del self.way[at]
            self.peers[to].put(message)
            self.send(to)
            count = None if count is None else count - 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("where", ALL, ids=repr)
def test_once_all_has_arrived_everybody_knows_the_sum_of_the_newest(where: Any, seed: int) -> None:
    rng, net = np.random.default_rng(seed), Net(where)
    newest = np.zeros(N)
    for clock in range(1, 12):
        for worker in rng.permutation(N):
            newest[worker] = rng.standard_normal()
            net.step(int(worker), clock, newest[worker])
            net.deliver(rng, int(rng.integers(0, 6)), twice=0.3)
    net.deliver(rng, twice=0.3)
    for peer in net.peers:
        board = peer.board()
        assert board.complete
        assert_allclose(board.total(), [newest.sum(), N], rtol=1e-12)
        assert peer.oldest() == peer.newest() == 11


@pytest.mark.parametrize("where", ALL, ids=repr)
def test_lost_messages_are_made_up_for_by_what_is_remembered(where: Any) -> None:
    rng, net = np.random.default_rng(1), Net(where)
    for worker in range(N):
        net.step(worker, 1, float(worker))
    net.way.clear()  # all of it is lost
    for _ in range(N):
        for worker, peer in enumerate(net.peers):
            net.way += [(to, message) for neighbours, message in peer.memory() for to in neighbours]
            net.send(worker)
        net.deliver(rng)
    for peer in net.peers:
        assert_allclose(peer.board().total(), [sum(range(N)), N])


@pytest.mark.parametrize("where", ALL, ids=repr)
def test_what_a_dead_incarnation_sent_does_not_come_back(where: Any) -> None:
    rng, net = np.random.default_rng(2), Net(where)
    for worker in range(N):
        net.step(worker, 1, 1.0)
    net.deliver(rng)
    net.step(3, 50, 1e6)  # still on its way when rank 3 restarts
    late, net.way = net.way, []
    net.peers[3] = net.peer(3, incarnation=1)
    for worker in net.where.neighbours(3, N) if isinstance(where, topology.Tree) else range(N):
        for message in [m for to, m in _memory(net, worker) if to == 3]:
            net.peers[3].put(message)
    net.step(3, 2, 2.0, incarnation=1)
    net.deliver(rng)
    for to, message in late:
        net.peers[to].put(message)
    for worker in range(N):
        net.send(worker)
    net.deliver(rng)
    totals = [peer.board().total()[0] for worker, peer in enumerate(net.peers) if worker != 3]
    assert_allclose(totals, N + 1.0)


def _memory(net: Net, worker: int) -> list[tuple[int, Message]]:
    return [(to, message) for neighbours, message in net.peers[worker].memory() for to in neighbours]


def test_a_life_that_is_known_to_be_over_counts_no_more_even_before_the_next_is_heard() -> None:
    board = Board(2)
    assert board.put(contribution(1, 3, 1.0))
    board.fence(1, 1)
    late = contribution(1, 9, 1e6)
    assert not board.alive(late) and not board.put(late)
    assert not board.put(late._replace(shard=0))
    assert board.put(contribution(1, 1, 2.0, incarnation=1))
    assert_array_equal(board.total(), [2.0, 1.0])


def test_a_flood_sends_its_own_news_once_and_relays_only_when_told_to() -> None:
    for relays in (False, True):
        flood = Flood(Seat(0, 0, (1, 2), 3), exact=False, relays=relays)
        flood.put(contribution(0, 1, 1.0))
        flood.put(contribution(1, 1, 2.0))
        out = flood.outgoing()
        assert [(to, m.worker) for to, m in out] == [((1, 2), 0), ((1, 2), 1)][: 2 if relays else 1]
        assert flood.outgoing() == []
        flood.put(contribution(1, 1, 2.0))  # nothing new
        assert flood.outgoing() == []
        assert [m.worker for _, m in flood.memory()] == ([0, 1] if relays else [0])
        assert [m.clock for m in flood.of(1)] == [1]


def test_with_a_barrier_a_flood_remembers_the_round_before() -> None:
    flood = Flood(Seat(0, 0, (1,), 2), exact=True, relays=False)
    for clock in (1, 2, 3):
        flood.put(contribution(0, clock, float(clock)))
    assert [m.clock for _, m in flood.memory()] == [2, 3]
    assert flood.oldest() == 0 and flood.newest() == 3  # rank 1 is missing


def test_what_a_neighbour_told_is_not_told_back_to_it() -> None:
    middle = Sums(Seat(1, 0, (0, 2), 3), exact=False)
    middle.put(contribution(1, 1, 10.0))
    middle.put(Message(0, 0, 0, -1, 1, "step", np.array([1.0, 1.0, 1.0, 1.0, 1.0])))
    told = {to[0]: message.payload for to, message in middle.outgoing()}
    assert list(told) == [2]  # 0 is told once all that belongs into its sum is there
    assert_array_equal(told[2][:2], [11.0, 2.0])
    assert told[2][2] == 2.0  # contributions in it
    assert not middle.board().complete
    middle.put(Message(0, 2, 0, -1, 1, "step", np.array([100.0, 1.0, 1.0, 1.0, 1.0])))
    assert_array_equal(middle.board().total(), [111.0, 3.0])
    assert middle.board().complete
    told = {to[0]: message.payload for to, message in middle.outgoing()}
    assert list(told) == [0]  # nothing is new to 2
    assert_array_equal(told[0][:2], [110.0, 2.0])


@pytest.mark.parametrize("fanout", [2, 3])
def test_with_a_barrier_a_tree_is_an_all_reduce(fanout: int) -> None:
    rng, net = np.random.default_rng(4), Net(topology.Tree(fanout), exact=True)
    for clock in range(1, 6):
        before = sum(net.sent)
        values = rng.standard_normal(N)
        for worker in rng.permutation(N):
            net.step(int(worker), clock, values[worker])
        net.deliver(rng)
        assert sum(net.sent) - before == 2 * (N - 1)  # one up and one down each edge, whatever came when
        totals = [peer.board().total() for peer in net.peers]
        for total in totals:
            assert_allclose(total, [values.sum(), N])
        assert [peer.oldest() for peer in net.peers] == [clock] * N


@pytest.mark.parametrize("n", [3, 15, 63])
def test_traffic_of_a_round_by_worker(n: int) -> None:
    rng = np.random.default_rng(5)
    tree, broadcast = Net(topology.Tree(2), exact=True, n=n), Net(topology.Broadcast(), n=n)
    for net in (tree, broadcast):
        for worker in range(n):
            net.step(worker, 1, 1.0)
        net.deliver(rng)
    assert max(tree.sent) <= 3
    assert max(broadcast.sent) == n - 1


def test_messages_of_another_run_are_refused() -> None:
    for where in ALL:
        peer = exchange(where, Seat(0, 0, where.neighbours(0, 2), 2, run=4), exact=False)
        peer.put(contribution(1, 1, 1.0, run=3))
        assert peer.newest() == 0
        peer.put(contribution(1, 1, 1.0, run=4)._replace(payload=np.ones(5)))
        assert peer.newest() == 1
