"""Texts of the options of ``offbeat simulate``, and the faults, times, rates and topologies that they stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from offbeat.engines import faults
from offbeat.engines.simulation.faults import Fault
from offbeat.engines.simulation.models import Model
from offbeat.errors import ProblemError
from offbeat.topology import Broadcast, Gossip, Hub, Tree

M = TypeVar("M")
NEVER = ("never", "inf")
SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


class Form(NamedTuple):
    """How a fault is written: for machines, for people, as an example; and what is made of its parts."""

    pattern: str
    shown: str
    example: str
    make: Callable[..., Fault]


def number(text: str, low: float = 0.0, high: float = math.inf) -> float:
    """Return the finite number that ``text`` spells.

    Raises
    ------
    ValueError
        It spells none, or one out of range.
    """
    value = float(text)
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError
    return value


def _chance(text: str) -> float:
    return number(text, 0.0, 1.0)


def _crash(worker: str, at: str, down: str | None) -> Fault:
    return faults.Crash(int(worker), number(at), math.inf if down in NEVER else number(down or "0"))


def _pause(worker: str, at: str, seconds: str, every: str | None) -> Fault:
    return faults.Pause(int(worker), number(at), number(seconds), math.inf if every is None else number(every))


def _partition(workers: str, at: str, seconds: str) -> Fault:
    named: list[int] = []
    for part in workers.split(","):
        first, _, last = part.partition("-")
        named += range(int(first), int(last or first) + 1)
    return faults.Partition(tuple(named), number(at), number(seconds))


FORMS = {
    "loss": Form(r"(.+)", "loss:PROBABILITY", "loss:0.2", lambda p: faults.Loss(_chance(p))),
    "duplicate": Form(r"(.+)", "duplicate:PROBABILITY", "duplicate:0.1", lambda p: faults.Duplicate(_chance(p))),
    "delay": Form(
        r"(.+)\+(.+)", "delay:PROBABILITY+SECONDS", "delay:0.3+0.05",
        lambda p, seconds: faults.Delay(_chance(p), number(seconds)),
    ),
    "crash": Form(r"(\d+)@([^+]+)(?:\+(.+))?", "crash:WORKER@TIME[+SECONDS or +never]", "crash:3@1.5+0.5", _crash),
    "pause": Form(
        r"(\d+)@([^+]+)\+([^/]+)(?:/(.+))?", "pause:WORKER@TIME+SECONDS[/EVERY]", "pause:2@1.0+0.5/3", _pause
    ),
    "join": Form(r"@(.+)", "join@TIME", "join@2.0", lambda at: faults.Join(number(at))),
    "partition": Form(
        r"(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)@([^+]+)\+(.+)", "partition:WORKERS@TIME+SECONDS", "partition:0-3,7@1.0+0.5",
        _partition,
    ),
    "slow-disk": Form(r"(.+)", "slow-disk:SECONDS", "slow-disk:0.05", lambda s: faults.SlowDisk(number(s))),
}  # fmt: skip
"""Faults by their names."""


def parse_fault(text: str) -> Fault:
    """Return the fault that an option describes.

    Raises
    ------
    ProblemError
        It cannot be understood: shows how that fault is written.

    Examples
    --------
    >>> parse_fault("crash:3@1.5+0.5")
    Crash(worker=3, at=1.5, down=0.5)
    """
    found = re.fullmatch(r"([a-z-]+)(?::|(?=@))(.*)", text.strip())
    name = found[1] if found else re.split(r"[:@+]", text)[0]
    if name not in FORMS:
        raise ProblemError(f"--fault {text}: there is no fault {name!r}; give one of {', '.join(FORMS)}")
    form = FORMS[name]
    parts = re.fullmatch(form.pattern, found[2]) if found else None
    try:
        if parts is None:
            raise ValueError
        return form.make(*parts.groups())
    except ValueError:
        raise _not_understood("--fault", text, f"write {form.shown}, such as {form.example}") from None


def parse_straggler(text: str) -> tuple[int, float]:
    """Return the worker that an option names, and how many times slower it is.

    Raises
    ------
    ProblemError
        It cannot be understood.

    Examples
    --------
    >>> parse_straggler("3:10"), parse_straggler("10")
    ((3, 10.0), (0, 10.0))
    """
    worker, colon, factor = text.rpartition(":")
    try:
        slow = int(worker) if colon else 0
        if slow < 0:
            raise ValueError
        return slow, number(factor, low=1e-9)
    except ValueError:
        raise _not_understood("--straggler", text, "write WORKER:FACTOR, such as 0:10, or the factor alone") from None


def parse_model(option: str, text: str) -> Model:
    """Return a distribution of seconds: a number, or ``exponential:MEAN[,FIXED]`` or ``heavy:MEDIAN[,SPREAD]``.

    Raises
    ------
    ProblemError
        It cannot be understood.

    Examples
    --------
    >>> parse_model("--compute", "heavy:0.01,0.8")
    HeavyTailed(median=0.01, spread=0.8)
    """
    makers: dict[str, Callable[..., Model]] = {
        "constant": faults.Constant, "exponential": faults.Exponential, "heavy": faults.HeavyTailed,
    }  # fmt: skip
    kind, colon, rest = text.strip().rpartition(":")
    try:
        numbers = [number(part) for part in rest.split(",")]
        return makers[kind if colon else "constant"](*numbers)
    except (ValueError, KeyError, TypeError):
        how = "write seconds, such as 0.01, or exponential:0.01 or heavy:0.01,0.5 (median and spread)"
        raise _not_understood(option, text, how) from None


def scaled(model: Model, factor: float) -> Model:
    """Return the distribution of so many times the seconds.

    Examples
    --------
    >>> scaled(faults.Exponential(0.5), 4.0)
    Exponential(mean=2.0, fixed=0.5)
    """
    if isinstance(model, faults.Constant):
        return faults.Constant(model.seconds * factor)
    if isinstance(model, faults.Exponential):
        return replace(model, mean=model.mean * factor)
    if isinstance(model, faults.HeavyTailed):
        return replace(model, median=model.median * factor)
    assert isinstance(model, faults.Measured)
    return faults.Measured(tuple(factor * each for each in model.samples))


def parse_rate(text: str) -> float:
    """Return bytes a second: a number, with K, M, G or T for powers of a thousand.

    Raises
    ------
    ProblemError
        It cannot be understood.

    Examples
    --------
    >>> parse_rate("125M")
    125000000.0
    """
    factor = SUFFIXES.get(text.strip()[-1:].lower(), 1.0)
    try:
        return number(text.strip()[:-1] if factor > 1.0 else text, low=1e-9) * factor
    except ValueError:
        raise _not_understood("--bandwidth", text, "write bytes a second, such as 125M or 1e9") from None


def parse_topology(text: str) -> Any:
    """Return a topology: ``hub``, ``hub:1`` (an update at every arrival), ``broadcast``, ``tree:2`` or ``gossip:3``.

    Raises
    ------
    ProblemError
        There is none of this name, or its number is out of range.

    Examples
    --------
    >>> parse_topology("tree:4")
    Tree(fanout=4)
    """
    makers: dict[str, Callable[..., Any]] = {"hub": Hub, "broadcast": Broadcast, "tree": Tree, "gossip": Gossip}
    kind, colon, rest = text.strip().partition(":")
    try:
        return makers[kind](*([int(rest)] if colon else []))
    except (KeyError, TypeError, ValueError) as error:
        why = f" ({error})" if isinstance(error, ProblemError) else ""
        raise ProblemError(
            f"--topology {text} is not understood{why}: write hub, hub:1, broadcast, tree:2 or gossip:3"
        ) from None


def parse_size(text: str) -> tuple[int, int]:
    """Return rows and columns of data to generate.

    Raises
    ------
    ProblemError
        It cannot be understood.

    Examples
    --------
    >>> parse_size("20000x50")
    (20000, 50)
    """
    found = re.fullmatch(r"(\d+)[x*](\d+)", text.strip().replace(",", "").replace("_", ""))
    if found is None or 0 in (int(found[1]), int(found[2])):
        raise _not_understood("--generate", text, "write ROWSxCOLUMNS, such as 20000x50")
    return int(found[1]), int(found[2])


def parse_list(option: str, text: str, convert: Callable[[str], M]) -> list[M]:
    """Return the values of a list with commas.

    Raises
    ------
    ProblemError
        One of them cannot be understood, or there is none.
    """
    parts: Sequence[str] = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise ProblemError(f"{option} needs values with commas between them")
    try:
        return [convert(part.strip()) for part in parts]
    except ProblemError:
        raise
    except ValueError:
        raise _not_understood(option, text, "write numbers with commas between them") from None


def _not_understood(option: str, text: str, how: str) -> ProblemError:
    """Return the error for a text that an option cannot read: it says how to write one."""
    return ProblemError(f"{option} {text} is not understood: {how}")
