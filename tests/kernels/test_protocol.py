"""Losses and penalties in compiled kernels: found again on disk, inlined, open to classes of users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from offbeat import losses
from offbeat.kernels import protocol

KERNEL = """
from numba import njit
from offbeat.kernels import protocol

@njit(cache=True, nogil=True)
def total(loss, penalty, z, y):
    s = penalty.value(z[0], 1.0)
    for i in range(z.shape[0]):
        s += loss.value(z[i], y[i]) + loss.derivative(z[i], y[i])
    return s
"""
SCRIPT = """
import json, numpy as np
from offbeat import losses, penalties
from kernel import total
y = np.ones(3)
sums = [total(loss, penalties.L1(0.5), y, y) for loss in (losses.Logistic(), losses.Squared(), losses.Huber())]
hits, misses = total.stats.cache_hits, total.stats.cache_misses
print(json.dumps([sums, sum(hits.values()), sum(misses.values())]))
"""


def run(folder: Path) -> Any:
    """What ``SCRIPT`` prints in a fresh process that keeps its cache in ``folder``."""
    environment = dict(os.environ, NUMBA_CACHE_DIR=str(folder / "cache"), PYTHONPATH=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_new_process_finds_the_compiled_kernels_on_disk(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    first, second = run(tmp_path), run(tmp_path)
    assert first[1:] == [0, 3]
    assert second[1:] == [3, 0]
    assert first[0] == second[0]


def value_and_derivative(loss: Any, z: Any, y: Any) -> Any:
    slope, total = 0.0, 0.0
    for i in range(z.shape[0]):
        total += loss.value(z[i], y[i])
        slope += loss.derivative(z[i], y[i]) + loss.dual_direction(z[i], y[i])
    return total, slope


def test_methods_are_inlined_and_share_one_exponential() -> None:
    kernel = njit(error_model="numpy")(value_and_derivative)
    kernel(losses.Logistic(), np.ones(3), np.ones(3))
    (code,) = kernel.inspect_llvm().values()
    entry = code.split("define ")
    loop = next(body for body in entry if "value_and_derivative" in body.split("\n")[0] and "exp" in body)
    calls = [line for line in loop.splitlines() if " call " in line]
    assert not [line for line in calls if "Logistic" in line], calls
    assert not [line for line in calls if "log" in line], calls


class Parabola(NamedTuple):
    """A loss as a user would write it."""

    width: float = 2.0

    def value(self, z: float, y: float) -> float:
        return 0.5 * self.width * (z - y) * self.derivative(z, y)

    def conjugate(self, theta: float, y: float) -> float:
        return self.helper(theta)

    def helper(self, theta: float) -> float:
        return theta

    def derivative(self, residual: float, target: float) -> float:
        return 2.0 * (residual - target) / self.width**2

    def link(self, mean: float) -> float:
        return self.value(mean, 0.0) + self.derivative(mean, 0.0)


class Named(NamedTuple):
    """A field that is called like a method."""

    value: float
    prox: float


def test_classes_of_users_work_too() -> None:
    kernel = njit(lambda loss, z: loss.derivative(z, 1.0) + loss.link(z))
    assert kernel(Parabola(), 3.0) == Parabola().derivative(3.0, 1.0) + Parabola().link(3.0)


def test_fields_are_not_taken_for_methods() -> None:
    kernel = njit(lambda pair: pair.value + pair.prox)
    assert kernel(Named(1.0, 2.0)) == 3.0


@pytest.mark.parametrize(
    "call", [lambda loss: loss.prox(1.0, 1.0, 1.0), lambda loss: loss.conjugate(1.0, 1.0)], ids=["missing", "private"]
)
def test_what_cannot_be_compiled_is_a_typing_error(call: Any) -> None:
    # A parabola has no prox; its conjugate calls a method that is none of the protocol's.
    with pytest.raises(TypingError):
        njit(call)(Parabola())


def test_every_method_of_the_interfaces_is_known() -> None:
    from offbeat.losses.base import Loss
    from offbeat.penalties.base import Penalty

    methods = {
        name for base in (Loss, Penalty) for name, thing in vars(base).items() if callable(thing) and name[0] != "_"
    }
    assert methods - {"check", "check_target"} == set(protocol.METHODS)
