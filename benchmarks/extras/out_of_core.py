"""Logistic ridge on 10,000,000 x 100 float64 rows (8 GB) in a `.npy` file, with a memory budget of 1 GiB."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from benchmarks.harness.dataset import rows
from benchmarks.harness.extras import Fact, Setting, probe

ROWS, COLUMNS = 10_000_000, 100
CHUNK = 100_000
BUDGET = "1GiB"
READ = 16 * 2**20


def generate(folder: Path, n_rows: int) -> Path:
    """Write `X.npy` and `y.npy`, a chunk at a time.

    Raises
    ------
    OSError
        If the disk has no room for it: before anything is written.
    """
    need = 8 * n_rows * (COLUMNS + 1)
    free = shutil.disk_usage(folder).free
    if free < 1.05 * need:
        raise OSError(f"{folder} has {free / 1e9:.1f} GB free, the data needs {need / 1e9:.1f}: give another --cache")
    rng = np.random.default_rng(0)
    coef = rng.standard_normal(COLUMNS) / COLUMNS**0.5
    y = np.empty(n_rows)
    header = {"descr": "<f8", "fortran_order": False, "shape": (n_rows, COLUMNS)}
    with open(folder / "X.npy", "wb") as file:
        npy.write_array_header_1_0(file, header)
        for start in range(0, n_rows, CHUNK):
            X = rng.standard_normal((min(CHUNK, n_rows - start), COLUMNS))
            y[start : start + len(X)] = rng.random(len(X)) < 1.0 / (1.0 + np.exp(-X @ coef))
            file.write(X.data)
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / "y.npy", y)
    return folder / "X.npy"


def forget(path: Path) -> None:
    """Ask the system to drop the file from its cache, so that the next pass really reads the disk."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(path: Path) -> float:
    """Return the seconds that plain sequential reading of the file takes."""
    buffer = bytearray(READ)
    started = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - started


def measure(setting: Setting) -> list[Fact]:
    """Return memory and seconds a pass, against plain reading."""
    n_rows = rows(ROWS, setting.scale)
    folder = setting.folder / "out-of-core"
    folder.mkdir(exist_ok=True)
    try:
        path = generate(folder, n_rows)
        size = path.stat().st_size
        forget(path)
        cold, warm = read(path), read(path)
        forget(path)
        fit = probe(setting, "stream", str(path), BUDGET)
    finally:
        shutil.rmtree(folder)
    # The first pass reads the disk; later ones read the system's cache as far as the file fits into it.
    bound = cold + (fit["passes"] - 1.0) * warm
    return [
        Fact("file", size / 1e9, "GB", f"{n_rows:,} x {COLUMNS} float64"),
        Fact("sequential read, cold", size / 1e9 / cold, "GB/s"),
        Fact("sequential read, cached", size / 1e9 / warm, "GB/s", "as far as the file fits into memory"),
        Fact("fit", fit["seconds"], "s", f"{fit['status']}, relative gap {fit['gap']:.1e}"),
        Fact("passes", fit["passes"], ""),
        Fact("seconds per pass", fit["seconds"] / fit["passes"], "s"),
        Fact("speed against plain reading", 100 * bound / fit["seconds"], "%", "one cold pass, the others cached"),
        Fact("peak resident memory", fit["peak"] / 2**30, "GiB", f"memory_budget={BUDGET}, with y and the libraries"),
    ]
