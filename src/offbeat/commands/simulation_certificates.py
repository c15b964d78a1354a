"""Duality gaps over the time of an asynchronous fit, computed after the fit.

An asynchronous fit certifies its point seldom, as each certificate costs a pass. A simulation keeps some of the points
that the solver offered, and certifies these once the fit has ended.
"""

from __future__ import annotations

import math

from offbeat.data.dataset import Dataset
from offbeat.diagnostics.trace import Trace
from offbeat.engines import Threads
from offbeat.fit.evaluate import evaluate
from offbeat.fit.inspection import Options, inspect
from offbeat.problem import Certificate, Problem
from offbeat.sideways import evaluation
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.messages import Row
from offbeat.sideways.protocol import Candidate

MAX_CANDIDATES = 48  # of a fit: each costs a pass over the data


class CandidateLog:
    """Keeps some of the candidates of a fit, evenly spread over its updates, and certifies them after the fit."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, Candidate]] = []
        self._count, self._stride = 0, 1

    def watch(self, candidate: Candidate, time: float) -> None:
        """Keep a candidate, or not; `FitArguments.watch` calls this."""
        if self._count % self._stride == 0:
            self._kept.append((time, candidate))
            if len(self._kept) >= MAX_CANDIDATES:
                self._kept = self._kept[::2]
                self._stride *= 2
        self._count += 1

    def certified(self, trace: Trace, problem: Problem, dataset: Dataset, options: Options) -> Trace:
        """Return the trace with a certified row for each candidate that was kept.

        Parameters
        ----------
        trace : Trace
        problem : Problem
        dataset : Dataset
        options : Options
            Those of the fit.
        """
        if not self._kept:
            return trace
        n_shards = 1 + max((row.shard for row in trace if row.kind == "step"), default=0)
        engine = Threads()
        shards = dataset.shards(n_shards)
        info = inspect(problem, dataset, shards, engine, options)
        whole = dataset.shards(engine.n_workers)  # fewer and larger: the sum is the same

        found: list[Row] = []
        dual = -math.inf
        for time, candidate in self._kept:
            x = Iterate(candidate.coef, candidate.intercept)
            at, _ = evaluate(problem, info, whole, engine, evaluation.query(info, x))
            certificate = evaluation.progress(problem, info, x, at).certificate
            certificate = evaluation.improved(certificate, max(dual, candidate.dual), info)
            dual = max(dual, candidate.dual, certificate.dual)
            found.append(_row(certificate, time))
        return Trace([*(_without_old_gap(row, found) for row in trace), *found], trace.metadata)


def _without_old_gap(row: Row, found: list[Row]) -> Row:
    """Return a row of the trace without its gap, if a candidate of an earlier time has a smaller one."""
    best = min((other.gap for other in found if other.time <= row.time), default=math.inf)
    return row._replace(primal=math.nan, dual=math.nan, gap=math.nan) if row.gap > best else row


def _row(certificate: Certificate, time: float) -> Row:
    """Return the row of a candidate in the trace."""
    note = "certified after the fit"
    return Row(time, primal=certificate.primal, dual=certificate.dual, gap=certificate.gap, note=note)
