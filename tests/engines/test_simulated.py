"""The simulated cluster: its clock, its traffic, its faults; the same seed gives the same bytes."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat.engines import Simulated
from offbeat.engines.faults import (
    Constant,
    Crash,
    Delay,
    Duplicate,
    Exponential,
    HeavyTailed,
    Join,
    Loss,
    Measured,
    Partition,
    Pause,
    SlowDisk,
)
from offbeat.engines.simulation.hub import HEADER, nbytes
from offbeat.engines.simulation.world import Conditions, World, around
from offbeat.errors import ProblemError
from offbeat.sideways.schedule import Stealing
from support.bench import data, honest, run

PROBLEM = Problem(losses.Logistic(), penalties.L2(0.02))
FAULTS = (
    Loss(0.1), Duplicate(0.1), Delay(0.3, 0.02), Crash(1, 0.05, 0.02), Crash(2, 0.08), Pause(0, 0.03, 0.02, every=0.1),
    Partition((1,), 0.1, 0.03), SlowDisk(0.005),
)  # fmt: skip
NEVER = math.inf


def world(**options: Any) -> World:
    even: dict[str, Any] = {"compute": Constant(1.0), "latency": Constant(0.0), "bandwidth": math.inf}
    settings = even | {"straggler": {}, "faults": (), "seed": 0} | options
    return World(Conditions(**settings), 3, 10.0)


# time ---------------------------------------------------------------------------------------------------------------
def test_events_happen_in_order_of_time_and_then_of_asking() -> None:
    here, seen = world(), []
    for name, time in (("c", 2.0), ("a", 1.0), ("b", 1.0), ("never", math.inf)):
        here.at(time, lambda name=name: seen.append((name, here.now)))  # type: ignore[misc]
    here.at(1.0, lambda: here.at(0.5, lambda: seen.append(("late", here.now))))
    while here.advance():
        pass
    assert seen == [("a", 1.0), ("b", 1.0), ("late", 1.0), ("c", 2.0)]
    assert not here.advance()


def test_a_step_takes_its_work_times_its_share_of_the_rows_times_the_machine() -> None:
    here = world(straggler={1: 5.0}, faults=(SlowDisk(0.5),))
    assert here.end_of(0, 2.0, 10) == 2.0
    assert here.end_of(0, 1.0, 5) == 0.5
    assert here.end_of(1, 1.0, 10) == 5.0
    assert here.end_of(0, 1.0, 10, foreign=True) == 1.5
    assert here.work_in(1, 10, 10.0) == 2.0


@given(
    begin=st.integers(0, 400), work=st.integers(0, 300), at=st.integers(0, 200), length=st.integers(0, 40),
    gap=st.integers(1, 60), often=st.booleans(),
)  # fmt: skip
def test_pauses_stop_the_work(begin: int, work: int, at: int, length: int, gap: int, often: bool) -> None:
    every = length + gap if often else NEVER

    def asleep(tick: int) -> bool:
        return (tick - at) % every < length if often and tick >= at else at <= tick < at + length

    end = around([Pause(0, float(at), float(length), float(every))], float(begin), float(work))
    assert end == pytest.approx(round(end))
    assert sum(not asleep(tick) for tick in range(begin, round(end))) == work


@pytest.mark.parametrize(
    ("model", "median"),
    [
        (Constant(0.2), 0.2),
        (Exponential(1.0), 0.5 + 0.5 * math.log(2.0)),
        (HeavyTailed(0.3, 1.0), 0.3),
        (Measured((0.1, 0.2, 0.9)), 0.2),
    ],
)
def test_models_draw_around_what_they_say_is_typical(model: Any, median: float) -> None:
    draws = [model.draw(np.random.default_rng(7)) for _ in range(2)]
    assert draws[0] == draws[1]
    rng = np.random.default_rng(0)
    many = [model.draw(rng) for _ in range(2001)]
    assert min(many) > 0.0
    assert float(np.median(many)) == pytest.approx(median, rel=0.1)
    assert model.typical == pytest.approx(median)


# what a fit takes ---------------------------------------------------------------------------------------------------
def test_a_round_takes_as_long_as_its_slowest_worker_and_two_messages() -> None:
    def seconds(**options: Any) -> tuple[float, int]:
        cluster = Simulated(4, **{"compute": 1.0, "latency": 0.0, "bandwidth": math.inf} | options)
        solution = run(PROBLEM, solvers.LBFGS(), engine=cluster)
        rounds = max(row.clock for row in solution.trace if row.kind == "step")
        return float(solution.trace.metadata["seconds"]), rounds

    even, rounds = seconds()
    assert even == pytest.approx(rounds)
    assert seconds(straggler={2: 7.0})[0] == pytest.approx(7.0 * rounds)
    assert seconds(latency=0.25)[0] == pytest.approx(1.5 * rounds)


def test_every_step_of_a_fit_with_a_hub_takes_two_messages() -> None:
    for staleness in (0.0, math.inf):
        solution = run(
            PROBLEM, solvers.DelayedProximalGradient(), engine=Simulated(4, straggler={0: 3.0}), staleness=staleness,
            stealing=None,
        )  # fmt: skip
        steps = [row for row in solution.trace if row.kind == "step"]
        said = solution.trace.metadata
        assert 2 * len(steps) <= int(said["messages"]) <= 2 * len(steps) + 4  # those under way at the end
        answered = sum(HEADER + row.bytes for row in steps)
        assert answered <= int(said["bytes"])
        assert said["messages lost"] == "0" and said["clock"] == "virtual"


def test_the_size_of_a_query_is_that_of_its_arrays() -> None:
    assert nbytes((np.zeros(4), (np.zeros((2, 2)), 1.0), "x")) == 32 + 32 + 8 + 8


def test_in_a_tree_the_traffic_of_a_worker_does_not_grow_with_the_cluster() -> None:
    given = data(losses.Logistic(), n=512)

    def busiest(n: int, where: Any) -> tuple[float, float]:
        solution = run(
            PROBLEM, solvers.GradientDescent(), given=given, engine=Simulated(n), topology=where, tol=0.0, max_iter=4.0
        )
        said = solution.trace.metadata
        return int(said["bytes of the busiest"]), int(said["messages"]) / n

    tree = [busiest(n, topology.Tree(2)) for n in (4, 16, 64)]
    everybody = [busiest(n, topology.Broadcast()) for n in (4, 16, 64)]
    for (size, count), n in zip(tree, (4, 16, 64), strict=True):
        assert size <= tree[0][0] * math.log2(n)
        assert count <= tree[0][1] * math.log2(n)
    assert everybody[2][0] >= 10 * everybody[0][0] and everybody[2][1] >= 10 * everybody[0][1]


@pytest.mark.parametrize(("n", "where"), [(256, topology.Hub()), (96, topology.Tree(2))], ids=lambda t: str(t))
def test_a_hundred_workers_and_more(n: int, where: Any) -> None:
    given = data(losses.Logistic(), n=2 * n)
    solution = run(
        PROBLEM, solvers.DelayedProximalGradient(), given=given, engine=Simulated(n, straggler={5: 4.0}),
        staleness=math.inf, topology=where, stealing=None, tol=0.0, max_iter=8.0,
    )  # fmt: skip
    steps = [row for row in solution.trace if row.kind == "step"]
    assert {row.worker for row in steps} == set(range(n))
    assert len(steps) >= 7 * n
    assert solution.status == "max_iter" and solution.passes >= 8.0


# faults -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("staleness", [0.0, math.inf])
@pytest.mark.parametrize("name", ["Newton", "DelayedProximalGradient", "ADMM"])
def test_a_crash_with_loss_of_state_leads_to_the_same_certificate(name: str, staleness: float) -> None:
    solver, crash = getattr(solvers, name)(), Crash(worker=1, at=0.035, down=0.02)
    settings = {"staleness": staleness, "stealing": None, "tol": 1e-6}
    whole, torn = (run(PROBLEM, solver, engine=Simulated(4, faults=f), **settings) for f in ((), (crash,)))
    for solution in (whole, torn):
        assert solution.status == "converged"
        honest(PROBLEM, solution)
    assert torn.certificate.primal == pytest.approx(whole.certificate.primal, rel=2e-6)
    assert {row.worker for row in torn.trace if row.kind == "step"} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "name", ["GradientDescent", "LBFGS", "ProximalGradient", "SGD", "DualAveraging", "ModelAveraging"]
)
@pytest.mark.parametrize("where", [topology.Hub(), topology.Broadcast()], ids=lambda t: t.name)
def test_with_a_barrier_a_crash_changes_no_bit_of_methods_that_remember_their_contribution(
    where: Any, name: str
) -> None:
    solver = getattr(solvers, name)()
    crashes = (Crash(worker=1, at=0.035, down=0.02), Crash(worker=2, at=0.06))
    whole, torn = (
        run(PROBLEM, solver, engine=Simulated(4, faults=f), topology=where, stealing=None, max_iter=14.0, tol=0.0,
            random_state=2)
        for f in ((), crashes)
    )  # fmt: skip
    np.testing.assert_array_equal(torn.coef, whole.coef)
    assert torn.certificate == whole.certificate
    assert float(torn.trace.metadata["seconds"]) > float(whole.trace.metadata["seconds"])


@pytest.mark.parametrize("stealing", [None, Stealing()])
@pytest.mark.parametrize("staleness", [0.0, math.inf])
def test_shards_of_a_machine_that_is_lost_for_good_go_to_others(staleness: float, stealing: Any) -> None:
    solution = run(
        PROBLEM, solvers.DelayedProximalGradient(), engine=Simulated(4, faults=(Crash(2, 0.035, NEVER),)),
        staleness=staleness, stealing=stealing, tol=1e-6,
    )  # fmt: skip
    assert solution.status == "converged"
    honest(PROBLEM, solution)
    late = [row for row in solution.trace if row.kind == "step" and row.time > 0.05]
    n_shards = 16 if stealing else 4
    assert {row.worker for row in late} == {0, 1, 3}
    assert {row.shard for row in late} == set(range(n_shards))


def test_when_no_machine_is_left_the_fit_says_so() -> None:
    faults = tuple(Crash(worker, 0.025, NEVER) for worker in range(3))
    with pytest.raises(ProblemError, match="no worker is left, and none is to come back"):
        run(PROBLEM, solvers.Newton(), engine=Simulated(3, faults=faults), tol=0.0)


def test_a_machine_that_joins_takes_its_share() -> None:
    solution = run(
        PROBLEM, solvers.DelayedProximalGradient(), engine=Simulated(2, faults=(Join(0.05),)), staleness=math.inf,
        tol=1e-7, stealing=Stealing(patience=100.0),
    )  # fmt: skip
    assert solution.status == "converged"
    first = min(row.time for row in solution.trace if row.kind == "step" and row.worker == 2)
    assert 0.05 <= first < 0.08
    assert len({row.shard for row in solution.trace if row.worker == 2 and row.kind == "step"}) >= 2


def test_stolen_shards_have_to_be_loaded_first() -> None:
    def fit(*faults: Any) -> Any:
        return run(
            PROBLEM, solvers.DelayedProximalGradient(), engine=Simulated(4, straggler={0: 20.0}, faults=faults),
            staleness=math.inf, tol=1e-5,
        )  # fmt: skip

    plain, slow = fit(), fit(SlowDisk(0.5))
    stolen = [row for row in slow.trace if row.kind == "step" and row.shard // 4 != row.worker]
    assert stolen and max(row.duration for row in stolen) > 0.5
    assert float(slow.trace.metadata["seconds"]) > float(plain.trace.metadata["seconds"])


def test_losses_are_counted_and_made_up_for() -> None:
    solution = run(PROBLEM, solvers.LBFGS(), engine=Simulated(4, faults=(Loss(0.3),), seed=3))
    quiet = run(PROBLEM, solvers.LBFGS(), engine=Simulated(4))
    assert int(solution.trace.metadata["messages lost"]) > 0
    np.testing.assert_array_equal(solution.coef, quiet.coef)


# the same seed ------------------------------------------------------------------------------------------------------
CASES: dict[str, dict[str, Any]] = {
    "hub": {"solver": solvers.ADMM(), "staleness": math.inf},
    "barrier": {"solver": solvers.Newton(), "topology": topology.Gossip(2)},
    "broadcast": {"solver": solvers.DualAveraging(), "staleness": math.inf, "topology": topology.Broadcast()},
    "tree": {"solver": solvers.DelayedProximalGradient(), "staleness": 2.0, "topology": topology.Tree(2)},
}


def fingerprint(name: str, seed: int = 4) -> str:
    """Return a hash of every number that a fit gives."""
    cluster = Simulated(4, HeavyTailed(0.01, 0.8), Exponential(0.001), straggler={0: 4.0}, faults=FAULTS, seed=seed)
    solution = run(PROBLEM, engine=cluster, max_iter=30.0, random_state=seed, **CASES[name])
    told = {k: v for k, v in solution.trace.metadata.items() if "time" not in k}
    text = repr((solution.coef.tobytes(), solution.intercept, solution.certificate, list(solution.trace), told))
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_in_any_process() -> None:
    here = [fingerprint("hub"), fingerprint("tree")]
    code = (
        "import importlib.util as u, sys; spec = u.spec_from_file_location('simulated', sys.argv[1]);"
        "m = u.module_from_spec(spec); spec.loader.exec_module(m); print(m.fingerprint('hub'), m.fingerprint('tree'))"
    )
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", code, __file__]
    env = os.environ | {"PYTHONPATH": tests}
    there = [
        subprocess.Popen(command, env=env | {"PYTHONHASHSEED": hashes}, stdout=subprocess.PIPE, text=True)
        for hashes in ("1", "2")
    ]
    assert [process.communicate()[0].split() for process in there] == [here, here]


@pytest.mark.parametrize("name", CASES)
def test_the_seed_is_all_there_is_to_chance(name: str) -> None:
    assert fingerprint(name) == fingerprint(name) != fingerprint(name, seed=5)


# misuse -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_workers": 0}, "at least one worker, not 0"),
        ({"bandwidth": 0.0}, "bandwidth of Simulated is 0.0"),
        ({"bandwidth": math.nan}, "bandwidth of Simulated is nan"),
        ({"straggler": {3: 2.0}}, r"workers \[3\] are named as slow or faulty; workers are 0 to 2"),
        ({"straggler": {0: 0.0}}, "straggler by the factor 0.0"),
        ({"straggler": {0: math.inf}}, "straggler by the factor inf"),
        ({"faults": (Crash(7, 1.0),)}, r"workers \[7\]"),
        ({"faults": (Pause(-1, 1.0, 1.0),)}, r"workers \[-1\]"),
        ({"faults": (Partition((0, 9), 1.0, 1.0),)}, r"workers \[9\]"),
    ],
)
def test_clusters_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        Simulated(**{"n_workers": 3} | options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1.0), lambda: Exponential(math.nan), lambda: HeavyTailed(math.inf), lambda: Measured(()),
        lambda: Measured((0.1, -0.1)),
    ],
)  # fmt: skip
def test_times_that_cannot_be_are_refused(make: Any) -> None:
    with pytest.raises(ProblemError):
        make()


def test_more_workers_than_rows_are_not_used() -> None:
    given = data(losses.Logistic(), n=5)
    solution = run(PROBLEM, solvers.Newton(), given=given, engine=engines.Simulated(64, straggler={60: 3.0}))
    assert solution.status == "converged"
    assert {row.worker for row in solution.trace if row.kind == "step"} == set(range(5))


def test_faults_are_there_without_being_imported_first() -> None:
    code = "from offbeat import engines; print(engines.faults.Loss(0.5), 'faults' in dir(engines))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["Loss(probability=0.5)", "True"]
