from __future__ import annotations

import ast
import errno
import os
import re
from pathlib import Path

import pytest

import offbeat
from offbeat._utils.atomic import atomic_folder, atomic_write, synced

SOURCES = Path(offbeat.__file__).parent
TEMPORARY = {
    "commands/standard_input.py",
    "data/arrays/spill.py",
    "data/files/csv.py",
}
"""Modules that write files of their own, in a temporary folder that disappears with them."""


def test_replaces_the_file_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr("offbeat._utils.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "missing" / "a"):
        pass


def test_files_are_readable_as_the_umask_allows(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a"):
        pass
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_folder_is_there_when_the_block_ends_well(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "new") as folder:
        with synced(folder / "a") as file:
            file.write(b"whole")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new" / "a").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["new"]


def test_no_folder_is_left_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "new") as folder:
        (folder / "a").write_bytes(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def writes(source: str) -> list[int]:
    """Return the lines that open a file for writing, or move one into place."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        mode = [part.value for part in given if isinstance(part, ast.Constant)]
        opened = name == "open" and any(re.fullmatch("[rb]*[wxa+][b+]*", str(text)) for text in mode)
        moved = isinstance(node.func, ast.Attribute) and ast.unparse(node.func) in ("os.replace", "os.rename")
        others = {"write_text", "write_bytes", "NamedTemporaryFile", "mkstemp", "ParquetWriter"}
        if opened or moved or name in others:
            lines.append(node.lineno)
    return lines


def test_the_scan_finds_what_writes() -> None:
    code = "open(p, 'wb')\nopen(p)\nos.replace(a, b)\np.write_text('x')\np.open('a')\ntext.replace('a', 'b')"
    assert writes(code) == [1, 3, 4, 5]


def test_files_for_users_are_written_by_one_module() -> None:
    found = {
        str(path.relative_to(SOURCES).as_posix())
        for path in SOURCES.rglob("*.py")
        if writes(path.read_text(encoding="utf-8"))
    }
    assert found == TEMPORARY | {"_utils/atomic.py"}
