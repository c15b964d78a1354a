"""What every penalty promises, for every penalty there is."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose

from conformance.brute import supremum
from conformance.registry import PENALTIES, label
from offbeat import penalties
from offbeat.errors import ProblemError
from offbeat.kernels import protocol  # noqa: F401

GRID = [-7.0, -2.0, -1.0, -0.55, -0.1, 0.0, 0.05, 0.2, 0.4, 0.6, 1.0, 2.0, 3.3, 50.0]
WEIGHTS = [0.0, 0.5, 1.0, 3.0]
STEPS = [1e-3, 0.7, 20.0]

each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=label)
each_weight = pytest.mark.parametrize("weight", WEIGHTS)


def test_the_registry_finds_the_penalties() -> None:
    assert {type(penalty).__name__ for penalty in PENALTIES} == set(penalties.__all__) - {"Penalty", "NonNegative"}
    assert len({type(p).name for p in PENALTIES}) == len({type(p) for p in PENALTIES})


@each_penalty
def test_attributes(penalty: Any) -> None:
    assert type(penalty).name == penalty.name
    assert isinstance(type(penalty).smooth, bool)
    assert penalty.weights is None
    assert penalty.check(3) == penalty


@each_penalty
def test_pickle_is_small(penalty: Any) -> None:
    dump = pickle.dumps(penalty)
    assert len(dump) < 200
    again = pickle.loads(dump)
    assert type(again) is type(penalty) and again == penalty
    assert not hasattr(penalty, "__dict__")
    weighted = pickle.loads(pickle.dumps(penalty._replace(weights=np.arange(3.0))))
    assert_allclose(weighted.weights, [0.0, 1.0, 2.0])


@each_penalty
@each_weight
def test_value_is_convex(penalty: Any, weight: float) -> None:
    for a, b in itertools.product(GRID, GRID):
        ends = penalty.value(a, weight), penalty.value(b, weight)
        middle = penalty.value(0.5 * (a + b), weight)
        assert math.inf in ends or middle <= 0.5 * sum(ends) + 1e-12 * (1.0 + middle)
        assert middle >= 0.0


@each_penalty
@each_weight
def test_prox_by_brute_force(penalty: Any, weight: float) -> None:
    for v, step in itertools.product(GRID, STEPS):
        u = penalty.prox(v, step, weight)

        def objective(x: float, v: float = v, step: float = step) -> float:
            return 0.5 * (x - v) ** 2 + step * penalty.value(x, weight)

        best = objective(u)
        assert math.isfinite(best)
        near = [u + s * 10.0**-k for s in (-1.0, 1.0) for k in range(8)]
        for x in [*GRID, *np.linspace(-3.0, 3.0, 61).tolist(), *near]:
            # The objective is strongly convex, so its minimiser leaves this much room everywhere.
            assert objective(x) >= best + 0.5 * (x - u) ** 2 - 1e-12 * (1.0 + best), (v, step, x)


@each_penalty
@each_weight
def test_conjugate_by_brute_force(penalty: Any, weight: float) -> None:
    for v in GRID:
        sup = []
        for size in (1e3, 4e3):
            low, high = max(-size, getattr(penalty, "lower", -size)), min(size, getattr(penalty, "upper", size))
            sup.append(supremum(lambda w, v=v: v * w - penalty.value(w, weight), low, high))
        conjugate = penalty.conjugate(v, weight)
        if math.isinf(conjugate):
            assert sup[1] > 2.0 * sup[0] > 0.0
        else:
            assert_allclose(conjugate, sup[1], rtol=1e-8, atol=1e-8, err_msg=f"{v}")


@each_penalty
@each_weight
def test_fenchel_young(penalty: Any, weight: float) -> None:
    for w, v in itertools.product(GRID, GRID):
        value, conjugate = penalty.value(w, weight), penalty.conjugate(v, weight)
        assert value + conjugate >= v * w - 1e-12 * (1.0 + abs(v * w))
    for v, step in itertools.product(GRID, STEPS):
        u = penalty.prox(v, step, weight)
        slope = (v - u) / step  # a subgradient at u, but for rounding
        scale = penalty.dual_scale(slope, weight)
        assert scale >= 1.0 - 1e-10 or abs(slope) < 1e-11
        slack = penalty.value(u, weight) + penalty.conjugate(scale * slope, weight) - u * slope
        assert abs(slack) <= 1e-9 * (1.0 + abs(u * slope)), (v, step)


@each_penalty
@each_weight
def test_dual_scale_reaches_the_edge_of_the_domain(penalty: Any, weight: float) -> None:
    for v in [*GRID, *np.random.default_rng(0).normal(size=200).tolist()]:
        scale = penalty.dual_scale(v, weight)
        assert 0.0 <= scale <= 1.0
        assert math.isfinite(penalty.conjugate(scale * v, weight)), v
        if scale < 1.0:
            assert math.isinf(penalty.conjugate((scale * (1.0 + 1e-12) + 1e-300) * v, weight)), v


@each_penalty
@each_weight
def test_subgradient_distance_vanishes_at_the_fixed_points_of_prox(penalty: Any, weight: float) -> None:
    for v, step in itertools.product(GRID, STEPS):
        u = penalty.prox(v, step, weight)
        gradient = (u - v) / step
        assert penalty.subgradient_distance(u, gradient, weight) <= 1e-12 * (1.0 + abs(gradient) + 1.0 / step)


@each_penalty
@each_weight
def test_subgradient_distance_is_the_steepest_descent(penalty: Any, weight: float) -> None:
    step = 1e-6
    for w, gradient in itertools.product([*GRID, 0.3, 0.9], GRID):
        value = penalty.value(w, weight)
        distance = penalty.subgradient_distance(w, gradient, weight)
        if math.isinf(value):
            assert math.isinf(distance)
            continue
        descents = [(value - penalty.value(w + side * step, weight)) / step - side * gradient for side in (-1.0, 1.0)]
        assert_allclose(distance, max(0.0, *descents), rtol=1e-4, atol=1e-5 * (1.0 + value), err_msg=f"{w, gradient}")


@each_penalty
@each_weight
def test_curvature_is_the_second_difference(penalty: Any, weight: float) -> None:
    inside = 0
    for w in (-1.5, -0.75, 0.5, 0.75, 1.5):
        around = [penalty.value(w + step, weight) for step in (-0.01, 0.0, 0.01)]
        if all(map(math.isfinite, around)):
            inside += 1
            bend = (around[0] - 2.0 * around[1] + around[2]) / 1e-4
            assert_allclose(bend, penalty.curvature(weight), rtol=1e-8, atol=1e-8)
    assert inside or penalty.lower == penalty.upper


def has_kink(penalty: Any) -> bool:
    """Whether slopes to the left and to the right differ at a point of the grid, or a side is infinite."""
    for w in [*GRID, 0.3, 0.9]:
        left, middle, right = (penalty.value(w + step, 1.0) for step in (-1e-7, 0.0, 1e-7))
        if math.isinf(left + right) or abs(left - 2.0 * middle + right) > 1e-10 * (1.0 + middle):
            return True
    return False


@pytest.mark.parametrize("cls", sorted({type(penalty) for penalty in PENALTIES}, key=lambda cls: cls.name))
def test_smooth_means_one_derivative_everywhere(cls: Any) -> None:
    assert cls.smooth != any(has_kink(penalty) for penalty in PENALTIES if type(penalty) is cls)


@each_penalty
@each_weight
def test_nan_stays_nan(penalty: Any, weight: float) -> None:
    assert math.isnan(penalty.prox(math.nan, 0.5, weight))
    assert math.isnan(penalty.subgradient_distance(0.4, math.nan, weight)) or penalty.value(0.4, weight) == math.inf


@each_penalty
@given(
    v=st.floats(-100.0, 100.0),
    other=st.floats(-100.0, 100.0),
    step=st.floats(1e-6, 1e3),
    weight=st.floats(0.0, 10.0),
)
def test_prox_is_firmly_non_expansive(penalty: Any, v: float, other: float, step: float, weight: float) -> None:
    move = penalty.prox(v, step, weight) - penalty.prox(other, step, weight)
    assert move * move <= move * (v - other) + 1e-12 * (1.0 + abs(v) + abs(other))


@njit(cache=True, nogil=True, error_model="numpy")
def compiled(penalty: Any, w: Any, v: Any, step: Any, weight: Any, out: Any) -> None:
    for i in range(w.shape[0]):
        out[0, i] = penalty.value(w[i], weight[i])
        out[1, i] = penalty.prox(v[i], step[i], weight[i])
        out[2, i] = penalty.conjugate(v[i], weight[i])
        out[3, i] = penalty.dual_scale(v[i], weight[i])
        out[4, i] = penalty.subgradient_distance(w[i], v[i], weight[i])
        out[5, i] = penalty.curvature(weight[i])


FIRST_OF_EACH = list({type(penalty): penalty for penalty in PENALTIES}.values())
COMPILED = [*PENALTIES, *(penalty._replace(weights=np.ones(2)) for penalty in FIRST_OF_EACH)]


@pytest.mark.parametrize("penalty", COMPILED, ids=lambda p: label(p) + ("" if p.weights is None else "-weighted"))
def test_python_and_numba_agree(penalty: Any) -> None:
    rows = list(itertools.product(GRID, GRID, STEPS, WEIGHTS))
    out = np.empty((6, len(rows)))
    compiled(penalty, *np.array(rows).T.copy(), out)
    for i, (w, v, step, weight) in enumerate(rows):
        expected = [
            penalty.value(w, weight),
            penalty.prox(v, step, weight),
            penalty.conjugate(v, weight),
            penalty.dual_scale(v, weight),
            penalty.subgradient_distance(w, v, weight),
            penalty.curvature(weight),
        ]
        for got, want in zip(out[:, i].tolist(), expected, strict=True):
            assert got == want or abs(got - want) <= 1e-13 * (1.0 + abs(want)), (w, v, step, weight)


def test_known_values() -> None:
    assert penalties.L2(3.0).value(2.0, 0.5) == 3.0
    assert penalties.L1(3.0).value(-2.0, 0.5) == 3.0
    assert penalties.ElasticNet(2.0, l1_ratio=0.25).value(-2.0, 1.0) == 4.0
    assert penalties.Box(-1.0, 1.0, alpha=2.0).value(1.0, 0.5) == 0.5
    assert penalties.Box(-1.0, 1.0).value(1.5, 1.0) == math.inf
    assert penalties.Zero().value(5.0, 1.0) == 0.0


def test_non_negative_is_a_box() -> None:
    assert penalties.NonNegative(0.5) == penalties.Box(0.0, math.inf, 0.5)
    assert type(penalties.NonNegative()) is penalties.Box


@each_penalty
def test_check_returns_canonical_types(penalty: Any) -> None:
    given_weights = [1, 0, 2]
    checked = penalty._replace(weights=given_weights).check(3)
    assert type(checked) is type(penalty)
    assert checked.weights.dtype == np.float64 and checked.weights.tolist() == given_weights
    assert all(type(field) is float for field in checked[:-1])
    assert type(penalties.L2(1).check(3).alpha) is float


@each_penalty
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1.0, -2.0], r"2 of 3 weights .* negative.*first at position 1: -1.0"),
        ([1.0, 2.0, math.nan], r"1 of 3 weights .* NaN.*first at position 2: nan"),
        ([math.inf, 2.0, 1.0], r"1 of 3 weights .* infinite.*first at position 0: inf"),
        ([1.0, 2.0], r"shape \(2,\); give one for each of 3 features"),
        ([[1.0, 2.0, 3.0]], r"shape \(1, 3\)"),
        (1.0, r"shape \(\)"),
        (["a", "b", "c"], r"no numbers .*give floats"),
    ],
    ids=["negative", "nan", "infinite", "short", "nested", "scalar", "strings"],
)
def test_check_rejects_weights(penalty: Any, weights: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        penalty._replace(weights=weights).check(3)


@pytest.mark.parametrize("cls", [penalties.L1, penalties.L2, penalties.ElasticNet, penalties.NonNegative])
@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf, "much", None])
def test_check_rejects_alpha(cls: Any, alpha: Any) -> None:
    with pytest.raises(ProblemError, match=r"alpha of the penalty is .*; give a (finite )?number from 0"):
        cls(alpha).check(3)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (penalties.Zero(1.0), r"no penalty at all, but alpha is 1.0; use L2"),
        (penalties.ElasticNet(1.0, 1.5), r"l1_ratio of the penalty is 1.5; give a number from 0 to 1"),
        (penalties.ElasticNet(1.0, -0.1), r"l1_ratio of the penalty is -0.1; give a number from 0 to 1"),
        (penalties.ElasticNet(1.0, math.nan), r"l1_ratio of the penalty is nan"),
        (penalties.Box(1.0, 0.0), r"box from 1 to 0; give lower <= upper"),
        (penalties.Box(math.inf, math.inf), r"box from inf to inf"),
        (penalties.Box(-math.inf, -math.inf), r"box from -inf to -inf"),
        (penalties.Box(math.nan, 1.0), r"lower bound of the box is nan; give a number"),
        (penalties.Box(0.0, math.nan), r"upper bound of the box is nan; give a number"),
    ],
    ids=lambda thing: "" if isinstance(thing, str) else label(thing),
)
def test_check_rejects_hyper_parameters(penalty: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        penalty.check(3)
