"""What a new process loads before its first model is there: nothing that the fit does not use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.caching import FunctionCache
from scipy.linalg.lapack import dpotrf, dpotrs

from offbeat.kernels import compiled, separable
from offbeat.kernels.triangular import cholesky_solve

FIT = """
import json, sys
import numpy as np
import offbeat
from offbeat import Problem, losses, penalties
rng = np.random.default_rng(0)
X = rng.standard_normal((500, 4))
y = (rng.random(500) < 0.5).astype(float)
solution = offbeat.solve(Problem(losses.Logistic(), penalties.L2(1e-3)), X, y)
print(json.dumps([solution.status, sorted(sys.modules)]))
"""

KERNELS = """
import numpy as np
from offbeat.kernels.compiled import kernel

@kernel(error_model="numpy")
def cubes(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = x[i] ** 3
    return out

@kernel(error_model="numpy")
def total(x):
    return np.sum(cubes(x)) / 0.0
"""


def run(code: str, **environment: str) -> str:
    """Return what a new process prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return result.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = run("import sys, offbeat; print(*sys.modules)").split()
    assert not {"numpy", "scipy", "numba", "sklearn", "pyarrow", "rich"} & set(loaded)


def test_a_fit_of_an_array_loads_only_what_it_uses(tmp_path: Path) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}  # an index that others filled loads what they compiled for
    run(FIT, **cache)
    status, loaded = json.loads(run(FIT, **cache))
    assert status == "converged"
    unused = {
        "scipy.sparse", "scipy.linalg", "sklearn", "pandas", "pyarrow", "polars", "matplotlib", "bokeh", "rich",
        "offbeat.data.tables.encoding", "offbeat.data.files.parquet", "offbeat.data.files.csv",
        "offbeat.diagnostics.plots", "offbeat.diagnostics.report", "offbeat.engines.simulated",
        "offbeat.kernels.classes", "offbeat.solvers.gradient.lbfgs",
    }  # fmt: skip
    assert unused.isdisjoint(loaded)


def test_public_names_of_lazy_packages_are_there() -> None:
    code = """
import offbeat
for package in (offbeat, offbeat.engines, offbeat.solvers, offbeat.diagnostics):
    for name in package.__all__:
        getattr(package, name)
    assert set(package.__all__) - {"__version__"} <= set(dir(package)), package
try:
    offbeat.engines.Parallel
except AttributeError as error:
    print(error)
"""
    assert run(code).strip() == "module 'offbeat.engines' has no attribute 'Parallel'"


def test_compiling_still_works_after_a_kernel_was_loaded(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(KERNELS)
    paths = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    call = (
        "import sys, numpy as np, loops; print(loops.cubes(np.arange(4.0)), sum(loops.cubes.stats.cache_hits.values()))"
    )
    assert run(call, **paths).strip() == "[ 0.  1.  8. 27.] 0"
    assert run(call, **paths).strip() == "[ 0.  1.  8. 27.] 1"
    again = "; print(loops.total(np.arange(4.0)), loops.cubes(np.arange(4, dtype=np.float32)).dtype)"
    assert run(call + again, **paths).split()[-3:] == ["1", "inf", "float32"]


def test_numbas_own_cache_is_used_with_versions_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(separable.value._cache) is compiled._Cache
    monkeypatch.setattr(compiled, "KNOWN_NUMBA_VERSIONS", ((0, 1), (0, 2)))
    assert type(compiled.kernel()(separable.value.py_func)._cache) is FunctionCache


@pytest.mark.parametrize("m", [1, 2, 7, 60])
def test_cholesky_solve_is_that_of_lapack(m: int, rng: np.random.Generator) -> None:
    A = rng.standard_normal((2 * m + 1, m))
    b = rng.standard_normal(m)
    x = b.copy()
    cholesky_solve(np.linalg.cholesky(A.T @ A), x)
    np.testing.assert_allclose(x, dpotrs(dpotrf(A.T @ A, lower=1)[0], b, lower=1)[0], rtol=1e-9)
