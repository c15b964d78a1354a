"""Memory budgets: how much of a matrix may be held at once."""

from __future__ import annotations

import os
import re
from pathlib import Path

from offbeat.errors import DataError

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", start=1)}
_UNITS |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", start=1)}
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def total_memory() -> int:
    """Return the memory of this machine in bytes, or of its container when that is less.

    Examples
    --------
    >>> total_memory() > 0
    True
    """
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not POSIX: assume a small machine
        physical = 8 * 1024**3
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def memory_bytes(budget: int | float | str | None) -> int:
    """Return a memory budget in bytes.

    Parameters
    ----------
    budget : int, float, str or None
        A number of bytes, a string such as ``"1GiB"``, ``"500 MB"`` or ``"2e9"``, or None: a quarter of the
        machine's memory.

    Returns
    -------
    n_bytes : int

    Raises
    ------
    DataError
        The budget cannot be understood or is not positive.

    Examples
    --------
    >>> memory_bytes("1GiB"), memory_bytes("1.5 kB"), memory_bytes(4096)
    (1073741824, 1500, 4096)
    """
    if budget is None:
        return total_memory() // 4
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+]?[0-9]+)?)\s*([A-Za-z]*)\s*", str(budget))
    try:
        n_bytes = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    except (KeyError, ValueError, OverflowError):
        n_bytes = 0
    if n_bytes <= 0:
        raise DataError(
            f"memory_budget={budget!r} is not an amount of memory. "
            'Pass a number of bytes or a string such as "1GiB" or "500MB".'
        )
    return n_bytes


def format_bytes(n_bytes: int) -> str:
    """Return an amount of memory as text, in the largest unit of which there is at least one.

    Examples
    --------
    >>> format_bytes(1536 * 1024), format_bytes(10)
    ('1.5 MiB', '10 bytes')
    """
    amount, unit = float(n_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{n_bytes} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
