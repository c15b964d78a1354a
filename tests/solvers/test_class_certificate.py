"""The duality gap of the multinomial loss with an intercept, at points far from the optimum and near it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from conformance.oracle import Data, optimum
from offbeat import Problem, losses, penalties
from offbeat.problem import Certificate, Evaluation, Floats, Reference

N, K, CLASSES = 80, 4, 3


class Case:
    """A problem in plain NumPy, columns centred exactly."""

    def __init__(self, penalty: Any, weighted: bool) -> None:
        rng = np.random.default_rng(5)
        X = rng.standard_normal((N, K))
        self.weight = rng.random(N) + 0.1 if weighted else np.ones(N)
        self.X = X - np.average(X, axis=0, weights=self.weight)
        self.y = (rng.random(N) < 0.2) + (rng.random(N) < 0.3).astype(int)
        self.problem = Problem(losses.Multinomial(CLASSES), penalty)
        shares = np.bincount(self.y, self.weight, CLASSES) / N
        null = self.evaluate(np.zeros(K * CLASSES), np.log(shares))
        self.reference = Reference(1.0, 1.0, 0.0, True, 1e-6, shares, null.gradient)

    def evaluate(self, u: Floats, b: Floats) -> Evaluation:
        z = self.X @ u.reshape(K, CLASSES) + b
        theta = softmax(z, axis=1)
        theta[np.arange(N), self.y] -= 1.0
        theta *= self.weight[:, None]
        loss = self.weight @ (logsumexp(z, axis=1) - z[np.arange(N), self.y]) / N
        return Evaluation(float(loss), (self.X.T @ theta / N).ravel(), theta.sum(axis=0) / N, None, 0.0)

    def certify(self, u: Floats, b: Floats, reference: Reference | None = None) -> Certificate:
        penalty = self.problem.scaled_penalty(K)
        return self.problem.certify(penalty, u, self.evaluate(u, b), reference or self.reference, b)

    def best(self) -> float:
        return optimum(self.problem, Data(self.X, self.y.astype(float), self.weight))


each = pytest.mark.parametrize(
    ("penalty", "weighted"),
    [
        (penalties.L2(0.1), False),
        (penalties.L2(1e-3), True),
        (penalties.L1(0.02), True),
        (penalties.Box(-0.5, 0.5), False),
    ],
    ids=["l2", "l2-weighted", "l1-weighted", "box"],
)


@each
def test_the_dual_is_below_the_optimum_everywhere(penalty: Any, weighted: bool, rng: np.random.Generator) -> None:
    case = Case(penalty, weighted)
    best = case.best()
    for size in (10.0, 1.0, 0.1, 1e-3):
        for _ in range(20):
            c = case.certify(size * rng.standard_normal(K * CLASSES), size * rng.standard_normal(CLASSES))
            assert c.dual <= best + 1e-12


@each
def test_the_gap_closes_at_the_optimum(penalty: Any, weighted: bool, rng: np.random.Generator) -> None:
    """Of first order in the sums of the classes, as the intercepts are moved away from their best."""
    case = Case(penalty, weighted)
    u, b = np.zeros(K * CLASSES), np.log(case.reference.shares)  # type: ignore[arg-type]
    step = case.problem.scaled_penalty(K)
    for _ in range(3000):
        at = case.evaluate(u, b)
        u, b = step.prox(u - at.gradient, 1.0), b - at.intercept_gradient
    assert case.certify(u, b).gap < 1e-9
    towards = rng.standard_normal(CLASSES)
    gaps = [case.certify(u, b + t * towards).gap for t in (1e-2, 1e-3, 1e-4)]
    assert 0.0 < gaps[2] < 0.2 * gaps[1] < 0.04 * gaps[0]


def test_nothing_is_claimed_without_the_constants_of_the_data(rng: np.random.Generator) -> None:
    case = Case(penalties.L2(0.1), False)
    reference = case.reference._replace(null_gradient=None)
    c = case.certify(rng.standard_normal(K * CLASSES), rng.standard_normal(CLASSES), reference)
    assert (c.kind, c.dual) == ("gradient", -np.inf)


def without_a_class(penalty: Any, weighted: bool) -> Case:
    """Return a case whose last class has no targets: the best intercept of that class is minus infinity."""
    case = Case(penalty, weighted)
    case.y = np.minimum(case.y, 1)
    shares = np.bincount(case.y, case.weight, CLASSES) / N
    null = case.evaluate(np.zeros(K * CLASSES), np.array([*np.log(shares[:2]), -700.0]))
    case.reference = case.reference._replace(shares=shares, null_gradient=null.gradient)
    return case


@each
def test_a_class_that_never_occurs_leaves_a_true_bound(penalty: Any, weighted: bool, rng: np.random.Generator) -> None:
    case = without_a_class(penalty, weighted)
    best = case.best()
    for size in (10.0, 1.0, 0.1):
        for _ in range(20):
            c = case.certify(size * rng.standard_normal(K * CLASSES), size * rng.standard_normal(CLASSES))
            assert c.dual <= best + 1e-12


@each
def test_the_gap_closes_though_a_class_never_occurs(penalty: Any, weighted: bool) -> None:
    case = without_a_class(penalty, weighted)
    u, step = np.zeros(K * CLASSES), case.problem.scaled_penalty(K)
    b = np.array([*np.log(case.reference.shares[:2]), -700.0])  # type: ignore[index]
    for _ in range(3000):
        at = case.evaluate(u, b)
        u, b = step.prox(u - at.gradient, 1.0), b - at.intercept_gradient
    assert case.certify(u, b).gap < 1e-9
    gaps = [case.certify(u, np.array([*b[:2], low])).gap for low in (-8.0, -12.0, -16.0)]
    assert 0.0 < gaps[2] < 0.05 * gaps[1] < 0.0025 * gaps[0]


def test_a_rare_class_does_not_spoil_the_gap(rng: np.random.Generator) -> None:
    """What the intercept of a class is off by costs in proportion to the share of the class."""
    case = Case(penalties.L2(0.1), False)
    case.y = np.minimum(case.y, 1)
    case.y[0] = 2
    case.weight = np.where(case.y == 2, 1e-6, 1.0)
    case.X -= np.average(case.X, axis=0, weights=case.weight)
    shares = np.bincount(case.y, case.weight, CLASSES) / N
    null = case.evaluate(np.zeros(K * CLASSES), np.log(shares))
    case.reference = case.reference._replace(shares=shares, null_gradient=null.gradient)
    u, b = np.zeros(K * CLASSES), np.log(shares)
    for _ in range(3000):
        at = case.evaluate(u, b)
        u, b = u - at.gradient - 0.1 * u, b - at.intercept_gradient
    b[2] = np.log(shares[2]) + 1.0  # wrong by a factor of e
    assert case.certify(u, b).gap < 1e-4


def test_rounding_in_the_sums_of_classes_leaves_a_gap(rng: np.random.Generator) -> None:
    """At the optimum of a strong lasso all terms are rounding: a sum that is negative by as much is no failure."""
    case = Case(penalties.L1(10.0), True)
    b = np.log(case.reference.shares) + 3.0  # type: ignore[arg-type]
    at = case.evaluate(np.zeros(K * CLASSES), b)
    for _ in range(200):
        c = 1e-16 * rng.standard_normal(CLASSES) * case.reference.shares
        noisy = at._replace(intercept_gradient=c)
        found = case.problem.certify(case.problem.scaled_penalty(K), np.zeros(K * CLASSES), noisy, case.reference, b)
        assert 0.0 <= found.gap < 1e-13
