"""Options that several commands have, and the requests that they are collected in.

The module is light to import, so that ``--help`` loads no code of the data layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from offbeat.data.files.read_options import ReadOptions

DEFAULT_ALPHA = 1e-4
DATA = "Data"
MODEL = "Model"
COLUMNS = "Scale and intercept"
STOPPING = "Solver and stopping"
TEXT = "CSV and libsvm files"
OUTPUT = "Output"


class LossName(StrEnum):
    """Losses by their names on the command line."""

    SQUARED = "squared"
    LOGISTIC = "logistic"
    POISSON = "poisson"
    GAMMA = "gamma"
    HUBER = "huber"
    HINGE = "hinge"
    SQUARED_HINGE = "squared-hinge"
    EPSILON_INSENSITIVE = "epsilon-insensitive"
    SQUARED_EPSILON_INSENSITIVE = "squared-epsilon-insensitive"
    MULTINOMIAL = "multinomial"

    @property
    def classifier(self) -> bool:
        """Whether targets are classes."""
        return self in (LossName.LOGISTIC, LossName.HINGE, LossName.SQUARED_HINGE, LossName.MULTINOMIAL)

    @property
    def tube(self) -> bool:
        """Whether there is no loss within a tube about the target."""
        return self in (LossName.EPSILON_INSENSITIVE, LossName.SQUARED_EPSILON_INSENSITIVE)


class PenaltyName(StrEnum):
    """Penalties by their names on the command line."""

    NONE = "none"
    L1 = "l1"
    L2 = "l2"
    ELASTIC_NET = "elastic-net"
    NONNEGATIVE = "nonnegative"


def option(
    help_: str, panel: str, metavar: str | None = None, default: str | bool = True, names: tuple[str, ...] = ()
) -> typer.models.OptionInfo:
    """Return an option of a command.

    Parameters
    ----------
    help_ : str
        What it does.
    panel : str
        Heading that it stands under.
    metavar : str, optional
        What its value is called; None for a switch.
    default : str or bool
        What is shown as its default; False for nothing.
    names : tuple of str
        Its spellings; by default one, after the parameter.
    """
    made: typer.models.OptionInfo = typer.Option(
        *names, help=help_, rich_help_panel=panel, metavar=metavar, show_default=default
    )
    return made


Loss = Annotated[LossName, option(f"{', '.join(LossName)}.", MODEL, "LOSS")]
Penalty = Annotated[PenaltyName, option(f"{', '.join(PenaltyName)}.", MODEL, "PENALTY")]
Alpha = Annotated[
    float | None,
    option("Strength of the penalty, beside the mean of the losses.", MODEL, "NUMBER", "1e-4; nonnegative: 0"),
]
L1Ratio = Annotated[float | None, option("Share of l1 in the elastic net.", MODEL, "0..1", "0.5")]
Delta = Annotated[
    float | None,
    option("Residual, in units of the target, beyond which the huber loss is linear.", MODEL, "NUMBER", "1.35"),
]
Epsilon = Annotated[
    float | None,
    option(
        "Residual, in units of the target, up to which the epsilon-insensitive losses are zero.", MODEL, "NUMBER", "0.1"
    ),
]
Standardize = Annotated[bool, option("Penalise columns scaled to unit variance.", COLUMNS)]
Intercept = Annotated[bool, option("Add an intercept, never penalised.", COLUMNS)]
Target = Annotated[
    str | None,
    option(
        "Column to predict; beside a .npy matrix, a .npy file. libsvm files hold their own.", DATA, "COLUMN", False,
        ("--target", "-t"),
    ),
]  # fmt: skip
Weight = Annotated[str | None, option("Weights of the rows.", DATA, "COLUMN", False)]
Offset = Annotated[
    str | None, option("Added to the linear predictor, such as the log of an exposure.", DATA, "COLUMN", False)
]
Drop = Annotated[list[str] | None, option("Not a feature; may be repeated.", DATA, "COLUMN", False)]
MemoryBudget = Annotated[
    str | None, option("Such as 1GiB: larger data is streamed from disk.", DATA, "AMOUNT", "a quarter of all")
]
Separator = Annotated[
    str | None, option("Between the fields of a CSV file, instead of a comma.", TEXT, "CHARACTER", False)
]
Decimal = Annotated[str | None, option("Before decimals, instead of a point.", TEXT, "CHARACTER", False)]
Encoding = Annotated[str | None, option("Of a CSV file, such as latin-1, if not UTF-8.", TEXT, "NAME", False)]
IndexBase = Annotated[
    int | None,
    option(
        "Index of the first column in a libsvm file, if not 0 where that occurs and 1 elsewhere.", TEXT, "0|1", False
    ),
]
Tol = Annotated[float, option("Relative duality gap at which to stop.", STOPPING, "NUMBER")]
MaxIter = Annotated[float, option("Most passes over the data.", STOPPING, "NUMBER")]
Json = Annotated[bool, option("Print one JSON object instead of text.", OUTPUT, names=("--json",))]
Quiet = Annotated[bool, option("Show no progress on standard error.", OUTPUT, names=("--quiet", "-q"))]


@dataclass(frozen=True)
class DataRequest:
    """Which data: a table or matrix, and what its columns are for.

    Parameters
    ----------
    table : Path
    target, weight, offset : str, optional
        Names of columns; for a matrix, ``.npy`` files.
    drop : tuple of str
        Columns that are no features.
    test_fraction : float
        Part of the rows to hold out.
    seed : int
        Of the choice of those rows.
    memory_budget : str, optional
    read_options : ReadOptions
        How to read a text file.
    """

    table: Path
    target: str | None = None
    weight: str | None = None
    offset: str | None = None
    drop: tuple[str, ...] = ()
    test_fraction: float = 0.0
    seed: int = 0
    memory_budget: str | None = None
    read_options: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True)
class ModelRequest:
    """Which model. ``alpha``, ``l1_ratio``, ``delta`` and ``epsilon`` are None where they were not given."""

    loss: LossName
    penalty: PenaltyName = PenaltyName.L2
    alpha: float | None = None
    l1_ratio: float | None = None
    delta: float | None = None
    epsilon: float | None = None


@dataclass(frozen=True)
class FitRequest:
    """Options of a fit that are neither data nor model; ``progress`` as in `offbeat.solve`."""

    standardize: bool = True
    intercept: bool = True
    solver: str = "auto"
    workers: int | None = None
    tol: float = 1e-6
    max_iter: float = 1000.0
    time_limit: float | None = None
    progress: bool | None = None
    checkpoint: Path | None = None
    checkpoint_every: float = 30.0
    resume: Path | None = None


def make_read_options(
    known: ReadOptions, separator: str | None, decimal: str | None, encoding: str | None, **others: Any
) -> ReadOptions:
    r"""Return how to read a text file: as known, but for the options that were given.

    Examples
    --------
    >>> make_read_options(ReadOptions(encoding="cp1252"), separator="\\t", decimal=None, encoding=None).separator
    '\t'
    """
    marks = {r"\t": "\t", "tab": "\t"}
    given = {"separator": marks.get(separator or "", separator), "decimal": decimal, "encoding": encoding, **others}
    return replace(known, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class SimulationRequest:
    """Options of a simulation as they were given: texts that `offbeat.commands.cluster_options` understands.

    Parameters
    ----------
    straggler, fault : tuple of str
    compute, latency, bandwidth : str
    calibrate : Path, optional
        Trace to take ``compute`` from.
    seed : int
    staleness : float
        Of asynchronous variants.
    topology : str
    shards_per_worker : int
        Where shards can be stolen.
    modes, vary, generate : str, optional
    """

    straggler: tuple[str, ...] = ()
    fault: tuple[str, ...] = ()
    compute: str = "0.01"
    latency: str = "0.0005"
    bandwidth: str = "1G"
    calibrate: Path | None = None
    seed: int = 0
    staleness: float = math.inf
    topology: str = "hub"
    shards_per_worker: int = 4
    modes: str | None = None
    vary: str | None = None
    generate: str | None = None
