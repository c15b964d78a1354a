"""Asynchronous k-means: every rank keeps one contribution, the sums and counts of its own rows in each cluster.

The centres are a function of the sum of the newest contributions, as the iterate of every solver of the library is.
A rank assigns its rows to the centres it knows, replaces its contribution, pushes it and goes on: nobody waits for the
slowest. When no row moves anywhere, all ranks have the same centres, a fixed point of Lloyd's algorithm.

    python examples/kmeans.py --clusters 10 --workers 4
    python examples/kmeans.py --workers 16 --straggler 10      # in a simulated cluster, one machine 10 times slower
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from offbeat.engines import Simulated, Threads
from offbeat.sideways import WAIT, Agreement, Program


def nearest(X: Any, centres: np.ndarray) -> np.ndarray:
    """Return the nearest centre of each row, dense or sparse."""
    return np.argmin((centres**2).sum(axis=1) - 2.0 * (X @ centres.T), axis=1)


def contribution(X: Any, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return one row a cluster: how many rows of X it has, and their sum."""
    members = np.eye(n_clusters)[labels]
    return np.column_stack([members.sum(axis=0), (X.T @ members).T])


def centres_of(total: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the means; a cluster without rows stays where it started."""
    counts = total[:, :1]
    return np.where(counts > 0.0, total[:, 1:] / np.maximum(counts, 1.0), start)


def kmeans(start: np.ndarray) -> Program:
    """Return the program of one rank, from these centres. Each rank returns its labels, the centres and its steps."""

    def program(port: Any, shard: Any) -> Any:
        X, me = shard.rows(), port.worker
        table = np.zeros((port.n_workers, len(start), start.shape[1] + 1))  # newest contribution of each rank
        labels = np.full(shard.n_rows, -1)
        agreement, steps = Agreement(port), 0
        while True:
            for rank, part in agreement.poll():
                table[rank] = part.reshape(table[rank].shape)
            centres = centres_of(table.sum(axis=0), start)
            moved = nearest(X, centres)
            changed = bool((moved != labels).any())
            steps += 1
            if changed:
                labels = moved
                table[me] = contribution(X, labels, len(start))
            agreement.push(table[me].ravel(), changed=changed)
            if agreement.over:
                return labels, centres, steps
            yield 1.0 if changed else WAIT

    return program


def first_centres(X: np.ndarray, n_clusters: int, seed: int = 0) -> np.ndarray:
    """Return rows of X, each drawn by its squared distance from those before (Arthur & Vassilvitskii 2007)."""
    rng = np.random.default_rng(seed)
    chosen = [X[rng.integers(len(X))]]
    while len(chosen) < n_clusters:
        distance = np.min([((X - row) ** 2).sum(axis=1) for row in chosen], axis=0)
        chosen.append(X[rng.choice(len(X), p=distance / distance.sum())])
    return np.array(chosen)


def inertia(X: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> float:
    """Return the sum of squared distances from the centres: what k-means makes small."""
    return float(((X - centres[labels]) ** 2).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    """Cluster the images of handwritten digits that scikit-learn brings along, and compare with its k-means."""
    parser = argparse.ArgumentParser(description="Asynchronous k-means.")
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--straggler", type=float, help="simulate a cluster whose first machine is so much slower")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    X = load_digits().data
    start = first_centres(X, options.clusters, options.seed)

    slow = options.straggler
    engine = Threads(options.workers) if slow is None else Simulated(options.workers, straggler={0: slow})
    labels, centres, steps = zip(*engine.run(kmeans(start), X), strict=True)
    ours = inertia(X, np.concatenate(labels), centres[0])
    theirs = KMeans(options.clusters, init=start, n_init=1).fit(X)

    print(f"{len(X):,} images, {len(labels)} ranks, each on its own beat: {list(steps)} steps")
    print(f"inertia {ours:,.0f}; scikit-learn from the same centres {theirs.inertia_:,.0f} in {theirs.n_iter_} rounds")


if __name__ == "__main__":
    main()
