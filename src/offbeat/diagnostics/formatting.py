"""Numbers as people read them: spans of time, bytes, significant digits."""

from __future__ import annotations

import math

UNKNOWN = "\N{EN DASH}"


def duration(seconds: float) -> str:
    """A span of time with its unit; a dash when it is not finite.

    Examples
    --------
    >>> duration(0.0042), duration(3.26), duration(75), duration(7384)
    ('4.2 ms', '3.3 s', '1 min 15 s', '2 h 3 min')
    """
    if not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 59.95 else "1 min 0 s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """A number of bytes with its unit.

    Examples
    --------
    >>> size(312), size(5_000_000)
    ('312 B', '4.8 MiB')
    """
    value, names = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(names) > 1:
        value /= 1024
        names.pop(0)
    return f"{value:.0f} {names[0]}" if names[0] == "B" else f"{value:.1f} {names[0]}"


def significant(value: float, digits: int = 6) -> str:
    """A number with ``digits`` significant digits; a dash for NaN.

    Examples
    --------
    >>> significant(0.123456789), significant(2.5e-9)
    ('0.123457', '2.5e-09')
    """
    if math.isnan(value):
        return UNKNOWN
    return f"{value:.{digits}g}".replace("inf", "∞")


def counted(count: int, noun: str) -> str:
    """A count and its noun, in the plural unless the count is 1.

    Examples
    --------
    >>> counted(1, "worker"), counted(2000, "worker")
    ('1 worker', '2,000 workers')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
