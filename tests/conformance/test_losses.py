"""What every loss promises, for every loss there is."""

from __future__ import annotations

import itertools
import math
import pickle
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose

from conformance.brute import supremum
from conformance.registry import ALL_LOSSES, SCALAR_LOSSES, label, targets
from offbeat import losses
from offbeat.errors import ProblemError, TargetError
from offbeat.kernels import protocol  # noqa: F401

GRID = [*np.linspace(-6.0, 6.0, 25).tolist(), -30.0, 0.1234, 30.0]
EXTREMES = [-1e4, -800.0, -709.5, -700.0, 700.0, 709.5, 800.0, 1e4]

each_loss = pytest.mark.parametrize("loss", ALL_LOSSES, ids=label)
each_scalar_loss = pytest.mark.parametrize("loss", SCALAR_LOSSES, ids=label)


def points(loss: Any, grid: list[float] = GRID) -> list[tuple[float, float]]:
    """All pairs of a predictor and a target that suits the loss."""
    return list(itertools.product(grid, targets(loss)))


def difference(f: Any, z: float, y: float) -> tuple[float, float, float]:
    """Left, right and central finite difference."""
    step = 1e-5 * max(1.0, abs(z))
    left, middle, right = f(z - step, y), f(z, y), f(z + step, y)
    return (middle - left) / step, (right - middle) / step, (right - left) / (2.0 * step)


def test_the_registry_finds_the_losses() -> None:
    assert {type(loss).__name__ for loss in ALL_LOSSES} >= set(losses.__all__) - {"Loss"}
    assert len({type(loss).name for loss in ALL_LOSSES}) == len({type(loss) for loss in ALL_LOSSES})


@each_loss
def test_attributes(loss: Any) -> None:
    assert type(loss).name == loss.name
    assert isinstance(loss.quadratic, bool) and isinstance(loss.classifier, bool) and isinstance(loss.smooth, bool)
    assert loss.smoothness > 0.0
    assert loss.check() == loss
    assert targets(loss)


@each_loss
def test_pickle_is_small(loss: Any) -> None:
    dump = pickle.dumps(loss)
    assert len(dump) < 200
    again = pickle.loads(dump)
    assert type(again) is type(loss) and again == loss
    assert not hasattr(loss, "__dict__")


@each_scalar_loss
def test_derivative_by_finite_differences(loss: Any) -> None:
    for z, y in points(loss):
        slopes = difference(loss.value, z, y)
        rounding = 1e-10 * (1.0 + abs(loss.value(z, y)))
        if not loss.smooth and abs(slopes[0] - slopes[1]) > 1e-3:  # at a kink, any slope between the two will do
            assert min(slopes[:2]) - 1e-5 <= loss.derivative(z, y) <= max(slopes[:2]) + 1e-5
            continue
        assert_allclose(loss.derivative(z, y), slopes[2], rtol=1e-6, atol=max(1e-5, rounding), err_msg=f"{z, y}")


@each_scalar_loss
def test_second_derivative_by_finite_differences(loss: Any) -> None:
    smooth = 0
    for z, y in points(loss):
        left, right, central = difference(loss.derivative, z, y)
        tolerance = 1e-4 * max(1.0, abs(central)) + 1e-10 * abs(loss.derivative(z, y))
        bend = loss.second_derivative(z, y)
        if not loss.smooth and abs(left) + abs(right) > 1e3:  # a jump: there is no second derivative
            continue
        if abs(left - right) <= tolerance:
            smooth += 1
            assert_allclose(bend, central, rtol=1e-4, atol=tolerance, err_msg=f"{z, y}")
        else:  # at a kink of the derivative
            assert min(left, right) - tolerance <= bend <= max(left, right) + tolerance
        assert 0.0 <= bend <= loss.smoothness * (1.0 + 1e-12)
    assert smooth > 0.9 * len(points(loss))


@each_scalar_loss
def test_fenchel_young(loss: Any) -> None:
    for (z, y), at in itertools.product(points(loss), GRID):
        theta = loss.derivative(at, y)
        slack = loss.value(z, y) + loss.conjugate(theta, y) - theta * z
        size = 1.0 + abs(loss.value(z, y)) + abs(loss.conjugate(theta, y)) + abs(theta * z)
        assert slack >= -1e-12 * size, (z, y, theta)
        if at == z:
            assert slack <= 1e-12 * size, (z, y, theta)


@each_scalar_loss
@pytest.mark.parametrize("theta", [-8.0, -2.0, -1.0, -0.5, 0.0, 0.01, 0.5, 1.0, 2.0, 8.0])
def test_conjugate_by_brute_force(loss: Any, theta: float) -> None:
    for y in targets(loss):
        sup = [supremum(lambda z, y=y: theta * z - loss.value(z, y), -size, size) for size in (300.0, 600.0)]
        conjugate = loss.conjugate(theta, y)
        if math.isinf(conjugate):
            assert sup[1] > sup[0] + 1.0
        elif sup[1] > sup[0] + 1e-9 * abs(sup[0]):  # the supremum is far away: quadratic losses of large targets
            assert conjugate >= sup[1]
        else:
            assert_allclose(conjugate, sup[1], rtol=1e-9, atol=1e-9)


@each_scalar_loss
def test_dual_direction_moves_the_dual_point_at_second_order(loss: Any) -> None:
    useful, curved = 0, 0
    for z, y in points(loss):
        h, theta = loss.dual_direction(z, y), loss.derivative(z, y)
        assert h >= 0.0
        useful += h > 0.0
        curved += loss.second_derivative(z, y) > 0.0
        for d in np.linspace(-1.0, 1.0, 21) * (1.0 - 1e-9):  # at 1 rounding could leave the domain
            moved = loss.conjugate(theta + d * h, y)
            bound = loss.conjugate(theta, y) + z * d * h + d * d * h
            size = 1.0 + abs(loss.conjugate(theta, y)) + abs(z) * h + abs(theta) * abs(z)
            assert moved <= bound + 1e-12 * size, (z, y, d)
    if not loss.smooth:  # slopes are at the ends of the domain: there is nowhere to move
        assert useful == 0
        return
    assert useful > 0.5 * curved > 0.0  # zero would satisfy the inequality, and repair nothing


@each_scalar_loss
def test_link(loss: Any) -> None:
    low, high = min(targets(loss)), max(targets(loss))
    for share in (0.01, 0.3, 0.5, 0.9):
        mean = low + share * (high - low)
        assert_allclose(loss.inverse_link(loss.link(mean)), mean, rtol=1e-12, atol=1e-12)
    assert math.isfinite(loss.link(low)) and math.isfinite(loss.link(high))
    means = [loss.inverse_link(z) for z in sorted(GRID)]
    assert means == sorted(means)


@each_scalar_loss
def test_extremes_and_nan(loss: Any) -> None:
    for z, y in points(loss, EXTREMES):
        assert loss.value(z, y) > -math.inf
        assert loss.second_derivative(z, y) >= 0.0
        assert loss.dual_direction(z, y) >= 0.0
        numbers = [loss.value(z, y), loss.derivative(z, y), loss.inverse_link(z)]
        assert not any(math.isnan(number) for number in numbers), (z, y)
    for y in targets(loss):
        assert math.isnan(loss.value(math.nan, y)) and math.isnan(loss.derivative(math.nan, y))


@each_scalar_loss
@given(z=st.floats(-40.0, 40.0), other=st.floats(-40.0, 40.0), choice=st.integers(0, 7))
def test_derivative_is_monotone_and_lipschitz(loss: Any, z: float, other: float, choice: int) -> None:
    y = targets(loss)[choice % len(targets(loss))]
    rise = (loss.derivative(z, y) - loss.derivative(other, y)) * math.copysign(1.0, z - other)
    rounding = 1e-12 * (1.0 + abs(z) + abs(y) + abs(loss.derivative(z, y)))
    assert rise >= -rounding
    assert rise <= loss.smoothness * abs(z - other) + rounding if z != other else rise == 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def compiled(loss: Any, z: Any, y: Any, theta: Any, out: Any) -> None:
    for i in range(z.shape[0]):
        out[0, i] = loss.value(z[i], y[i])
        out[1, i] = loss.derivative(z[i], y[i])
        out[2, i] = loss.second_derivative(z[i], y[i])
        out[3, i] = loss.conjugate(theta[i], y[i])
        out[4, i] = loss.dual_direction(z[i], y[i])
        out[5, i] = loss.inverse_link(z[i])
        out[6, i] = loss.link(loss.inverse_link(y[i]))


@each_scalar_loss
def test_python_and_numba_agree(loss: Any) -> None:
    pairs = points(loss, GRID + EXTREMES)
    z, y = np.array(pairs).T.copy()
    theta = np.resize(np.linspace(-3.0, 3.0, 13), z.shape)
    out = np.empty((7, z.shape[0]))
    compiled(loss, z, y, theta, out)
    for i, (zi, yi) in enumerate(pairs):
        expected = [
            loss.value(zi, yi),
            loss.derivative(zi, yi),
            loss.second_derivative(zi, yi),
            loss.conjugate(float(theta[i]), yi),
            loss.dual_direction(zi, yi),
            loss.inverse_link(zi),
            loss.link(loss.inverse_link(yi)),
        ]
        assert_allclose(out[:, i], expected, rtol=1e-13, atol=1e-13, err_msg=f"{zi, yi}")


def test_the_logistic_tail_is_accurate() -> None:
    with localcontext() as context:
        context.prec = 400
        for z in np.linspace(0.0, 700.0, 301).tolist():
            exact = (1 + Decimal(-z).exp()).ln()
            assert abs(Decimal(losses.Logistic().value(z, 1.0)) / exact - 1) < Decimal("6e-16"), z


def test_known_values() -> None:
    assert losses.Squared().value(3.0, 1.0) == 2.0
    assert losses.Logistic().value(0.0, 1.0) == pytest.approx(math.log(2.0), rel=1e-15)
    assert losses.Poisson().value(1.0, 2.0) == pytest.approx(math.e - 2.0, rel=1e-15)
    assert losses.Poisson().value(800.0, 2.0) == math.inf
    assert losses.Gamma().value(1.0, 2.0) == pytest.approx(1.0 + 2.0 / math.e, rel=1e-15)
    assert losses.Gamma().value(-800.0, 2.0) == math.inf
    assert losses.Huber(1.35).value(0.0, 1.35) == pytest.approx(1.35**2 / 2.0, rel=1e-15)
    assert losses.Huber(1.35).value(0.0, 10.0) == pytest.approx(13.5 - 1.35**2 / 2.0, rel=1e-15)
    assert losses.SquaredHinge().value(0.5, 0.0) == 1.125
    assert [losses.Hinge().value(z, 0.0) for z in (-1.0, 0.0, 2.0)] == [0.0, 1.0, 3.0]
    assert [losses.SquaredHinge().value(z, 1.0) for z in (1.0, 0.0, 3.0)] == [0.0, 0.5, 0.0]


def test_poisson_without_counts() -> None:
    loss = losses.Poisson()
    loss.check_target(np.zeros(3))
    assert loss.conjugate(0.0, 0.0) == 0.0
    assert loss.conjugate(-1e-300, 0.0) == math.inf
    assert math.isfinite(loss.link(0.0))


@each_loss
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, np.bool_])
def test_check_target_takes_any_number_type(loss: Any, dtype: type[Any]) -> None:
    loss.check_target(np.ones(3, dtype))


@each_loss
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([1.0, math.nan, 1.0, math.inf]), r"NaN or infinite in 2 of 4 rows \(first row 1, value nan\)"),
        (np.ones((4, 1)), r"shape \(4, 1\); give one number a row"),
        (np.array(["yes", "no"]), r"encode it as numbers"),
        (np.array([1.0, None], dtype=object), r"holds object values"),
        (np.array([1.0 + 2.0j]), r"holds complex128 values"),
    ],
    ids=["nan", "column", "strings", "objects", "complex"],
)
def test_check_target_rejects(loss: Any, y: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        loss.check_target(y)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (losses.Logistic(), [0, 1, 2, -1], r"neither 0 nor 1 in 2 of 4 rows \(first row 2, value 2\).*logistic"),
        (losses.SquaredHinge(), [-1.0, 1.0], r"neither 0 nor 1 in 1 of 2 rows \(first row 0, value -1.0\)"),
        (losses.Poisson(), [0.0, 3.0, -0.5], r"negative in 1 of 3 rows \(first row 2, value -0.5\).*counts"),
        (losses.Gamma(), [1.0, 0.0], r"zero or negative in 1 of 2 rows \(first row 1, value 0.0\)"),
        (losses.Multinomial(3), [0, 1, 3], r"whole number from 0 to 2 in 1 of 3 rows \(first row 2, value 3\)"),
        (losses.Multinomial(3), [0.0, 0.5], r"whole number from 0 to 2 in 1 of 2 rows \(first row 1, value 0.5\)"),
    ],
    ids=lambda x: x.name if hasattr(x, "name") else "",
)
def test_check_target_explains_the_domain(loss: Any, y: list[float], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        loss.check_target(np.array(y))


@pytest.mark.parametrize("delta", [0.0, -1.0, math.nan, math.inf, "wide", None])
def test_huber_rejects_its_delta(delta: Any) -> None:
    with pytest.raises(ProblemError, match=r"delta of the huber loss is .*give a positive finite number"):
        losses.Huber(delta).check()


@pytest.mark.parametrize("n_classes", [1, 0, 2.5, True, "3"])
def test_multinomial_rejects_its_number_of_classes(n_classes: Any) -> None:
    with pytest.raises(ProblemError, match=r"n_classes of the multinomial loss is .*give a whole number from 2"):
        losses.Multinomial(n_classes).check()


def test_check_returns_plain_types() -> None:
    huber = losses.Huber(2)
    assert type(huber.check().delta) is float
    assert type(losses.Multinomial(np.int32(4)).check().n_classes) is int  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [loss for loss in ALL_LOSSES if loss._fields == ("smoothness",)], ids=label)
def test_smoothness_is_no_hyper_parameter(loss: Any) -> None:
    with pytest.raises(ProblemError, match=f"{loss.name} loss has no hyper-parameter"):
        loss._replace(smoothness=7.0).check()
