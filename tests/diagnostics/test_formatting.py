from __future__ import annotations

import math

import pytest

from offbeat.diagnostics.formatting import duration, significant, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9994, "999 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (3599.6, "1 h 0 min")],
)
def test_durations_round_into_the_next_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_not_known_is_a_dash() -> None:
    assert duration(math.nan) == duration(math.inf) == significant(math.nan) == "\N{EN DASH}"


def test_large_sizes_stay_in_the_largest_unit() -> None:
    assert size(5 * 1024**5) == "5120.0 TiB"
