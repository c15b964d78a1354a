"""What many columns cost before the arithmetic: a table of few rows becomes a matrix, in time linear in the columns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness.extras import Fact, Setting
from offbeat.data.load import as_dataset

ROWS, COLUMNS = 60, (1_000, 8_000)


def measure(setting: Setting) -> list[Fact]:
    """Return the seconds for each number of columns, from a frame, CSV and Parquet, for a fit and for a prediction."""
    facts = []
    as_dataset(_table(2), "y")  # imports
    for columns in (max(2, round(k * setting.scale)) for k in COLUMNS):
        table = _table(columns)
        for name, X in _containers(table, setting.folder).items():
            fit = min(_seconds(X, "y", None) for _ in range(setting.repeats))
            encoder = as_dataset(X, "y").encoder
            predict = min(_seconds(X, None, encoder) for _ in range(setting.repeats))
            facts.append(Fact(f"{columns:,} columns from {name}: fit", fit, "s", f"{ROWS} rows; without the solver"))
            facts.append(Fact(f"{columns:,} columns from {name}: predict", predict, "s", "without the product"))
    return facts


def _table(columns: int) -> pd.DataFrame:
    X = np.random.default_rng(0).standard_normal((ROWS, columns)).round(4)
    return pd.DataFrame(X, columns=[f"c{j}" for j in range(columns)]).assign(group=["a", "b"] * (ROWS // 2), y=X[:, 0])


def _containers(table: pd.DataFrame, folder: Path) -> dict[str, Any]:
    table.to_csv(folder / "wide.csv", index=False)
    table.to_parquet(folder / "wide.parquet")
    return {"pandas": table, "CSV": folder / "wide.csv", "Parquet": folder / "wide.parquet"}


def _seconds(X: Any, y: str | None, encoder: Any) -> float:
    started = time.perf_counter()
    as_dataset(X, y, encoder=encoder)
    return time.perf_counter() - started
