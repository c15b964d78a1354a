"""Topologies: who talks to whom, and that news gets around."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offbeat import topology
from offbeat.errors import ProblemError

SIZES = [1, 2, 3, 7, 16, 33]
ALL = [
    topology.Broadcast(),
    topology.Tree(1),
    topology.Tree(2),
    topology.Tree(5),
    topology.Gossip(1),
    topology.Gossip(3),
]


def hops(where: Any, n: int, start: int) -> dict[int, int]:
    """Return how many hops it takes from one worker to each that it reaches."""
    seen, edge = {start: 0}, [start]
    while edge:
        edge = [other for worker in edge for other in where.neighbours(worker, n) if other not in seen
                and seen.setdefault(other, seen[worker] + 1)]  # fmt: skip
    return seen


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("where", ALL, ids=repr)
def test_news_of_everybody_reaches_everybody(where: Any, n: int) -> None:
    for worker in range(n):
        neighbours = where.neighbours(worker, n)
        assert worker not in neighbours
        assert len(set(neighbours)) == len(neighbours)
        assert set(hops(where, n, worker)) == set(range(n))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("fanout", [1, 2, 5])
def test_a_tree_has_one_edge_less_than_workers_and_each_is_used_both_ways(fanout: int, n: int) -> None:
    tree = topology.Tree(fanout)
    edges = {(worker, other) for worker in range(n) for other in tree.neighbours(worker, n)}
    assert len(edges) == 2 * (n - 1)
    assert edges == {(b, a) for a, b in edges}
    assert max(len(tree.neighbours(worker, n)) for worker in range(n)) <= fanout + 1


def test_the_depth_of_a_tree_grows_like_the_logarithm() -> None:
    for n in (3, 15, 63, 1023):
        assert max(hops(topology.Tree(2), n, 0).values()) == math.log2(n + 1) - 1


def test_gossip_has_its_degree_and_news_is_there_in_a_few_hops() -> None:
    gossip = topology.Gossip(3, seed=1)
    assert {len(gossip.neighbours(worker, 64)) for worker in range(64)} == {3}
    assert max(hops(gossip, 64, 0).values()) <= 3 * math.log2(64)
    assert {len(gossip.neighbours(worker, 3)) for worker in range(3)} == {2}  # there are no more


def test_gossip_is_drawn_once_from_its_seed() -> None:
    def graph(seed: int) -> list[Any]:
        return [topology.Gossip(3, seed).neighbours(worker, 20) for worker in range(20)]

    assert graph(5) == graph(5)
    assert graph(5) != graph(6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: topology.Hub(batch=0), "batch of Hub is 0"),
        (lambda: topology.Tree(0), "fanout of Tree is 0"),
        (lambda: topology.Gossip(0), "degree of Gossip is 0"),
    ],
)
def test_refuses_to_talk_to_nobody(make: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        make()
