"""What runs on the workers of a Dask cluster. Everything it keeps there belongs to a run, and goes with it."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from distributed import get_worker

from offbeat.data.placed.partitions import DataPartition, Preprocessing
from offbeat.data.shards import Shard
from offbeat.engines.base import Steps
from offbeat.engines.blas import one_blas_thread
from offbeat.engines.dask.transfers import Moved, Transfers
from offbeat.errors import OffbeatError
from offbeat.problem import Problem
from offbeat.sideways.messages import Floats, Run
from offbeat.sideways.protocol import Solver


class Held(NamedTuple):
    """What a run has on this worker: its local states, and which transfers have been told."""

    steps: Steps
    transfers: Transfers


_RUNS: dict[str, Held] = {}
_ENDED: deque[str] = deque(maxlen=1000)
_LOCK = threading.Lock()
STAMPS = 1 << 62


class Work(NamedTuple):
    """A step to be run: of which run, by which solver, for which rank; the factor by which it is slowed.

    ``elapsed`` is when it was sent: seconds since the run began.
    """

    run: str
    solver: Solver
    problem: Problem
    command: Run
    slowdown: float = 1.0
    elapsed: float = 0.0


class Done(NamedTuple):
    """What a step gave; without payload: the state that goes with the contribution is not here, send the latter.

    ``moved`` is what came to the worker before the step, and no step has told of.
    """

    payload: Floats | None
    work: float = 0.0
    kind: str = ""
    stamp: int = 0
    duration: float = 0.0
    moved: tuple[Moved, ...] = ()


def step(shard: Shard, work: Work, query: Any) -> Done:
    """Run a step of a shard."""
    held, command = _held(work), work.command._replace(query=query)
    steps = held.steps
    steps.shards[command.shard] = shard  # type: ignore[index]
    begun, moved = time.perf_counter(), held.transfers.new(get_worker(), work.elapsed, shard)
    state = steps.take(command, command.worker)
    if state is None and command.stamp and command.contribution is None:
        return Done(None, moved=moved)
    with one_blas_thread():
        made = steps.go_on(command, command.worker, state)
    if work.slowdown > 1.0:
        time.sleep((work.slowdown - 1.0) * (time.perf_counter() - begun))
    return Done(made.payload, made.work, made.kind, made.stamp, time.perf_counter() - begun, moved)


def _held(work: Work) -> Held:
    """Return what a run has on this worker."""
    with _LOCK:
        found = _RUNS.get(work.run)
        if found is None:
            # Stamps of another worker must be others, and numbers that other workers drew are far from this one.
            steps = Steps(work.solver, work.problem, {}, random.SystemRandom().randrange(1, STAMPS))
            found = Held(steps, Transfers())
            if work.run not in _ENDED:
                _RUNS[work.run] = found
        return found


def forget(run: str) -> None:
    """Drop what is left of a run; a step of it that still comes leaves nothing behind."""
    with _LOCK:
        _RUNS.pop(run, None)
        _ENDED.append(run)


def held() -> int:
    """Return how many runs have left something on this worker."""
    return len(_RUNS)


def on_parts(function: Callable[[DataPartition], Any], numbers: list[int | str], columns: list[list[Any]]) -> list[Any]:
    """Return a function of each of some parts, or the error that says what is wrong with the part."""
    return [_tried(function, part) for part in _parts(numbers, columns)]


def _tried(function: Callable[[DataPartition], Any], part: DataPartition) -> Any:
    try:
        return function(part)
    except OffbeatError as error:
        return error


def _parts(numbers: list[int | str], columns: list[list[Any]]) -> list[DataPartition]:
    return [DataPartition(number, *values) for number, *values in zip(numbers, *columns, strict=True)]


def make_shard(
    recipe: Preprocessing, numbers: list[int | str], columns: list[list[Any]], spans: tuple[tuple[int, int], ...]
) -> Shard:
    """Return parts as a shard: ``columns`` has features, targets, weights, offsets; ``spans`` says which rows it is."""
    return replace(recipe.shard(_parts(numbers, columns)), spans=spans)


def on_shard(function: Callable[[Shard], Any], shard: Shard) -> Any:
    """Return a function of a shard."""
    with one_blas_thread():
        return function(shard)
