"""How many threads a fit may take: cores, quotas of containers, and what the user set for other libraries."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def available_cores() -> int:
    """Return how many cores this process may use.

    The least of the cores it may run on, the quota of its control groups (containers), the numbers in
    ``OMP_NUM_THREADS``, ``NUMBA_NUM_THREADS`` and ``LOKY_MAX_CPU_COUNT``, and the ``n_jobs`` of joblib's
    ``parallel_config``. Workers of joblib and Dask have the first of these variables set.

    Examples
    --------
    >>> available_cores() >= 1
    True
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(int(min([own, _quota(), *_variables(os.environ), *_joblib(own)])), 1)


def _variables(environment: Mapping[str, str]) -> Iterator[int]:
    """Yield the numbers of threads that variables ask for; of a list, one a level of nesting, the first counts."""
    for name in VARIABLES:
        first = environment.get(name, "").partition(",")[0].strip()
        if first.isdecimal() and int(first) > 0:
            yield int(first)


def _joblib(own: int) -> Iterator[int]:
    """Yield the number of jobs that is set for joblib, if it is in use; below 0, it counts from all cores."""
    joblib = sys.modules.get("joblib.parallel")
    jobs = None if joblib is None else joblib.get_active_backend()[1]
    if jobs:
        yield jobs if jobs > 0 else max(own + 1 + jobs, 1)


@cache
def _quota() -> float:
    """Return the least quota, which is looked up once: that takes as long as a small fit."""
    return min(_quotas(), default=math.inf)


def _quotas() -> Iterator[int]:
    """Yield the quotas of the control groups that this process is in, and of those above, in whole cores."""
    for folder in _groups():
        with_period = _words(folder / "cpu.max")  # version 2: "200000 100000" or "max 100000"
        if len(with_period) != 2:
            with_period = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
        if len(with_period) == 2 and all(word.isdecimal() for word in with_period) and int(with_period[1]) > 0:
            yield max(math.ceil(int(with_period[0]) / int(with_period[1])), 1)


def _groups() -> Iterator[Path]:
    """Yield the folders of the control groups: of version 2, or of the CPU controller of version 1."""
    lines = [line.split(":", 2) for line in _text(MEMBERSHIP).splitlines()]
    places = [(CONTROL_GROUPS, PurePosixPath("/"))]
    for _, controllers, mine in (line for line in lines if len(line) == 3):
        if not controllers:
            places.append((CONTROL_GROUPS, PurePosixPath(mine)))
        elif "cpu" in controllers.split(","):
            places += [(CONTROL_GROUPS / "cpu", PurePosixPath("/")), (CONTROL_GROUPS / "cpu", PurePosixPath(mine))]
    for root, path in places:
        for part in (path, *path.parents):
            yield root / str(part).lstrip("/")


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
