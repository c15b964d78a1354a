"""Dask collections where there is no cluster: loaded by threads, fitted in this process."""

import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import offbeat
from offbeat import Problem, losses, penalties
from offbeat.errors import DataError

RIDGE = Problem(losses.Logistic(), penalties.L2(1e-3))


def test_a_fit_without_a_client():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4))
    y = (X[:, 0] + rng.normal(size=500) > 0).astype(float)
    fit = offbeat.solve(RIDGE, da.from_array(X, chunks=(120, 4)), da.from_array(y, chunks=200), tol=1e-6)
    assert fit.trace.metadata["engine"] == "threads"
    np.testing.assert_allclose(fit.coef, offbeat.solve(RIDGE, X, y, tol=1e-7).coef, atol=1e-3)


def test_a_chunk_that_cannot_be_loaded():
    X = da.from_array(np.ones((10, 2)), chunks=5).map_blocks(lambda block: 1 / 0, dtype=float, meta=np.ones((0, 0)))
    with pytest.raises(DataError, match="division by zero"):
        offbeat.solve(RIDGE, X, np.ones(10))


def test_the_page_about_dask_runs(capsys):
    page = (Path(__file__).parents[3] / "docs" / "dask.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile("\n".join(blocks), "docs/dask.md", "exec"), {"__name__": "page"})
    gap, score = map(float, capsys.readouterr().out.split())
    assert gap <= 1e-6 and score > 0.9
