"""Calibration: the simulated time of a pass is that of the trace, whatever the kind of steps in it."""

from __future__ import annotations

import numpy as np
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers
from offbeat.datasets import make_classification
from offbeat.engines.simulation.calibrate import measured
from offbeat.errors import DataError
from offbeat.sideways.messages import STEP, Row


def steps(durations: list[float], note: str = "gradient", worker: int = 0, shard: int = 0) -> list[Row]:
    return [Row(0.0, seconds, STEP, worker=worker, shard=shard, note=note) for seconds in durations]


def test_gradients_count_by_their_rows() -> None:
    rows = [*steps([9.0] + [0.1] * 10), *steps([9.0] + [0.3] * 10, worker=1, shard=1)]
    model = measured(rows, n_rows=1000, n_columns=10)
    assert sorted(set(model.samples)) == [0.1, 0.3]  # the first steps, which compile, are left out
    assert sorted(set(measured(rows, 1000, 10, share=2000.0).samples)) == pytest.approx([0.4, 1.2])


def test_hessians_count_where_gradients_are_few() -> None:
    rows = [*steps([1.0, 0.1, 0.1]), *steps([1.0, 0.3, 0.3], "gradient + Hessian")]
    assert measured(rows, 100, 50).samples == pytest.approx((0.1, 0.1, 0.1, 0.1))
    many = [*rows, *steps([0.2] * 20)]
    assert len(measured(many, 100, 50).samples) == 22


def test_other_kinds_are_units_where_there_is_nothing_else() -> None:
    rows = [*steps([1.0, 0.2, 0.2], "proximal step"), *steps([5.0], "factorisation")]
    assert measured(rows, 100, 50).samples == (0.2, 0.2)
    assert measured(steps([0.5]), 100, 50).samples == (0.5,)  # the only one


@pytest.mark.parametrize("rows", [[], [Row(0.1, gap=0.1)], steps([0.0, float("nan")])])
def test_a_trace_without_steps_is_refused(rows: list[Row]) -> None:
    with pytest.raises(DataError, match="no steps"):
        measured(rows, 100, 5)


def test_a_simulation_calibrated_by_a_simulation_takes_as_long() -> None:
    data = make_classification(400, 4, seed=0)
    problem = Problem(losses.Logistic(), penalties.L2(1e-3))

    def seconds(engine: engines.Simulated) -> offbeat.Solution:
        return offbeat.solve(problem, data.X, data.y, solver=solvers.LBFGS(), engine=engine)

    first = seconds(engines.Simulated(4, compute=0.5))
    model = measured(first.trace, 400, 4, share=100.0)
    np.testing.assert_allclose(model.samples, 0.5)
    second = seconds(engines.Simulated(4, compute=model))
    assert float(second.trace.metadata["seconds"]) == pytest.approx(float(first.trace.metadata["seconds"]))
    half = seconds(engines.Simulated(8, compute=measured(first.trace, 400, 4, share=50.0)))
    assert float(half.trace.metadata["seconds"]) < 0.6 * float(first.trace.metadata["seconds"])
