"""Certificates for methods that never look at one point on all the data: when to spend a pass, and what it says."""

from __future__ import annotations

import math
from dataclasses import replace

from offbeat.data.shards import Point
from offbeat.problem import Problem
from offbeat.sideways import evaluation
from offbeat.sideways.board import Board
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.messages import Message
from offbeat.sideways.protocol import Candidate, DataInfo, Progress

SHARE = 0.1  # of the work that may go into certificates when the method does not believe it is done
CAUTION = 0.5  # after an estimate that was too hopeful, the next must be better than in proportion


class Certifier:
    """Has one candidate at a time evaluated on every shard.

    An evaluation is asked for when the method believes that it is done, or when it has worked long enough for another
    look to be cheap; and once of the point that a fit was told to start from. The best dual bound of all candidates
    counts for each: it bounds the same optimum.

    Parameters
    ----------
    problem : Problem
    info : DataInfo
    run : int
        Messages of other runs are refused.
    """

    def __init__(self, problem: Problem, info: DataInfo, run: int = 0) -> None:
        self._problem, self._info, self._run = problem, info, run
        self.number = 0
        self.point: Point | None = None
        self._candidate: Candidate | None = None
        self._board = Board(info.n_shards, run=run)
        self._dual = -math.inf
        self._worked = 0.0
        self._each = [0.0] * info.n_shards
        self._enough = 1.0 / SHARE
        self._trust = 1.0

    @property
    def busy(self) -> bool:
        """Whether a candidate is being evaluated."""
        return self._candidate is not None

    def worked(self, work: float, shard: int | None = None) -> None:
        """Take note of work done on a shard, in gradient passes over it; None: as much was done on every shard."""
        if shard is None:
            self._each = [each + work for each in self._each]
        else:
            self._each[shard] += work
        self._worked += work / self._info.n_shards if shard is not None else work

    def wants(self, candidate: Candidate, *, last: bool = False) -> bool:
        """Whether this candidate is worth a pass; the last one of a fit is."""
        if self.busy:
            return False
        self._dual = max(self._dual, candidate.dual)
        if last or (self._info.warm and self.number == 0):
            return True
        hopeful = candidate.estimate <= self._info.reference.tolerance * self._trust
        if self._worked < (1.0 if hopeful else self._enough):
            return False
        return hopeful or min(self._each) >= self._enough  # the share counts for the slowest, too

    def begin(self, candidate: Candidate) -> Point:
        """Take a candidate, or the start if it may be the answer; return the point that every shard is to evaluate."""
        if self._info.warm and self.number == 0:
            candidate = Candidate(*self._info.start)
        self.number += 1
        self._candidate, self._worked = candidate, 0.0
        self._each = [0.0] * self._info.n_shards
        self._board = Board(self._info.n_shards, run=self._run)
        self.point = evaluation.query(self._info, Iterate(candidate.coef, candidate.intercept))
        return self.point

    def put(self, message: Message) -> Progress | None:
        """Take an evaluation; return the progress once all are in."""
        if self._candidate is None or message.clock != self.number or not self._board.put(message):
            return None
        return self.finish(self._board) if self._board.complete else None

    def finish(self, board: Board) -> Progress:
        """Return the progress from a board with every shard's evaluation."""
        assert self._candidate is not None
        assert self.point is not None
        candidate, self._candidate = self._candidate, None
        at, _ = evaluation.gather(self._info, board, self.point)
        x = Iterate(candidate.coef, candidate.intercept)
        progress = evaluation.progress(self._problem, self._info, x, at)
        progress = replace(progress, certificate=evaluation.improved(progress.certificate, self._dual, self._info))
        self._dual = max(self._dual, progress.certificate.dual)
        self._learn(candidate, progress)
        return replace(progress, primal_residual=candidate.primal_residual, dual_residual=candidate.dual_residual)

    def _learn(self, candidate: Candidate, progress: Progress) -> None:
        """Trust estimates less after one that was too hopeful."""
        gap, tolerance = progress.certificate.relative_gap, self._info.reference.tolerance
        if candidate.estimate <= tolerance * self._trust and gap > tolerance > 0.0:
            self._trust *= CAUTION * min(1.0, max(tolerance / gap, 1e-3))
