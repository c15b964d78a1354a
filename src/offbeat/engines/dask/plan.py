"""Which parts make a shard, and where: next to the data, and even. No Dask in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Group(NamedTuple):
    """Parts that make a shard; the rank whose it is at first, and the worker that this is."""

    rank: int
    home: str
    parts: tuple[int, ...]


def plan(rows: Sequence[int], holders: Sequence[Sequence[str]], threads: Mapping[str, int], count: int) -> list[Group]:
    """Return at most ``count`` groups of parts, as even as the parts allow, in order of their homes.

    Each thread that takes part is the home of as many groups as any other, or one fewer.

    Parameters
    ----------
    rows : sequence of int
        Of each part.
    holders : sequence of sequence of str
        Workers that hold each part.
    threads : mapping of str to int
        Of each worker.
    count : int

    Examples
    --------
    >>> plan([5, 5, 5, 5], [["a"], ["a"], ["a"], ["b"]], {"a": 1, "b": 1}, 2)
    [Group(rank=0, home='a', parts=(0, 1)), Group(rank=1, home='b', parts=(2, 3))]
    """
    n_groups = max(1, min(count, len(rows)))
    ranks = _ranks(rows, holders, threads, n_groups)
    shares = Counter(s * len(ranks) // n_groups for s in range(n_groups))
    members = _assign(rows, holders, ranks, [shares[r] for r in range(len(ranks))])
    groups = []
    for rank, home in enumerate(ranks):
        for parts in _split(members[rank], rows, shares[rank]):
            groups.append(Group(rank, home, tuple(sorted(parts))))
    return groups


def _ranks(rows: Sequence[int], holders: Sequence[Sequence[str]], threads: Mapping[str, int], most: int) -> list[str]:
    """Return the worker of each rank: all threads, or so many of those whose workers hold the most."""
    held: Counter[str] = Counter()
    for n, workers in zip(rows, holders, strict=True):
        held.update({worker: n for worker in workers})
    seats = [(i + 1, -held[worker], worker) for worker, n in threads.items() for i in range(n)]
    chosen = sorted(seats)[:most]  # a second thread of a worker comes after the first of all others
    return sorted(worker for _, _, worker in chosen)


def _assign(
    rows: Sequence[int], holders: Sequence[Sequence[str]], ranks: Sequence[str], shares: Sequence[int]
) -> list[list[int]]:
    """Return the parts of each rank: where they are as far as that is even, each rank no fewer than its share."""
    total, n_groups = sum(rows), sum(shares)
    room = [total * share / n_groups for share in shares]
    members: list[list[int]] = [[] for _ in ranks]
    homeless = []
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i], i)):
        near = [r for r, worker in enumerate(ranks) if worker in holders[i] and 2 * room[r] >= rows[i]]
        if not near:
            homeless.append(i)
            continue
        rank = max(near, key=lambda r: (room[r], -r))
        members[rank].append(i)
        room[rank] -= rows[i]
    for i in homeless:
        rank = max(range(len(ranks)), key=lambda r: (room[r], -r))
        members[rank].append(i)
        room[rank] -= rows[i]
    for rank, share in enumerate(shares):
        while len(members[rank]) < share:
            richest = max(range(len(ranks)), key=lambda r: (len(members[r]) - shares[r], -r))
            members[rank].append(members[richest].pop())
    return members


def _split(parts: Sequence[int], rows: Sequence[int], count: int) -> list[list[int]]:
    """Cut the parts of a rank into so many groups: the largest first, each to the group with the fewest rows."""
    groups: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    for i in sorted(parts, key=lambda i: (-rows[i], i)):
        g = min(range(count), key=lambda g: (sizes[g], len(groups[g]), g))
        groups[g].append(i)
        sizes[g] += rows[i]
    return groups
