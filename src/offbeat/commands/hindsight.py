"""How close to the optimum an asynchronous fit was when: what it seldom stops to find out, found out afterwards."""

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

KEPT = 48  # candidates of a fit, at most: each costs a pass


class Seen:
    """Keeps some of the candidates of a fit, evenly over all of it, and certifies them when it is over."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, Candidate]] = []
        self._count, self._stride = 0, 1

    def watch(self, candidate: Candidate, time: float) -> None:
        """Take note of a candidate: for `FitArguments.watch`."""
        if self._count % self._stride == 0:
            self._kept.append((time, candidate))
            if len(self._kept) >= KEPT:
                self._kept = self._kept[::2]
                self._stride *= 2
        self._count += 1

    def certified(self, trace: Trace, problem: Problem, dataset: Dataset, options: Options) -> Trace:
        """Return the trace with an update for each candidate that was kept, up to the end of the fit.

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
        return Trace([*(_unless_old(row, found) for row in trace), *found], trace.metadata)


def _unless_old(row: Row, found: list[Row]) -> Row:
    """Return a row of the trace without its gap, if the fit was known to be closer before: certificates take time."""
    best = min((other.gap for other in found if other.time <= row.time), default=math.inf)
    return row._replace(primal=math.nan, dual=math.nan, gap=math.nan) if row.gap > best else row


def _row(certificate: Certificate, time: float) -> Row:
    """Return the row of a candidate in the trace."""
    return Row(time, primal=certificate.primal, dual=certificate.dual, gap=certificate.gap, note="seen afterwards")
