"""What the tests of all commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import write_tables


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the same table as Parquet and CSV."""
    monkeypatch.chdir(tmp_path)
    write_tables()
    return tmp_path
