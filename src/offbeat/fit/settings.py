"""`Settings`: how a fit is run; `FitArguments`: all that a fit is told besides its problem and its data."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal

from offbeat.data.dataset import Data
from offbeat.engines.base import Engine
from offbeat.errors import ProblemError
from offbeat.fit import checkpoint as checkpoints
from offbeat.fit.inspection import Options
from offbeat.fit.solution import Solution, large_offset
from offbeat.losses.questions import link_name
from offbeat.problem import Problem
from offbeat.sideways.messages import Row
from offbeat.sideways.protocol import Progress, Solver
from offbeat.sideways.schedule import Stealing
from offbeat.sideways.topologies import Hub, Topology


@dataclass(frozen=True)
class Settings:
    """How a fit is run: which workers wait for which, who exchanges contributions with whom, and what may move.

    By default all workers wait for each other at each update, so that a fit is reproducible.

    Parameters
    ----------
    staleness : float, default=0.0
        How many steps a shard may be ahead of the slowest one: 0 waits for all at each update, ``inf`` for none.
        Solvers that need rounds take 0 only.
    topology : Hub, Broadcast, Tree or Gossip, default=Hub()
        Who exchanges contributions with whom: see `offbeat.topology`.
    stealing : Stealing, "auto" or None, default="auto"
        Whether idle workers take over the shards of slow ones; "auto" does so in asynchronous fits with a hub.
    concurrency : float, default=inf
        Most steps under way at once, from 1; 1 visits the shards one after another.

    Raises
    ------
    ProblemError
        ``staleness`` or ``concurrency`` is no number in its range; when a fit begins: a value has no meaning for the
        solver that is chosen.

    Examples
    --------
    >>> import math
    >>> import offbeat
    >>> from offbeat import engines, solvers
    >>> from offbeat.datasets import make_regression
    >>> from offbeat.linear_model import Ridge
    >>> X, y = make_regression(200, 3, seed=0)
    >>> asynchronous = offbeat.Settings(staleness=math.inf)
    >>> Ridge(solver=solvers.ADMM(), engine=engines.Threads(2), settings=asynchronous).fit(X, y).status_
    'converged'
    """

    staleness: float = 0.0
    topology: Topology = field(default_factory=Hub)
    stealing: Stealing | Literal["auto"] | None = "auto"
    concurrency: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what is no number in its range."""
        for name, least in (("staleness", 0), ("concurrency", 1)):
            value: Any = getattr(self, name)
            if not (isinstance(value, Real) and float(value) >= least):
                raise ProblemError(f"{name} is {value!r}; it must be a number of at least {least}, or inf")


def settings_of(
    given: Settings | None, staleness: float = 0.0, topology: Topology | None = None,
    stealing: Stealing | Literal["auto"] | None = "auto", concurrency: float = math.inf,
) -> Settings:  # fmt: skip
    """Return the settings of a fit that was given an object, or single values, or neither.

    Raises
    ------
    ProblemError
        It was given both.

    Examples
    --------
    >>> settings_of(None, 1.0, None, "auto", 2.0)
    Settings(staleness=1.0, topology=Hub(batch=None), stealing='auto', concurrency=2.0)
    """
    single = Settings(staleness, topology or Hub(), stealing, concurrency)
    if given is None:
        return single
    if not isinstance(given, Settings):
        raise ProblemError(f"settings is {given!r}; give an object of offbeat.Settings")
    if single != Settings():
        raise ProblemError("staleness, topology, stealing and concurrency are part of settings: give settings only")
    return given


@dataclass(frozen=True)
class FitArguments:
    """Everything about a fit but its problem and its data: what `solve` collects from its arguments."""

    solver: Solver | Literal["auto"] = "auto"
    engine: Engine | Literal["auto"] = "auto"
    settings: Settings = field(default_factory=Settings)
    max_iter: float = 1000.0
    time_limit: float | None = None
    callback: Callable[[Progress, Row], Any] | None = None
    random_state: int | None = None
    progress: bool | None = None
    watch: Callable[[Any, float], Any] | None = None
    checkpoint: checkpoints.FilePath | None = None
    checkpoint_every: float = 30.0
    resume: checkpoints.FilePath | None = None

    @property
    def limit(self) -> float:
        """Seconds that a fit may take."""
        return math.inf if self.time_limit is None else self.time_limit


def check(problem: Problem, dataset: Data, options: Options, arguments: FitArguments) -> None:
    """Check what was asked for, before anything is done.

    Raises
    ------
    TargetError, ProblemError
        The targets do not fit the loss; a setting has no meaning.
    """
    dataset.check_target(problem.loss)
    _check_offset(problem, dataset)
    if not options.tol >= 0.0:
        raise ProblemError(f"tol is {options.tol}; it must be a number of at least 0")
    if arguments.checkpoint is not None:
        checkpoints.check_writable(arguments.checkpoint)
        if not arguments.checkpoint_every >= 0.0:
            raise ProblemError(f"checkpoint_every is {arguments.checkpoint_every}; give seconds, at least 0")
    settings = arguments.settings
    wanted = arguments.checkpoint is not None or arguments.resume is not None
    if wanted and not isinstance(settings.topology, Hub):
        raise ProblemError(f"checkpoints need topology=Hub(): in a {settings.topology.name}, nobody knows all of it")
    check_limits(arguments.max_iter, arguments.time_limit)


def check_limits(max_iter: Any, time_limit: Any) -> None:
    """Raise `ProblemError` unless a fit can have these limits: numbers of passes and seconds, from 0.

    Examples
    --------
    >>> check_limits(10, None)
    """
    if not _at_least_zero(max_iter):
        raise ProblemError(f"max_iter is {max_iter!r}; it must be a number of passes, at least 0")
    if time_limit is not None and not _at_least_zero(time_limit):
        raise ProblemError(f"time_limit is {time_limit!r}; it must be a number of seconds, at least 0")


def _check_offset(problem: Problem, dataset: Data) -> None:
    """Warn of an offset that is likely to be what its logarithm should be."""
    if link_name(problem.loss) == "log" and (message := large_offset(dataset)):
        warnings.warn(message, UserWarning, stacklevel=4)


def check_on_interrupt(wanted: Any) -> None:
    """Raise `ProblemError` unless this is something that can follow on Ctrl-C.

    Examples
    --------
    >>> check_on_interrupt("raise")
    """
    if wanted not in ("raise", "return"):
        raise ProblemError(f"on_interrupt is {wanted!r}; give 'raise' or 'return'")


def _at_least_zero(value: Any) -> bool:
    try:
        return bool(float(value) >= 0.0)
    except (TypeError, ValueError):
        return False


class Allowance:
    """What a fit that is made of several fits may still take: passes over the data and seconds.

    Parameters
    ----------
    max_iter : float
        Passes, of all fits together.
    time_limit : float, optional
        Seconds, of all fits together; of the virtual clock where the engine has one.
    interrupted : callable
        Whether Ctrl-C was pressed.
    started : float, optional
        When the seconds began, as by `time.perf_counter`.

    Raises
    ------
    ProblemError
        A limit is no number from 0.

    Examples
    --------
    >>> Allowance(30.0, None).part(3)
    (10.0, None)
    """

    def __init__(
        self, max_iter: float, time_limit: float | None, interrupted: Callable[[], bool] = lambda: False,
        started: float | None = None,
    ) -> None:  # fmt: skip
        check_limits(max_iter, time_limit)
        self.passes = 0.0
        self._interrupted = interrupted
        self._most, self._limit = float(max_iter), time_limit
        self._started = time.perf_counter() if started is None else started
        self._virtual, self._broken = 0.0, False

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._virtual or time.perf_counter() - self._started

    def spend(self, solution: Solution) -> None:
        """Take note of what a fit took."""
        self.passes += solution.passes
        self._broken |= solution.status == "interrupted"
        facts = solution.trace.metadata
        self._virtual += float(facts["seconds"]) if facts.get("clock") == "virtual" else 0.0

    def part(self, count: float) -> tuple[float, float | None]:
        """Return an even share of the passes and seconds that are left, for one of so many fits."""
        return self.left / count, None if self._limit is None else max(self._limit - self.seconds, 0.0) / count

    @property
    def left(self) -> float:
        """Passes that are left."""
        return max(self._most - self.passes, 0.0)

    @property
    def over(self) -> str | None:
        """Why no other fit may begin, None if one may."""
        if self._broken or self._interrupted():
            return "interrupted"
        if self._limit is not None and self.seconds >= self._limit:
            return "time_limit"
        return "max_iter" if self.passes >= self._most else None
