"""BLAS at one thread while fits run, whoever ends first; and as many threads as there are cores for them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from offbeat import Problem, engines, losses, penalties, solve
from offbeat.engines import blas, cores
from offbeat.engines.blas import one_blas_thread
from offbeat.engines.cores import available_cores

DEADLINE = 60.0  # seconds, after which a thread that does not come is an error


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two() -> Iterator[None]:
    """Have BLAS at two threads, whatever the machine."""
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS has one thread")
        yield


def test_blocks_side_by_side_and_within_each_other(two: None) -> None:
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    with one_blas_thread():
        assert blas_threads() == {1}
    first.__exit__()
    assert blas_threads() == {1}  # somebody is still at work
    second.__exit__()
    assert blas_threads() == {2}


@pytest.mark.parametrize("engine", [engines.Serial(), engines.Threads(2), engines.Simulated(2)], ids=lambda e: e.name)
def test_two_fits_in_two_threads_leave_blas_as_it_was(engine: Any, two: None) -> None:
    rows = np.random.default_rng(0).standard_normal((200, 3))
    y = (rows[:, 0] > 0.0).astype(float)
    began, second_began, first_ended = threading.Event(), threading.Event(), threading.Event()
    seen: list[set[int]] = []

    def first(*about: Any) -> None:
        began.set()
        assert second_began.wait(DEADLINE)

    def second(*about: Any) -> None:
        second_began.set()
        assert first_ended.wait(DEADLINE)
        seen.append(blas_threads())

    def run(callback: Any, after: threading.Event | None = None, then: threading.Event | None = None) -> None:
        assert after is None or after.wait(DEADLINE)
        solve(Problem(losses.Logistic(), penalties.L2(0.1)), rows, y, engine=engine, callback=callback)
        if then is not None:
            then.set()

    plans = [(first, None, first_ended), (second, began, None)]
    threads = [threading.Thread(target=run, args=plan) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen and all(found == {1} for found in seen)
    assert blas_threads() == {2}


class Library:
    """Stands for a BLAS that is loaded later."""

    def __init__(self, filepath: str, threads: int, layer: str = "pthreads") -> None:
        self.filepath, self.num_threads, self.threading_layer = filepath, threads, layer

    def set_num_threads(self, threads: int) -> None:
        self.num_threads = threads


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Library]:
    loaded = [Library("first.so", 4)]

    class Controller:
        lib_controllers = loaded

        def select(self, **about: Any) -> Any:
            return self

    monkeypatch.setattr(blas, "ThreadpoolController", Controller)
    return loaded


def test_libraries_that_are_loaded_later_are_limited_too(pools: list[Library], monkeypatch: pytest.MonkeyPatch) -> None:
    users = blas._OneThread()
    with users:
        assert [pool.num_threads for pool in pools] == [1]
        pools.append(Library("second.so", 8))
        monkeypatch.setitem(__import__("sys").modules, "a_module_with_a_blas", os)
        with users:
            assert [pool.num_threads for pool in pools] == [1, 1]
        assert [pool.num_threads for pool in pools] == [1, 1]
    assert [pool.num_threads for pool in pools] == [4, 8]


def test_libraries_with_a_number_for_each_thread(pools: list[Library]) -> None:
    """Each thread limits its own number, as it must with OpenMP, and leaves it as it was."""

    class Own(Library):
        numbers = threading.local()

        @property
        def num_threads(self) -> int:
            return getattr(self.numbers, "it", 6)

        @num_threads.setter
        def num_threads(self, threads: int) -> None:
            self.numbers.it = threads

    pools[:] = [Own("openmp.so", 6, "openmp")]
    users, seen = blas._OneThread(), []

    def run() -> None:
        with users, users:
            seen.append(pools[0].num_threads)
        seen.append(pools[0].num_threads)

    with users:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert pools[0].num_threads == 1
    assert (seen, pools[0].num_threads) == ([1, 6], 6)


def test_a_forked_process_begins_anew(pools: list[Library]) -> None:
    users = blas._OneThread()
    users.__enter__()
    users._lock.acquire()  # as another thread may have it at that moment
    users.forget()
    assert pools[0].num_threads == 4
    with users:
        assert pools[0].num_threads == 1
    assert pools[0].num_threads == 4


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine of 16 cores without any limit, whose control groups are in a folder."""
    for name in cores.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setattr(cores, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
    cores._quota.cache_clear()
    yield tmp_path
    cores._quota.cache_clear()


def test_all_cores(machine: Path) -> None:
    assert available_cores() == engines.Threads().n_workers == 16


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "4,2"}, 4), ({"NUMBA_NUM_THREADS": "2"}, 2),
        ({"LOKY_MAX_CPU_COUNT": "5", "OMP_NUM_THREADS": "7"}, 5), ({"OMP_NUM_THREADS": "99"}, 16),
        ({"OMP_NUM_THREADS": "0"}, 16), ({"OMP_NUM_THREADS": "many"}, 16), ({"OMP_NUM_THREADS": ""}, 16),
    ],
)  # fmt: skip
def test_variables(variables: dict[str, str], wanted: int, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert available_cores() == wanted
    assert engines.Threads(6).n_workers == 6  # what was asked for is what is done


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"membership": "0::/a/b\n", "a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, 4),
        (
            {
                "cpu/cpu.cfs_quota_us": "300000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "membership": "1:cpu,cpuacct:/\n",
            },
            3,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n", "membership": "1:cpu:/\n"}, 16),
        ({"cpu/x/cpu.cfs_quota_us": "500000\n", "cpu/x/cpu.cfs_period_us": "100000\n", "membership": "1:cpu:/x\n"}, 5),
        ({"cpu.max": "nonsense", "membership": "nonsense\n"}, 16),
    ],
)
def test_quotas_of_containers(files: dict[str, str], wanted: int, machine: Path) -> None:
    for name, content in files.items():
        (machine / name).parent.mkdir(parents=True, exist_ok=True)
        (machine / name).write_text(content)
    cores._quota.cache_clear()
    assert available_cores() == wanted


def test_limits_of_joblib(machine: Path) -> None:
    with joblib.parallel_config(n_jobs=3):
        assert available_cores() == 3
    with joblib.parallel_config(n_jobs=-3):
        assert available_cores() == 14
    assert available_cores() == 16


def test_workers_of_joblib_share_the_cores() -> None:
    """Its worker processes have their share in the environment."""
    counts = joblib.Parallel(n_jobs=2)(joblib.delayed(available_cores)() for _ in range(2))
    assert max(counts) <= max(joblib.cpu_count() // 2, 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: engines.Simulated(4, straggler=10),
            r"straggler of Simulated is 10; give factors by worker, such as \{0: 10\}",
        ),
        (lambda: engines.Simulated(4, straggler=[10]), r"straggler of Simulated is \[10\]; give factors by worker"),
        (lambda: engines.Simulated(4, straggler={"0": 2.0}), "names the worker '0'; give numbers of workers"),
        (lambda: engines.Simulated(4, straggler={0: "slow"}), "worker 0 is a straggler by the factor slow"),
        (lambda: engines.Simulated(2.5), r"the workers of Simulated are 2\.5; give a whole number"),
        (lambda: engines.Simulated(4, faults=3), "faults of Simulated is 3; give a list of faults"),
        (
            lambda: engines.Simulated(4, faults=(3,)),
            "faults of Simulated holds 3; give faults of offbeat.engines.faults",
        ),
        (lambda: engines.Simulated(4, compute="fast"), "'fast' stands where seconds are wanted"),
        (lambda: engines.Simulated(4, latency=[0.1]), r"\[0\.1\] stands where seconds are wanted"),
        (lambda: engines.Threads(2, slowdown=10.0), r"slowdown of Threads is 10\.0; give factors by worker"),
        (lambda: engines.Threads(2, slowdown={0: math.nan}), "worker 0 is a straggler by the factor nan"),
        (lambda: engines.Threads("2"), "the workers of Threads are '2'; give a whole number"),
    ],
)
def test_arguments_of_engines(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_thread_that_fails_after_its_step_does_not_leave_the_fit_waiting() -> None:
    rows = np.ones((10, 1))

    class Broken(dict[int, float]):
        def get(self, *about: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        solve(
            Problem(losses.Squared(), penalties.L2(0.1)), rows, np.arange(10.0),
            engine=engines.Threads(2, slowdown=Broken()),
        )  # fmt: skip
