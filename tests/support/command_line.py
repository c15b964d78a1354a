"""Running the command line inside a test, and a table to run it on."""

from __future__ import annotations

import errno
import json
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from typer.testing import CliRunner, Result

from offbeat.cli import app

N = 600


FEATURES = [part for name in ("id", "count", "cost", "weight", "exposure", "band") for part in ("--drop", name)]
FIT = ["fit", "table.parquet", "--target", "late", "--loss", "logistic", *FEATURES]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Result of a command with ``--json``, which must be all there is on standard output."""
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refusal(*arguments: object, code: int = 2) -> str:
    """The one line on standard error of a command that fails."""
    result = run(*arguments)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def make_table(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x, dest = rng.normal(size=(N, 2)), rng.choice(["LAX", "SFO", "JFK"], N)
    z = x @ [1.0, -1.0] + (dest == "LAX")
    columns: dict[str, Any] = {
        "id": np.arange(N),
        "wind": x[:, 0],
        "visibility": x[:, 1],
        "dest": dest,
        "late": np.where(rng.random(N) < 1 / (1 + np.exp(-z)), "yes", "no"),
        "count": rng.poisson(np.exp(0.3 * z)),
        "cost": np.exp(0.3 * z + rng.normal(size=N)),
        "weight": rng.random(N) + 0.1,
        "exposure": rng.normal(size=N) / 10,
        "band": np.digitize(z + rng.logistic(size=N), [-1, 1]),
    }
    return pa.table(columns)


def write_tables() -> None:
    """Write the same table as Parquet and CSV into the working directory."""
    pa.parquet.write_table(make_table(), "table.parquet")
    pa.csv.write_csv(make_table(), "table.csv")


class FullDisk:
    """``os.fsync`` of a disk that is full from the ``nth`` call on, or of a user who interrupts it."""

    def __init__(self, nth: int = 1, error: type[BaseException] = OSError) -> None:
        self.calls, self.nth, self.error = 0, nth, error

    def __call__(self, file: int) -> None:
        self.calls += 1
        if self.calls >= self.nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if self.error is OSError else self.error
