"""Runs a race: one ladder each, then repeats of the rungs that decide, in turn."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.harness import matrix, memory, objective, reference
from benchmarks.harness.client import Worker, WorkerError, WorkerTimeoutError
from benchmarks.harness.problem import Problem, Spec
from benchmarks.harness.results import Entry, Measured, Race
from benchmarks.harness.solver import BaseSolver, Rung

log = logging.getLogger("benchmarks")
EXACT = 1e-13
"""Below this suboptimality a tighter rung shows nothing new."""
NEAR = 1.5
"""Rungs this close to a solver's fastest are repeated too: the first run may have been a lucky or unlucky one."""
FAR = 4.0
"""A peer this many times slower than the first peer at every accuracy is not measured again."""
HOPELESS = 10.0
"""A peer's ladder ends at a fit that took this many times what another peer needed for the tightest accuracy."""
SHORT = 1.0
"""No ladder is cut short for fits of less than this."""


@dataclass(frozen=True)
class Rules:
    """How a race is run: repeats of deciding rungs, seconds a fit may take, seconds a ladder may take."""

    repeats: int = 5
    budget: float = 60.0
    ladder_budget: float = 180.0


@dataclass
class Climb:
    """A solver on its ladder: the rungs still to come, and the seconds of the last fit."""

    entry: Entry
    rungs: list[Rung]
    last: float = 0.0


class Course:
    """A race being run."""

    def __init__(self, spec: Spec, problem: Problem, rules: Rules, say: Callable[[str], None]) -> None:
        self.problem, self.rules, self.say = problem, rules, say
        self.race = Race(spec, problem.n, problem.k, problem.alphas.tolist(), objective.scale(problem))
        self.workers: dict[str, Worker] = {}
        say("reference")
        self.race.optimum = objective.objectives(problem, *reference.solve(problem)).tolist()

    def run(self, solvers: list[BaseSolver]) -> Race:
        """Race these solvers."""
        try:
            self._climb([climb for solver in solvers if (climb := self._enter(solver))])
            self.race.settle()
            self._repeat()
        finally:
            for name in list(self.workers):
                self.workers.pop(name).close()
        self.race.settle()
        return self.race

    def _enter(self, solver: BaseSolver) -> Climb | None:
        """Start a solver's process; None if it cannot take part."""
        entry = Entry(solver.name, solver.ours, excluded=solver.missing() or solver.refuses(self.problem))
        self.race.entries.append(entry)
        if entry.excluded:
            return None
        self.say(f"{entry.solver} warming up")
        try:
            worker = self._worker(solver.name)
        except WorkerError as error:
            entry.excluded = f"failed: {error}"
            return None
        entry.first_seconds = worker.first
        return Climb(entry, worker.ladder)

    def _climb(self, climbs: list[Climb]) -> None:
        """Run all ladders once; next is whose last fit was quickest, so that slow ones learn who is far ahead."""
        while climbs:
            climb = min(climbs, key=lambda each: each.last)
            if not self._step(climb):
                climbs.remove(climb)
                if not climb.entry.rungs:
                    climb.entry.excluded = f"failed: {climb.entry.stopped}"

    def _step(self, climb: Climb) -> bool:
        """Run the next rung; False if it was the last."""
        entry, measured = climb.entry, Measured(climb.rungs.pop(0))
        if not self._measure(entry, measured):
            return False
        entry.rungs.append(measured)
        climb.last = measured.median
        if measured.suboptimality[-1] <= EXACT or not climb.rungs:
            return False
        entry.stopped = self._too_slow(entry, climb.last)
        return entry.stopped is None

    def _too_slow(self, entry: Entry, last: float) -> str | None:
        """Return why a tighter rung is not tried, or None."""
        if last > self.rules.budget or sum(m.median for m in entry.rungs) > self.rules.ladder_budget:
            return "time"
        first = self._first_peer(min(self.race.spec.accuracies))
        return "far behind" if not entry.ours and last > max(HOPELESS * first, SHORT) else None

    def _first_peer(self, accuracy: float) -> float:
        """Return the time of the fastest peer."""
        return min((e.seconds(accuracy) for e in self.race.entries if not e.ours), default=math.inf)

    def _measure(self, entry: Entry, measured: Measured) -> bool:
        """Fit once and judge the result; False if that failed."""
        self.say(f"{entry.solver} {_words(measured.rung)} run {len(measured.seconds) + 1}")
        try:
            answer = self._worker(entry.solver).fit(measured.rung, 2 * self.rules.budget)
        except WorkerError as error:
            if isinstance(error, WorkerTimeoutError):
                self.workers.pop(entry.solver, None)
            entry.stopped = str(error)
            log.warning("%s %s: %s", entry.solver, measured.rung, error)
            return False
        values = objective.objectives(self.problem, matrix.unpack(answer["coef"]), np.array(answer["intercept"]))
        relative = (values - self.race.optimum) / self.race.scale
        measured.seconds.append(answer["seconds"])
        measured.cpu_seconds.append(answer["cpu_seconds"])
        measured.extra_bytes.append(answer["extra_bytes"])
        measured.objectives.append(values.tolist())
        measured.suboptimality.append(float(relative.max()))
        log.info("%s %s: %.4f s, %.2e", entry.solver, measured.rung, answer["seconds"], relative.max())
        return True

    def _repeat(self) -> None:
        """Measure the rungs that decide again, in turn, so that a slow minute of the machine hits everybody.

        Who decides may change as medians settle: repeated until whoever wins at some accuracy has had all its runs.
        """
        failed: list[Measured] = []
        while True:
            short = [pair for pair in self._deciding() if len(pair[1].seconds) < self.rules.repeats]
            short = [pair for pair in short if not any(pair[1] is each for each in failed)]
            if not short:
                return
            failed += [measured for entry, measured in short if not self._measure(entry, measured)]
            self.race.settle()

    def _deciding(self) -> list[tuple[Entry, Measured]]:
        """Return the rungs that are, or may turn out to be, some solver's fastest at some accuracy."""
        chosen = []
        for entry in self.race.entries:
            limits = []
            for accuracy in self.race.spec.accuracies:
                own = entry.seconds(accuracy)
                if math.isfinite(own) and (entry.ours or own <= FAR * self._first_peer(accuracy)):
                    limits.append((accuracy, NEAR * own))
            chosen += [
                (entry, m)
                for m in entry.rungs
                if any(m.reached <= accuracy and m.median <= limit for accuracy, limit in limits)
            ]
        return chosen

    def _worker(self, name: str) -> Worker:
        """Return a solver's process, started if need be; older ones make room when memory is short."""
        if name in self.workers:
            return self.workers[name]
        need = 3 * self.problem.nbytes
        while self.workers and (memory.available() or need) < need:
            self.workers.pop(next(iter(self.workers))).close()
        worker = Worker(name, self.problem, self.race.spec.target, 4 * self.rules.budget)
        self.workers[name] = worker
        return worker


def _words(rung: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in rung.items())
