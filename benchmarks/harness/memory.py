"""Resident memory of a process, and of the machine, from Linux's /proc; None elsewhere."""

from __future__ import annotations

from pathlib import Path

KIB = 1024


def _field(path: str, name: str) -> int | None:
    try:
        text = Path(path).read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * KIB
    return None


def resident(pid: int | str = "self") -> int | None:
    """Return bytes resident now."""
    return _field(f"/proc/{pid}/status", "VmRSS")


def peak(pid: int | str = "self") -> int | None:
    """Return the most bytes ever resident, or since `reset_peak`."""
    return _field(f"/proc/{pid}/status", "VmHWM")


def reset_peak() -> bool:
    """Start the peak of this process anew; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def available() -> int | None:
    """Return bytes the machine could still hand out."""
    return _field("/proc/meminfo", "MemAvailable")
