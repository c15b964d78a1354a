"""What is known before the first query: the null model, from counted targets or from the shards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from offbeat import Problem, engines, losses, penalties
from offbeat.data.load import as_dataset
from offbeat.fit.inspection import Options, inspect

RNG = np.random.default_rng(0)
N = 300
WEIGHTS = RNG.random(N) * (RNG.random(N) < 0.9)
TARGETS = {
    "classes": (RNG.random(N) < 0.3).astype(float),
    "signs": np.where(RNG.random(N) < 0.3, 1.0, -1.0),
    "counts": RNG.poisson(3.0, N).astype(float),
    "one value": np.full(N, 5.0),
}
OTHERS = {
    "fractions": RNG.random(N),
    "large": 1e3 * RNG.poisson(3.0, N),
    "below": -2.0 * (RNG.random(N) < 0.5),
    "late fraction": np.append(np.ones(N - 1), 0.5),
    "late and large": np.append(np.ones(N - 1), 64.0),
}
LOSSES = {
    "classes": losses.Logistic(),
    "signs": losses.Hinge(),
    "counts": losses.Poisson(),
    "one value": losses.Squared(),
}


class Counting(engines.Serial):
    """Counts how often shards are asked."""

    asked = 0

    def map(self, function: Any, shards: Any, *, light: bool = False) -> list[Any]:
        self.asked += 1
        return super().map(function, shards, light=light)


def look(loss: Any, y: NDArray[Any], **given: Any) -> tuple[Any, int]:
    dataset, engine = as_dataset(np.ones((len(y), 1)), y, **given), Counting()
    info = inspect(Problem(loss, penalties.L2(1.0)), dataset, dataset.shards(3), engine, Options())
    return info, engine.asked


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", TARGETS)
def test_whole_targets_are_counted_and_shards_asked_once(name: str, weight: NDArray[Any] | None) -> None:
    info, asked = look(LOSSES[name], TARGETS[name], sample_weight=weight)
    plain, often = look(LOSSES[name], TARGETS[name], sample_weight=weight, offset=np.full(N, 1e-9))  # too much to count
    assert asked == 1 < often
    assert_allclose(info.start[1], plain.start[1], rtol=1e-6, atol=1e-8)
    assert_allclose(info.reference.objective, plain.reference.objective, rtol=1e-7)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("sample", [10, 4096])
def test_other_targets_are_summed_where_they_are(monkeypatch: pytest.MonkeyPatch, name: str, sample: int) -> None:
    monkeypatch.setattr("offbeat.fit.inspection.SAMPLE_ROWS", sample)  # what is wrong may come later
    y = OTHERS[name]
    info, asked = look(losses.Squared(), y)
    assert asked > 1
    assert_allclose(info.start[1], [y.mean()])


def test_classes_are_counted() -> None:
    y = TARGETS["counts"].clip(max=3.0)
    dataset, engine = as_dataset(np.ones((N, 1)), y), Counting()
    info = inspect(Problem(losses.Multinomial(4), penalties.L2(1.0)), dataset, dataset.shards(3), engine, Options())
    shares = np.bincount(y.astype(int)) / N
    assert_allclose(np.exp(info.start[1]) / np.exp(info.start[1]).sum(), shares)
    assert engine.asked == 2  # and for the gradient at the null model
