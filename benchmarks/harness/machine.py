"""The machine by its size, and the versions of what ran: enough to judge a number, nothing that identifies a host."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.harness.solver import BaseSolver

BASE = ("numpy", "scipy", "numba", "scikit-learn")


def describe(threads: int) -> dict[str, Any]:
    """Return cores, memory, Python, and the day."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores, "threads": threads, "memory_gib": round(pages / 2**30), "architecture": platform.machine(),
        "cache_mib": _cache(), "python": platform.python_version(), "date": datetime.date.today().isoformat(),
    }  # fmt: skip


def _cache() -> int | None:
    """Last-level cache: it decides whether a block of rows is read from memory twice."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1, "M": 1024}.get(text[-1], 0) // 1024)
    return max(sizes, default=None)


def versions(solvers: list[BaseSolver]) -> dict[str, str]:
    """Return the versions of everybody's distribution that is installed."""
    found = {}
    for name in sorted({*BASE, *(solver.package for solver in solvers)}):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
