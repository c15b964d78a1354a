"""Asynchronous PageRank: every rank owns a block of pages and iterates on it with the newest ranks it has heard of.

There are no rounds: a block is computed from whatever has come in, pushed, and computed again. Because the iteration
contracts, it converges however old the other blocks are (Chazan & Miranker 1969; Frommer & Szyld 2000), and `Agreement`
tells every rank when all blocks fit together.

    python examples/pagerank.py --pages 100000 --workers 4
    python examples/pagerank.py --workers 16 --straggler 10     # in a simulated cluster, one machine 10 times slower
    python examples/pagerank.py --edges links.txt               # a file with "from to" on each line, counted from 0
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from offbeat.engines import Simulated, Threads
from offbeat.sideways import WAIT, Agreement, Program


def link_matrix(edges: np.ndarray, n_pages: int) -> tuple[csr_array, np.ndarray]:
    """Return the matrix whose row i holds the share of each page's vote that goes to page i, and who does not vote."""
    degree = np.bincount(edges[:, 0], minlength=n_pages)
    shares = (1.0 / degree[edges[:, 0]], (edges[:, 1], edges[:, 0]))
    return csr_array(shares, shape=(n_pages, n_pages)), degree == 0


def pagerank(dangling: np.ndarray, damping: float = 0.85, tol: float = 1e-12) -> Program:
    """Return the program of one rank; ``tol`` is what a block may still move when it is taken for settled.

    Each rank returns its block and how many steps it took. The errors add up to at most ranks * tol / (1 - damping).
    """

    def program(port: Any, shard: Any) -> Any:
        links, own = shard.rows(), shard.row_slice
        n_pages = links.shape[1]
        x = np.full(n_pages, 1.0 / n_pages)
        agreement, steps = Agreement(port), 0
        while True:
            for _, part in agreement.poll():
                first = int(part[0])
                x[first : first + len(part) - 1] = part[1:]
            block = damping * (links @ x + x[dangling].sum() / n_pages) + (1.0 - damping) / n_pages
            steps += 1
            changed = np.abs(block - x[own]).sum() > tol
            if changed:
                x[own] = block
            agreement.push(np.concatenate([[own.start], x[own]]), changed=changed)
            if agreement.over:
                return x[own], steps
            yield 1.0 if changed else WAIT

    return program


def power_iteration(edges: np.ndarray, n_pages: int, damping: float = 0.85, rounds: int = 200) -> np.ndarray:
    """Return the same ranks by the textbook: one vector, edge by edge, all at once."""
    degree = np.bincount(edges[:, 0], minlength=n_pages)
    x = np.full(n_pages, 1.0 / n_pages)
    for _ in range(rounds):
        votes = np.bincount(edges[:, 1], weights=(x / np.maximum(degree, 1))[edges[:, 0]], minlength=n_pages)
        x = damping * (votes + x[degree == 0].sum() / n_pages) + (1.0 - damping) / n_pages
    return x


def some_web(n_pages: int, links_each: int = 8, seed: int = 0) -> np.ndarray:
    """Return edges (from, to) of a web in which a few pages get most of the links, and some link to nobody."""
    rng = np.random.default_rng(seed)
    sources = rng.integers(0, max(1, n_pages * 9 // 10), size=n_pages * links_each)
    targets = (n_pages * rng.random(len(sources)) ** 3).astype(np.int64)
    return np.stack([sources, rng.permutation(n_pages)[targets]], axis=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Rank the pages of a web and compare with the power iteration."""
    parser = argparse.ArgumentParser(description="Asynchronous PageRank.")
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--edges", help="text file with two columns: from, to")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--straggler", type=float, help="simulate a cluster whose first machine is so much slower")
    options = parser.parse_args(arguments)
    edges = np.loadtxt(options.edges, dtype=np.int64, ndmin=2) if options.edges else some_web(options.pages)
    n_pages = int(edges.max()) + 1 if options.edges else options.pages

    slow = options.straggler
    engine = Threads(options.workers) if slow is None else Simulated(options.workers, straggler={0: slow})
    matrix, dangling = link_matrix(edges, n_pages)
    blocks, steps = zip(*engine.run(pagerank(dangling), matrix), strict=True)
    ranks = np.concatenate(blocks)

    print(f"{n_pages:,} pages, {len(edges):,} links, {len(blocks)} ranks, each on its own beat: {list(steps)} steps")
    print("first:", ", ".join(f"page {i} ({ranks[i]:.2e})" for i in np.argsort(-ranks)[:5]))
    print(f"distance from the power iteration: {np.abs(ranks - power_iteration(edges, n_pages)).sum():.1e}")


if __name__ == "__main__":
    main()
