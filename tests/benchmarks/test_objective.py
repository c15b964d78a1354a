from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.harness import objective, reference
from benchmarks.harness.problem import Strength

LOSSES = ("logistic", "squared", "poisson")


def gradient(problem, coef, intercept):
    """Central differences of the objective without its L1 part."""
    smooth = replace(problem, alphas=problem.alphas * (1 - problem.l1_ratio), l1_ratio=0.0)
    point, found = np.append(coef, intercept), []
    for j in range(point.size):
        step = np.zeros(point.size)
        step[j] = 1e-5
        up, down = point + step, point - step
        above = objective.objectives(smooth, up[None, :-1], up[-1:])[0]
        found.append((above - objective.objectives(smooth, down[None, :-1], down[-1:])[0]) / 2e-5)
    return np.array(found)


@pytest.mark.parametrize("loss", (*LOSSES, "hinge", "squared-hinge"))
def test_objective_is_the_plain_sum(make_problem, loss):
    problem = make_problem(loss, l1_ratio=0.25, alphas=(0.3,), fit_intercept=True)
    w, b = np.linspace(-0.5, 0.5, 6), 0.2
    total = 0.0
    for row, target in zip(problem.X, problem.y, strict=True):
        z = float(row @ w) + b
        total += {
            "logistic": math.log1p(math.exp(z)) - target * z,
            "squared": (z - target) ** 2 / 2,
            "poisson": math.exp(z) - target * z,
            "hinge": max(0.0, 1 - (2 * target - 1) * z),
            "squared-hinge": max(0.0, 1 - (2 * target - 1) * z) ** 2 / 2,
        }[loss]
    expected = total / 300 + 0.3 * (0.25 * np.abs(w).sum() + 0.75 / 2 * (w @ w))
    assert objective.objectives(problem, w[None], np.array([b]))[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_reference_is_optimal(make_problem, loss, l1_ratio, fit_intercept):
    problem = make_problem(loss, l1_ratio, (0.05,), fit_intercept)
    coef, intercept = reference.solve(problem)
    g = gradient(problem, coef[0], intercept[0])
    bound = problem.alpha * l1_ratio
    used = coef[0] != 0
    assert np.abs(g[:-1][used] + bound * np.sign(coef[0][used])).max() < 1e-7
    assert np.abs(g[:-1][~used]).max(initial=0.0) <= bound + 1e-7
    if fit_intercept:
        assert abs(g[-1]) < 1e-7
    else:
        assert intercept[0] == 0.0


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_lambda_max_is_where_the_first_coefficient_appears(make_problem, loss, fit_intercept):
    plain = make_problem(loss)
    largest = objective.lambda_max(loss, plain.X, plain.y, fit_intercept)
    path = make_problem(loss, 1.0, (1.001 * largest, 0.98 * largest), fit_intercept)
    coef, _ = reference.solve(path)
    assert np.count_nonzero(coef[0]) == 0
    assert np.count_nonzero(coef[1]) == 1


def test_scale_of_poisson_is_above_the_saturated_model(make_problem):
    problem = make_problem("poisson", fit_intercept=True)
    y = problem.y
    deviance = 2 * np.where(y > 0, y * np.log(np.maximum(y, 1) / y.mean()), 0).mean()
    assert objective.scale(problem) == pytest.approx(deviance / 2, rel=1e-12)


def test_scale_of_logistic_is_log_two_without_intercept(make_problem):
    assert objective.scale(make_problem()) == pytest.approx(math.log(2.0), rel=1e-14)


def test_a_coefficient_that_is_not_finite_is_infinitely_bad(make_problem):
    coef = np.full((1, 6), np.nan)
    assert objective.objectives(make_problem(), coef, np.zeros(1))[0] == math.inf


def test_strengths():
    assert Strength("C", 2.0).alphas(50, 0.0, 0.0) == pytest.approx([0.01])
    assert Strength("lambda_max", 0.1).alphas(50, 3.0, 0.5) == pytest.approx([0.6])
    assert Strength("alpha", 1.0, length=3, last=1e-2).alphas(50, 0.0, 0.0) == pytest.approx([1.0, 0.1, 0.01])
    with pytest.raises(ValueError, match="L1 part"):
        Strength("lambda_max", 0.1).alphas(50, 3.0, 0.0)
