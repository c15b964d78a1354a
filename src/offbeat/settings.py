"""What a fit is told besides its problem and its data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from offbeat import checkpoint as checkpoints
from offbeat.data.dataset import Data
from offbeat.engines.base import Engine
from offbeat.errors import ProblemError
from offbeat.inspection import Options
from offbeat.problem import Problem
from offbeat.sideways.messages import Row
from offbeat.sideways.protocol import Progress, Solver
from offbeat.sideways.schedule import Stealing
from offbeat.sideways.topologies import Hub, Topology


@dataclass(frozen=True)
class Settings:
    """Everything about a fit but the data: what `solve` collects from its arguments."""

    solver: Solver | Literal["auto"] = "auto"
    engine: Engine | Literal["auto"] = "auto"
    staleness: float = 0.0
    topology: Topology = field(default_factory=Hub)
    max_iter: float = 1000.0
    time_limit: float | None = None
    callback: Callable[[Progress, Row], Any] | None = None
    random_state: int | None = None
    progress: bool | None = None
    stealing: Stealing | Literal["auto"] | None = "auto"
    concurrency: float = math.inf
    watch: Callable[[Any, float], Any] | None = None
    checkpoint: checkpoints.FilePath | None = None
    checkpoint_every: float = 30.0
    resume: checkpoints.FilePath | None = None

    @property
    def limit(self) -> float:
        """Seconds that a fit may take."""
        return math.inf if self.time_limit is None else self.time_limit


def check(problem: Problem, dataset: Data, options: Options, settings: Settings) -> None:
    """Check what was asked for, before anything is done.

    Raises
    ------
    TargetError, ProblemError
        The targets do not fit the loss; a setting has no meaning.
    """
    dataset.check_target(problem.loss)
    if not options.tol >= 0.0:
        raise ProblemError(f"tol is {options.tol}; it must be a number of at least 0")
    if settings.checkpoint is not None:
        checkpoints.check_writable(settings.checkpoint)
        if not settings.checkpoint_every >= 0.0:
            raise ProblemError(f"checkpoint_every is {settings.checkpoint_every}; give seconds, at least 0")
    wanted = settings.checkpoint is not None or settings.resume is not None
    if wanted and not isinstance(settings.topology, Hub):
        raise ProblemError(f"checkpoints need topology=Hub(): in a {settings.topology.name}, nobody knows all of it")
    if not settings.concurrency >= 1:
        raise ProblemError(f"concurrency is {settings.concurrency}; it must be a number of at least 1, or inf")
    if settings.time_limit is not None and not settings.time_limit >= 0.0:
        raise ProblemError(f"time_limit is {settings.time_limit}; it must be a number of seconds, at least 0")
