from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from benchmarks.harness import dataset, registry, tables
from benchmarks.harness.client import Worker, WorkerError, WorkerTimeoutError
from benchmarks.harness.plots import plot
from benchmarks.harness.race import Course, Rules
from benchmarks.harness.results import Entry, Measured, Race

TIGHT = {"tol": 1e-10, "max_iter": 1000}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One small problem on disk, as workers load it."""
    cache = tmp_path_factory.mktemp("data")
    spec = replace(registry.problems()["small-ridge"], accuracies=(1e-3, 1e-6))
    folder = dataset.store(registry.datasets()[spec.dataset], cache, 0.5, spec.dtype)
    return spec, dataset.resolve(spec, folder, 1)


def measured(time, *suboptimality):
    return Measured({}, [time] * len(suboptimality), [time], list(suboptimality))


def test_race_ranks_and_writes(small, tmp_path):
    spec, problem = small
    contestants = registry.solvers()
    racing = [contestants["sklearn lbfgs"], contestants["sklearn newton-cholesky"], contestants["sklearn liblinear"]]
    race = Course(spec, problem, Rules(repeats=2, budget=30.0), lambda _: None).run(racing)
    ran = {entry.solver: entry for entry in race.entries}
    assert ran["sklearn liblinear"].excluded == "penalises the intercept"
    for name in ("sklearn lbfgs", "sklearn newton-cholesky"):
        assert math.isfinite(ran[name].seconds(1e-6))
        assert len(ran[name].at(1e-6).seconds) == 2
    # Nobody, the reference included, is below the optimum the race ends with.
    assert min(m.reached for entry in race.entries for m in entry.rungs) >= 0.0
    again = json.loads(json.dumps(tables.record(race), allow_nan=False))
    assert again["entries"][0]["seconds_to"]["1e-6"] > 0
    text = tables.markdown([race], {"date": "d", "cores": 2, "memory_gib": 1, "threads": 1, "python": "3"}, {})
    assert "| sklearn lbfgs |" in text
    assert "sklearn liblinear (penalises the intercept)" in text
    plot(race, tmp_path / "race.png")
    assert (tmp_path / "race.png").read_bytes()[:4] == b"\x89PNG"


def test_worker_reports_failures_and_goes_on(small):
    spec, problem = small
    worker = Worker("sklearn lbfgs", problem, spec.target, 120.0)
    try:
        with pytest.raises(WorkerError, match="colour"):
            worker.fit({"colour": "red"}, 60.0)
        assert worker.fit(TIGHT, 60.0)["seconds"] > 0
    finally:
        worker.close()


def test_a_fit_that_takes_too_long_is_ended(small):
    spec, problem = small
    worker = Worker("sklearn lbfgs", problem, spec.target, 120.0)
    with pytest.raises(WorkerTimeoutError, match="more than 0 s"):
        worker.fit(TIGHT, 0.0)
    with pytest.raises(WorkerError):
        worker.fit(TIGHT, 60.0)


def test_time_to_an_accuracy_is_the_least_median_that_reaches_it():
    entry = Entry("a", rungs=[measured(1.0, 1e-2, 1e-2), measured(3.0, 1e-7, 1e-7), measured(2.0, 1e-8, 1e-8)])
    assert entry.seconds(1e-1) == 1.0
    assert entry.seconds(1e-3) == 2.0
    assert entry.seconds(1e-9) == math.inf


def test_lead_and_verdict(small):
    spec, _ = small
    ours = Entry("offbeat", ours=True, rungs=[measured(0.5, 1e-8)])
    peers = [Entry("a", rungs=[measured(2.0, 1e-8)]), Entry("b", rungs=[measured(1.0, 1e-4)])]
    race = Race(spec, 10, 2, [0.1], 1.0, [0.0], [ours, *peers])
    assert tables.lead(race, 1e-3) == 2.0
    assert tables.lead(race, 1e-6) == 4.0
    assert tables.verdict(race) == "fastest peer / offbeat: 1e-3: 2x (b), 1e-6: 4x (a)"


def test_a_solver_stopped_early_is_said_to_take_longer(small):
    spec, _ = small
    slow = Entry("slow", stopped="time", rungs=[measured(70.0, 1e-2)])
    race = Race(spec, 10, 2, [0.1], 1.0, [0.0], [slow])
    assert tables.cell(race, slow, 1e-6) == "> 70 s"


def test_a_peer_is_given_up_for_being_far_behind_peers_not_us(small):
    spec, problem = small
    course = Course(spec, problem, Rules(budget=60.0), lambda _: None)
    course.race.entries = [Entry("offbeat", ours=True, rungs=[measured(0.1, 1e-9)])]
    slow = Entry("slow", rungs=[measured(12.0, 1e-2)])
    assert course._too_slow(slow, 12.0) is None
    course.race.entries.append(Entry("quick", rungs=[measured(1.0, 1e-9)]))
    assert course._too_slow(slow, 9.0) is None
    assert course._too_slow(slow, 12.0) == "far behind"
    assert course._too_slow(course.race.entries[0], 12.0) is None
    assert course._too_slow(slow, 61.0) == "time"
