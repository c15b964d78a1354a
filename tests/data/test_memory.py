"""Memory budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from offbeat.data import memory
from offbeat.data.memory import format_bytes, memory_bytes, total_memory
from offbeat.errors import DataError


@pytest.mark.parametrize(
    ("budget", "expected"),
    [("1GiB", 2**30), ("1 gib", 2**30), ("2.5MB", 2_500_000), ("100", 100), (7, 7), (2e9, 2 * 10**9), ("1e3", 1000),
     ("3 B", 3), ("1TiB", 2**40)],
)  # fmt: skip
def test_amounts(budget: int | str, expected: int) -> None:
    assert memory_bytes(budget) == expected


@pytest.mark.parametrize("budget", ["", "GiB", "1 bit", "-1", -1, 0, "1.2.3", "lots", float("nan"), "1e999"])
def test_not_amounts(budget: int | str) -> None:
    with pytest.raises(DataError, match="memory_budget"):
        memory_bytes(budget)


def test_default_is_a_quarter() -> None:
    assert memory_bytes(None) == total_memory() // 4


def test_a_container_counts_as_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", limit)
    limit.write_text("1048576\n")
    assert total_memory() == 2**20
    limit.write_text("max\n")
    assert total_memory() > 2**20


def test_formats() -> None:
    assert [format_bytes(n) for n in (0, 1023, 1024, 3 * 2**30)] == ["0 bytes", "1023 bytes", "1.0 KiB", "3.0 GiB"]
