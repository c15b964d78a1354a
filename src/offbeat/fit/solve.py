"""`solve`: one problem, one data set, one certificate."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np

from offbeat.data.dataset import Data
from offbeat.data.shards import Cancelled, Shard
from offbeat.diagnostics.progress import Progress as Display
from offbeat.diagnostics.trace import Trace
from offbeat.engines.base import Engine, Listener, Steps
from offbeat.engines.interrupt import interruptible, raise_if
from offbeat.engines.placing import data_of
from offbeat.errors import ConvergenceWarning, ProblemError
from offbeat.fit import checkpoint as checkpoints
from offbeat.fit import choice
from offbeat.fit.inspection import Options, inspect
from offbeat.fit.settings import FitArguments, Settings, check, check_on_interrupt, settings_of
from offbeat.fit.solution import Solution, shortfall, solution_of
from offbeat.problem import Floats, Problem
from offbeat.sideways.loop import Best, Outcome, Policy, Snapshot, hub_loop
from offbeat.sideways.messages import Row
from offbeat.sideways.peer_program import peer_program
from offbeat.sideways.protocol import DataInfo, Progress, Solver, internal_to_original
from offbeat.sideways.schedule import Stealing
from offbeat.sideways.topologies import Hub, Peers, Topology


def solve(
    problem: Problem,
    X: Any,
    y: Any = None,
    *,
    solver: Solver | Literal["auto"] = "auto",
    engine: Engine | Literal["auto"] = "auto",
    staleness: float = 0.0,
    topology: Topology | None = None,
    stealing: Stealing | Literal["auto"] | None = "auto",
    concurrency: float = math.inf,
    settings: Settings | None = None,
    tol: float = 1e-6,
    max_iter: float = 1000.0,
    time_limit: float | None = None,
    callback: Callable[[Progress, Row], Any] | None = None,
    sample_weight: Any = None,
    offset: Any = None,
    fit_intercept: bool = True,
    standardize: bool = False,
    memory_budget: int | str | None = None,
    start: tuple[Any, Any] | None = None,
    random_state: int | None = None,
    progress: bool | None = None,
    checkpoint: checkpoints.FilePath | None = None,
    checkpoint_every: float = 30.0,
    resume: checkpoints.FilePath | None = None,
    on_interrupt: Literal["raise", "return"] = "raise",
) -> Solution:
    """Minimise ``mean_i weight_i * loss(x_i'w + b + offset_i, y_i) + penalty(w)`` to a certified relative gap.

    Parameters
    ----------
    problem : Problem
        Loss and penalty.
    X : array, sparse matrix, table, path or Dask collection, shape (n_rows, n_columns)
        NumPy, SciPy, pandas, polars, pyarrow; ``.npy``, Parquet (file or folder), CSV, libsvm; Dask arrays, data frames
        and lists of delayed arrays, which stay on their cluster. Not copied.
    y : array of shape (n_rows,), or column name
        Targets; in {0, 1} for logistic and squared hinge, class indices for multinomial.
    solver : Solver or "auto"
    engine : Engine or "auto"
        "auto" takes all cores for large data and the calling thread for small.
    staleness : float
        How many steps a shard may be ahead of the slowest: 0 waits for every shard at each update, ``inf`` for none.
    topology : Hub, Broadcast, Tree or Gossip, optional
        Who exchanges contributions with whom: see `offbeat.topology`.
    stealing : Stealing, "auto" or None
        Whether idle workers take over the shards of slow ones; "auto" does so in asynchronous fits with a hub.
    concurrency : float
        Most steps under way at once; 1 visits the shards one after another.
    settings : Settings, optional
        The four above in one object, in place of them.
    tol : float
        Relative duality gap: gap over the objective at ``w = 0``.
    max_iter : float
        Passes over the data.
    time_limit : float, optional
        Seconds, from when the data is open.
    callback : callable, optional
        ``callback(progress, row)`` after each certified update; true stops the fit.
    sample_weight, offset : array of shape (n_rows,), or column name, optional
    fit_intercept : bool
        The intercept is never penalised.
    standardize : bool
        Penalise the coefficients of columns scaled to unit variance; nothing is densified, and coefficients are
        returned in the columns' own units.
    memory_budget : int or str, optional
        Bytes, or "1GiB": bound on what reading data from disk holds at once.
    start : tuple, optional
        Coefficients and intercept to start from, finite; without ``fit_intercept`` the intercept does not count.
    random_state : int, optional
        Seed of solvers that draw.
    progress : bool, optional
        Show progress: by default after two seconds on a terminal.
    checkpoint : str or path-like, optional
        File to keep the state of the fit in, replaced every ``checkpoint_every`` seconds and at the end. Hub only.
    checkpoint_every : float
        Seconds.
    resume : str or path-like, optional
        Checkpoint to continue from; data, problem and solver must be those of then. ``tol``, limits, the engine and
        how rows are cut may be others: where a method keeps something for each shard, and shards have other rows, it
        begins anew at the best point, and counts passes from there.
    on_interrupt : "raise" or "return"
        What follows on Ctrl-C, which ends the fit at its next step: `KeyboardInterrupt`, after the checkpoint is
        written, or the best solution so far, with the status "interrupted". A second Ctrl-C raises at once.

    Returns
    -------
    solution : Solution

    Raises
    ------
    DataError, TargetError, ProblemError
        All are ``ValueError``: say what is wrong, where, and what to do.
    KeyboardInterrupt
        Ctrl-C was pressed.

    Warns
    -----
    ConvergenceWarning
        When the fit stopped before ``tol``, with the gap it reached.

    Examples
    --------
    >>> import offbeat
    >>> from offbeat import Problem, losses, penalties
    >>> from offbeat.datasets import make_regression
    >>> X, y = make_regression(200, 3, seed=0)
    >>> offbeat.solve(Problem(losses.Squared(), penalties.L2(1e-3)), X, y).certificate.satisfied
    True
    """
    check_on_interrupt(on_interrupt)
    how = settings_of(settings, staleness, topology, stealing, concurrency)
    arguments = FitArguments(
        solver, engine, how, max_iter, time_limit, callback, random_state, progress,
        checkpoint=checkpoint, checkpoint_every=checkpoint_every, resume=resume,
    )  # fmt: skip
    with _opened(X, y, sample_weight, offset, memory_budget, engine) as dataset, interruptible() as interrupted:
        options = Options(fit_intercept, standardize, tol, _checked_start(start, problem, dataset))
        solution = fit(problem, dataset, options, arguments)
    return _unless_interrupted(solution, interrupted, on_interrupt)


@contextmanager
def _opened(
    X: Any, y: Any, sample_weight: Any, offset: Any, memory_budget: int | str | None, engine: Engine | Literal["auto"]
) -> Iterator[Data]:
    """Open the data of a fit, and release it at the end."""
    dataset = data_of(X, y, sample_weight=sample_weight, offset=offset, memory_budget=memory_budget, engine=engine)
    try:
        yield dataset
    finally:
        dataset.release()


def _checked_start(start: tuple[Any, Any] | None, problem: Problem, dataset: Data) -> tuple[Floats, Floats] | None:
    """Return the coefficients and intercepts to start from as arrays.

    Raises
    ------
    ProblemError
        Their number is not that of the data, or a value is not finite.
    """
    if start is None:
        return None
    coef, intercept = np.asarray(start[0], np.float64), np.atleast_1d(np.asarray(start[1], np.float64))
    size = dataset.n_columns * problem.n_outputs
    if coef.size != size or intercept.size != problem.n_outputs:
        raise ProblemError(
            f"start has {coef.size} coefficients and {intercept.size} intercepts; the data needs {size} and "
            f"{problem.n_outputs}"
        )
    if not (np.all(np.isfinite(coef)) and np.all(np.isfinite(intercept))):
        raise ProblemError("start has values that are not finite: give the coefficients of a model that was fitted")
    return coef, intercept


def _unless_interrupted(
    solution: Solution, interrupted: threading.Event, on_interrupt: Literal["raise", "return"]
) -> Solution:
    """Return the solution; after Ctrl-C raise `KeyboardInterrupt`, or warn, as the user asked."""
    if on_interrupt == "raise":
        raise_if(interrupted, solution)
    if solution.status == "interrupted":
        message = shortfall(solution.certificate, solution.status, solution.passes)
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return solution


def fit(problem: Problem, dataset: Data, options: Options, arguments: FitArguments) -> Solution:
    """Solve a problem on an open data set: what `solve`, the estimators and the commands share.

    Ctrl-C ends the fit with the best solution so far, without a warning. The caller decides whether to raise.

    Parameters
    ----------
    problem : Problem
    dataset : Data
    options : Options
    arguments : FitArguments

    Returns
    -------
    solution : Solution
    """
    started = time.perf_counter()
    check(problem, dataset, options, arguments)
    settings = arguments.settings
    solver, engine, stealing, reason = _choose(problem, dataset, arguments)
    trace = Trace(metadata=_about(dataset, solver, engine, reason))
    with ExitStack() as stack:
        interrupted = stack.enter_context(interruptible())
        display = stack.enter_context(Display(solver.name, options.tol, dataset.n_rows, verbose=arguments.progress))
        cancelled = _Cancelled(interrupted, started, math.inf if engine.virtual else arguments.limit)
        shards = stack.enter_context(_placed(engine, dataset.shards(_count(solver, engine, stealing), cancelled)))
        info = _inspected(problem, dataset, shards, engine, options)
        cancelled.timed = True
        at_once = int(min(engine.n_workers, len(shards), settings.concurrency))
        info = replace(info, at_once=at_once, staleness=settings.staleness, seed=arguments.random_state or 0)
        display.scale = info.reference.objective
        files = arguments.resume, arguments.checkpoint
        info, snapshot, keep = checkpoints.continuing(problem, solver, info, options, dataset, shards, *files)
        callback = _in_original(arguments.callback, info, interrupted)
        policy = _policy(arguments, info, engine, stealing, kept=keep is not None, callback=callback)
        trace.metadata.update({} if snapshot is None else {"resumed at": f"update {snapshot.clock}"})

        def record(row: Row) -> None:
            trace.append(row)
            display.update(row)

        about = {**trace.metadata, "tolerance": str(options.tol), "gap_scale": str(info.reference.objective)}
        told = (record, keep or Listener.save, trace.metadata.update, cancelled)
        listener = Listener(*told, about=about, started=started)
        with np.errstate(over="ignore", invalid="ignore"):  # trial points may overflow: solvers check what they get
            outcome = _run(engine, solver, problem, info, policy, shards, listener, snapshot)
        if interrupted.is_set() and outcome.status == "time_limit":
            outcome = replace(outcome, status="interrupted")
    return solution_of(problem, dataset, info, outcome, trace, time.perf_counter() - started)


def _choose(problem: Problem, dataset: Data, arguments: FitArguments) -> tuple[Solver, Engine, Stealing | None, str]:
    """Return solver, engine and stealing, each chosen where it was left to us, and why that solver.

    Raises
    ------
    ProblemError
        The solver cannot solve the problem, or not with this staleness.
    """
    settings = arguments.settings
    solver, reason = choice.solver(problem, dataset, arguments.solver, staleness=settings.staleness)
    solver.check(problem)
    choice.check_staleness(solver, settings.staleness)
    engine = choice.engine(dataset, arguments.engine, problem.n_outputs)
    stealing = choice.stealing(settings.stealing, settings.staleness, settings.topology, engine, dataset)
    return solver, engine, stealing, reason


def _about(dataset: Data, solver: Solver, engine: Engine, reason: str) -> dict[str, str]:
    """Return what a trace tells of its fit."""
    about = {"solver": solver.name, "reason": reason, "engine": engine.name, "workers": str(engine.n_workers)}
    if engine.virtual:
        about["clock"] = "virtual"
    return {**about, "rows": str(dataset.n_rows), "columns": str(dataset.n_columns)}


def _count(solver: Solver, engine: Engine, stealing: Stealing | None) -> int:
    """Return into how many shards the rows are cut."""
    if getattr(solver, "whole", False):  # the method needs all rows in one shard
        return 1
    return engine.n_workers * (stealing.shards_per_worker if stealing else 1)


class _Cancelled:
    """Says whether steps are to end: after Ctrl-C, and after the time limit once ``timed`` is true."""

    def __init__(self, interrupted: threading.Event, started: float, limit: float) -> None:
        self._interrupted, self._started, self._limit, self.timed = interrupted, started, limit, False

    def __call__(self) -> bool:
        late = self.timed and time.perf_counter() - self._started >= self._limit
        return late or self._interrupted.is_set()


@contextmanager
def _placed(engine: Engine, shards: list[Shard]) -> Iterator[list[Shard]]:
    """Place shards where the engine runs steps, and release them at the end; shards without rows are left out."""
    placed = engine.place([shard for shard in shards if shard.n_rows])
    try:
        yield placed
    finally:
        engine.release(placed)


def _inspected(problem: Problem, dataset: Data, shards: list[Shard], engine: Engine, options: Options) -> DataInfo:
    """Inspect the data; after Ctrl-C raise `KeyboardInterrupt`, as there is no point to keep yet."""
    try:
        return inspect(problem, dataset, shards, engine, options)
    except Cancelled:
        raise KeyboardInterrupt from None


def _in_original(callback: Callable[[Progress, Row], Any] | None, info: DataInfo, interrupted: threading.Event) -> Any:
    """Return a callback that is given coefficients in the units of the columns.

    A `KeyboardInterrupt` that the callback raises counts as a Ctrl-C: the first ends the fit at its next step, the
    second at once.
    """
    if callback is None:
        return None

    def call(progress: Progress, row: Row) -> Any:
        coef, intercept = internal_to_original(info, progress.coef, progress.intercept)
        try:
            return callback(Progress(coef, intercept, progress.certificate, progress.primal_residual), row)
        except KeyboardInterrupt:
            if interrupted.is_set():
                raise
            interrupted.set()
            return False

    return call


def _policy(
    arguments: FitArguments, info: DataInfo, engine: Engine, stealing: Stealing | None, *, kept: bool, callback: Any,
) -> Policy:  # fmt: skip
    """Return when shards run and when the fit stops."""
    settings = arguments.settings
    return Policy(
        info.n_shards, min(engine.n_workers, info.n_shards), settings.staleness, settings.topology,
        max_passes=arguments.max_iter, time_limit=arguments.limit, callback=callback,
        concurrency=settings.concurrency, stealing=stealing, retry=engine.retry, usual=engine.usual, depth=engine.depth,
        save_every=arguments.checkpoint_every if kept else math.inf, watch=arguments.watch,
    )  # fmt: skip


def _run(
    engine: Engine, solver: Solver, problem: Problem, info: DataInfo, policy: Policy, shards: list[Shard],
    listener: Listener, snapshot: Snapshot | None,
) -> Outcome:  # fmt: skip
    """Run the hub loop, or the peer loop where the topology has no hub."""
    if isinstance(policy.topology, Hub):
        return engine.drive(hub_loop(solver, problem, info, policy, snapshot), Steps(solver, problem, shards), listener)
    best, peers = Best(), cast(Peers, policy.topology)
    outcome = engine.gang(peer_program(solver, problem, info, policy, best), shards, peers, listener)[0]
    if outcome is not None:
        return cast(Outcome, outcome)
    late = not engine.virtual and time.perf_counter() - listener.started >= policy.time_limit
    return Outcome(best.progress, "time_limit" if late else "interrupted", best.passes, best.updates)
