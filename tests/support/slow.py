"""What tests of lost Dask workers run there: workers can import this, and it takes its time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Status, get_worker

from offbeat import solvers
from offbeat.sideways import Agreement

ROWS, K = 200, 5


def block(i: int) -> Any:
    """Return rows of a part."""
    return np.random.default_rng(i).normal(size=(ROWS, K))


def labels(X: Any) -> Any:
    """Return the targets of some rows."""
    return (X[:, 0] + np.sin(50.0 * X[:, 1]) > 0).astype(float)


@dataclass(frozen=True)
class SlowADMM(solvers.ADMM):
    """Takes its time, so that there is some to lose workers in."""

    seconds: float = 0.03

    def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
        """Sleep, then step."""
        time.sleep(self.seconds)
        return super().local_step(problem, shard, local, query)


@dataclass(frozen=True)
class SlowDescent(solvers.DelayedProximalGradient):
    """The same, asynchronous."""

    def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
        """Sleep, then step."""
        time.sleep(0.02)
        return super().local_step(problem, shard, local, query)


class BrokenADMM(solvers.ADMM):
    """Fails in its first step."""

    def local_step(self, problem: Any, shard: Any, local: Any, query: Any) -> Any:
        """Fail."""
        return 1 / 0


def last_block(i: int) -> Any:
    """Return rows of a part, after which the worker is paused as if its memory were full."""
    worker: Any = get_worker()
    worker.loop.add_callback(setattr, worker, "status", Status.paused)
    return block(i)


def running_ranks() -> tuple[int, list[int]]:
    """Return the id of this process, and the ranks that run in it."""
    from offbeat.engines.dask import ranks

    return os.getpid(), [life.seat.rank for life in ranks._LIVES.values() if life._status == ranks.RUNS]


def mean(port: Any, shard: Any) -> Any:
    """Move to the mean of the own rows and what the others think, once there was time to be killed in."""
    agreement, own = Agreement(port), shard.rows().mean()
    parts = np.zeros(port.n_workers)
    for _ in range(60):  # time to be killed in
        time.sleep(0.02)
        yield 0.0
    while not agreement.over:
        for rank, part in agreement.poll():
            parts[rank] = part[0]
        new = 0.5 * own + 0.5 * np.delete(parts, port.worker).mean()
        changed = abs(new - parts[port.worker]) > 1e-9
        if changed:
            parts[port.worker] = new
        agreement.push(parts[[port.worker]], changed=changed)
        time.sleep(0.001)
        yield
    return float(new)
