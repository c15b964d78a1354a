"""The program that every rank of a fit without a coordinator runs: what engines send to where the ranks are."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbeat.data.shards import Shard
from offbeat.problem import Problem
from offbeat.sideways.loop import Best, Outcome, Policy
from offbeat.sideways.peers import PeerRun
from offbeat.sideways.port import Port
from offbeat.sideways.protocol import DataInfo, Solver

SMALL = 1 << 26  # bytes that every message may have
MATRICES = 1 << 14  # coefficients above which no method sends matrices


@dataclass(frozen=True)
class PeerProgram:
    """The program that fits a problem without a coordinator; rank 0 returns the `Outcome`.

    It can be sent to other processes, where ``policy`` has neither callback nor watch.

    Parameters
    ----------
    solver : Solver
    problem : Problem
    info : DataInfo
    policy : Policy
        Its topology is one of peers.
    best : Best
        Where rank 0 keeps its best point: what is left of a run that was cancelled.
    """

    solver: Solver
    problem: Problem
    info: DataInfo
    policy: Policy
    best: Best

    def __call__(self, port: Port, shard: Shard) -> Generator[Any, None, Outcome]:
        """Run one rank."""
        peer = PeerRun(self.solver, self.problem, self.info, self.policy, port, self.best)
        return (yield from peer.run(shard))

    def longest(self) -> int:
        """Return a bound of the bytes of its messages: contributions, sums of them, states.

        What methods keep is a number of vectors like the query, or matrices over the coefficients where those are few.
        """
        _, query = self.solver.init_global(self.problem, self.info)
        coefficients = self.info.size + self.info.n_outputs
        return SMALL + 64 * (_nbytes(query) + 8 * coefficients) + 32 * min(coefficients, MATRICES) ** 2


def peer_program(
    solver: Solver, problem: Problem, info: DataInfo, policy: Policy, best: Best | None = None
) -> PeerProgram:
    """Return the program of a fit; ``best`` is a new one by default."""
    return PeerProgram(solver, problem, info, policy, Best() if best is None else best)


def _nbytes(query: Any) -> int:
    if isinstance(query, np.ndarray):
        return query.nbytes
    return sum(map(_nbytes, query)) if isinstance(query, tuple) else 8
