"""The cache directory follows the sources that end up in kernels."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from support.numba_cache import numba_cache_dir


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for package in ("losses", "penalties", "kernels", "solvers"):
        folder = tmp_path / "src" / "offbeat" / package
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("x = 1\n")
    return tmp_path


@pytest.mark.parametrize("package", ["losses", "penalties", "kernels"])
def test_an_edit_changes_the_directory(repository: Path, package: str) -> None:
    before = numba_cache_dir(repository)
    (repository / "src" / "offbeat" / package / "a.py").write_text("x = 2\n")
    assert numba_cache_dir(repository) != before


def test_a_renamed_source_changes_the_directory(repository: Path) -> None:
    before = numba_cache_dir(repository)
    source = repository / "src" / "offbeat" / "losses" / "a.py"
    source.rename(source.with_name("b.py"))
    assert numba_cache_dir(repository) != before


def test_other_sources_do_not_matter(repository: Path) -> None:
    before = numba_cache_dir(repository)
    (repository / "src" / "offbeat" / "solvers" / "a.py").write_text("x = 2\n")
    assert numba_cache_dir(repository) == before


def test_only_directories_long_unused_are_removed(repository: Path) -> None:
    recent, old = (repository / ".numba-cache" / name for name in ("recent", "old"))
    recent.mkdir(parents=True)
    old.mkdir()
    week_ago = time.time() - 7 * 24 * 3600
    os.utime(old, (week_ago, week_ago))
    current = numba_cache_dir(repository)
    assert sorted(path.name for path in current.parent.iterdir()) == sorted(["recent", current.name])
