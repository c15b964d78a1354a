"""Checkpoints: the state of a fit in a file, from which another process continues it.

A checkpoint is one ``.npz`` file of arrays and JSON, without pickle. It holds a `Snapshot` of the hub loop, and facts
about data, problem and solver, by which a fit that continues is known to be the same one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat._utils import codec
from offbeat._utils.atomic import atomic_write
from offbeat._utils.codec import Decoder, Encoder
from offbeat.data.dataset import Data
from offbeat.data.fingerprint import FEATURES, VECTORS, WEIGHT_SUMS
from offbeat.errors import DataError, ProblemError
from offbeat.fit.inspection import Options
from offbeat.problem import Problem
from offbeat.sideways.loop import Snapshot
from offbeat.sideways.protocol import DataInfo, Solver

FORMAT = "offbeat checkpoint"
VERSION = 1
INFO = "info"
SAMPLE_ROUNDING = 1e-6  # relative rounding of sums over a sample that are taken in another order
SUM_ROUNDING = 1e-11  # relative rounding of sums over all rows that are taken in another order
SHARDS = "shards"
CHECKED_BY_CHECKSUM = {**VECTORS, FEATURES: "features"}
RUNS = ("n_shards", "longest", "at_once", "resident", "staleness", "seed", "single")
"""Fields of `DataInfo` that depend on how a fit is run, and not on its data."""
FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class Checkpoint:
    """A fit that can go on.

    Parameters
    ----------
    snapshot : Snapshot
        Contributions, state of the solver, best point.
    info : DataInfo
        What the solver was told about the data.
    facts : mapping of str to str, int, float or bool
        What must be the same in the fit that continues: see `facts_of`.
    """

    snapshot: Snapshot
    info: DataInfo
    facts: Mapping[str, Any] = field(default_factory=dict)


def save(checkpoint: Checkpoint, path: FilePath) -> None:
    """Write a checkpoint, whole or not at all; an older one is replaced.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : str or path-like
        Its folder must exist.

    Raises
    ------
    ProblemError
        The solver's state holds something that cannot be written, such as a function: says where.
    OSError
        The folder is missing, cannot be written or is full. What was there before is as it was.
    """
    encoder = Encoder()
    try:
        info = encoder.encode(checkpoint.info, "info")
        encoder.know({INFO: checkpoint.info})
        snapshot = encoder.encode(checkpoint.snapshot, "snapshot")
    except TypeError as error:
        raise ProblemError(f"this fit cannot be saved in a checkpoint: {error}") from None
    facts = {"format": FORMAT, "version": VERSION, "facts": dict(checkpoint.facts)}
    content = codec.write({**facts, INFO: info, "snapshot": snapshot}, encoder.arrays)
    with atomic_write(path) as file:
        file.write(content)


def load(path: FilePath, adapt: Callable[[DataInfo, Mapping[str, Any]], DataInfo] | None = None) -> Checkpoint:
    """Read a checkpoint written by `save`.

    Parameters
    ----------
    path : str or path-like
    adapt : callable, optional
        Is given ``info`` and ``facts``; returns what the solver is to know about the data instead, or raises.

    Raises
    ------
    DataError
        There is no such file, or it is damaged, no checkpoint, or of another version: names the file.
    """
    name = os.fspath(path)
    document, arrays = _read(name)
    with _errors_naming(name):
        facts = dict(document["facts"])
        info = _instance(DataInfo, Decoder(arrays).decode(document[INFO]))
    if adapt is not None:
        info = adapt(info, facts)
    with _errors_naming(name):
        snapshot = _instance(Snapshot, Decoder(arrays, {INFO: info}).decode(document["snapshot"]))
    return Checkpoint(snapshot, info, facts)


def _read(name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        content = Path(name).read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no checkpoint {name!r}") from None
    except OSError as error:
        raise DataError(f"the checkpoint {name!r} cannot be read: {error.strerror}") from error
    try:
        document, arrays = codec.read(content)
        mine, version = document["format"] == FORMAT, document["version"]
    except Exception:  # the zip, npy and JSON readers raise whatever they stumble over
        raise DataError(f"{name!r} is no checkpoint, or a damaged one: start anew, or give another file") from None
    if not mine:
        raise DataError(f"{name!r} is no checkpoint of a fit")
    if version != VERSION:
        raise DataError(f"the checkpoint {name!r} has format {version!r}; this version of offbeat reads {VERSION}")
    return document, arrays


@contextmanager
def _errors_naming(name: str) -> Iterator[None]:
    """Turn errors of a damaged or foreign document into one `DataError` that names the file."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = "damaged, or of another version of offbeat"
        raise DataError(f"the checkpoint {name!r} is {what} ({error}): start anew") from error


def _instance(cls: type, value: Any) -> Any:
    if not isinstance(value, cls):
        raise TypeError(f"a {type(value).__name__} stands where a {cls.__name__} should be")
    return value


def facts_of(
    problem: Problem, solver: Solver, info: DataInfo, options: Options, dataset: Data, shards: Sequence[Any]
) -> dict[str, Any]:
    """Return what two fits must have in common for one to continue the other, and the rows of each shard.

    Contributions are used again only for shards of the same rows.

    Parameters
    ----------
    problem : Problem
    solver : Solver
    info : DataInfo
    options : Options
    dataset : Data
    shards : sequence of Shard
    """
    return {
        "number of rows": info.n_rows,
        "number of columns": info.n_columns,
        "loss": repr(problem.loss),
        "penalty": repr(problem.penalty),
        "intercept": options.fit_intercept,
        "standardised": options.standardize,
        **dataset.fingerprint(),
        "solver": repr(solver),
        "barrier": info.staleness == 0,
        SHARDS: [[list(span) for span in shard.spans or ((shard.start, shard.stop),)] for shard in shards],
    }


def resume(path: FilePath, facts: Mapping[str, Any], info: DataInfo) -> tuple[DataInfo, Snapshot]:
    """Return what a fit continues from: what its solver is to know about the data, and the snapshot.

    Centre and scale of the columns are those of the fit that was saved: its state is in their units.

    Parameters
    ----------
    path : str or path-like
    facts : mapping
        Of the fit that continues: see `facts_of`.
    info : DataInfo
        Of the fit that continues; its tolerance and how it is run count.

    Raises
    ------
    DataError
        The checkpoint cannot be read, or is of another fit: names the difference.
    """
    name = os.fspath(path)

    def adapt(old: DataInfo, there: Mapping[str, Any]) -> DataInfo:
        _compare(name, there, facts)
        if not np.array_equal(old.penalty.weight, info.penalty.weight):
            raise DataError(f"the checkpoint {name!r} is of another fit: the weights of the penalty differ")
        # Files of earlier versions have no checksum of the features; other shards take another sample of rows.
        if FEATURES not in there and old.n_shards == info.n_shards and not _same_columns(old, info):
            raise DataError(f"the checkpoint {name!r} is of another fit: means or scales of the columns differ")
        reference = old.reference._replace(tolerance=info.reference.tolerance)
        return replace(old, reference=reference, **{run: getattr(info, run) for run in RUNS})

    old = load(path, adapt)
    return _on_shards(old, _with_tolerance(old.snapshot, info.reference.tolerance), facts[SHARDS])


def _on_shards(old: Checkpoint, snapshot: Snapshot, shards: Sequence[Any]) -> tuple[DataInfo, Snapshot]:
    """Return what the solver is told and the snapshot, on shards with these rows."""
    there = old.facts.get(SHARDS, shards if len(snapshot.contributions) == len(shards) else [])
    number = {str(spans): i for i, spans in enumerate(there)}
    found = [number.get(str(spans)) for spans in shards]
    if len(there) == len(shards) and None not in found:  # workers are new, so their lives count from zero
        slots = [snapshot.contributions[i] for i in found if i is not None]
        moved = [m if m is None else m._replace(incarnation=0, shard=i) for i, m in enumerate(slots)]
        return old.info, replace(snapshot, contributions=tuple(moved))
    state = snapshot.state
    if old.info.staleness == 0 and state.candidate is None and state.progress is not None:
        return old.info, replace(snapshot, contributions=())  # every shard is about to evaluate the query anyway
    return _info_from_best_point(old.info, snapshot), replace(snapshot, query=None, contributions=())


def _info_from_best_point(info: DataInfo, snapshot: Snapshot) -> DataInfo:
    """Return what a solver is told that begins anew, on other shards, at the best point of the fit."""
    point = snapshot.best or snapshot.state.candidate
    return info if point is None else replace(info, start=(point.coef, point.intercept), warm=True)


def _compare(name: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise `DataError` unless all facts are the same, as far as both are known."""
    weighed = WEIGHT_SUMS in there
    same_weights = weighed and np.allclose(there[WEIGHT_SUMS], here[WEIGHT_SUMS], rtol=SUM_ROUNDING, atol=0.0)
    for what, wanted in here.items():
        found = there.get(what)
        if found == wanted or what in (SHARDS, WEIGHT_SUMS) or (what == "weight" and same_weights):
            continue
        if what == FEATURES and found is None:
            continue
        shown = f"{what} {_shown(found)} there, {_shown(wanted)} here"
        difference = f"its {CHECKED_BY_CHECKSUM[what]} are others" if what in CHECKED_BY_CHECKSUM else shown
        raise DataError(f"the checkpoint {name!r} is of another fit: {difference}")


def _same_columns(a: DataInfo, b: DataInfo) -> bool:
    """Whether centres and scales are the same but for the order of summing."""
    centers = np.abs(a.center - b.center) <= SAMPLE_ROUNDING * (np.abs(a.center) + a.scale)
    return bool(np.all(centers)) and np.allclose(a.scale, b.scale, rtol=SAMPLE_ROUNDING, atol=0.0)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value!s:.200}"


def _with_tolerance(snapshot: Snapshot, tolerance: float) -> Snapshot:
    """Return the snapshot with its best point judged by another tolerance."""
    if snapshot.best is None:
        return snapshot
    certificate = replace(snapshot.best.certificate, tolerance=tolerance)
    return replace(snapshot, best=replace(snapshot.best, certificate=certificate))


def check_writable(path: FilePath) -> None:
    """Raise `DataError` if a checkpoint cannot be written there. It is called before the fit begins."""
    target = Path(path)
    if target.is_dir():
        raise DataError(f"the checkpoint {os.fspath(path)!r} is a folder: give the name of a file")
    if not target.absolute().parent.is_dir():
        raise DataError(f"the folder of the checkpoint {os.fspath(path)!r} does not exist")
    if not os.access(target.absolute().parent, os.W_OK | os.X_OK):
        raise DataError(f"the folder of the checkpoint {os.fspath(path)!r} cannot be written")


def keeper(path: FilePath, info: DataInfo, facts: Mapping[str, Any]) -> Callable[[Snapshot], None]:
    """Return a function that saves snapshots of a fit. Where it cannot, it warns, and the fit goes on.

    Parameters
    ----------
    path : str or path-like
    info : DataInfo
    facts : mapping
        See `facts_of`.
    """

    def keep(snapshot: Snapshot) -> None:
        try:
            save(Checkpoint(snapshot, info, facts), path)
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"the checkpoint {os.fspath(path)!r} could not be written ({reason}); the fit goes on"
            warnings.warn(message, stacklevel=2)

    return keep


def continuing(
    problem: Problem, solver: Solver, info: DataInfo, options: Options, dataset: Data, shards: Sequence[Any],
    old: FilePath | None, new: FilePath | None,
) -> tuple[DataInfo, Snapshot | None, Callable[[Any], Any] | None]:  # fmt: skip
    """Return what the solver is to know, what the fit continues from, and what keeps its snapshots.

    Parameters
    ----------
    problem, solver, info, options, dataset, shards
        Of the fit.
    old, new : path, optional
        Checkpoint to continue from, and the one to keep.
    """
    if old is None and new is None:
        return info, None, None
    snapshot, keep, facts = None, None, facts_of(problem, solver, info, options, dataset, shards)
    if old is not None:
        info, snapshot = resume(old, facts, info)
    if new is not None:
        keep = keeper(new, info, facts)
    return info, snapshot, keep
