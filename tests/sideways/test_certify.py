"""Certificates for methods that never look at one point on all the data: when they are taken, and what they say."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from conformance.oracle import objective
from offbeat import Problem, engines, losses, penalties, topology
from offbeat.data.shards import Workspace
from offbeat.sideways import evaluation
from offbeat.sideways.certify import SHARE, Certifier
from offbeat.sideways.messages import CERTIFY, Message
from offbeat.sideways.protocol import Candidate, Progress
from offbeat.solvers import ADMM, DelayedProximalGradient, DualAveraging
from support.bench import Bench, best, run

PROBLEM = Problem(losses.Logistic(), penalties.L2(0.02))
ENOUGH = 1.0 / SHARE


def candidate(bench: Bench, value: float = 0.0, **facts: float) -> Candidate:
    return Candidate(np.full(4, value), np.zeros(1), **facts)


def bench(tol: float = 1e-3) -> tuple[Bench, Certifier]:
    fit = Bench(PROBLEM, DelayedProximalGradient(), tol=tol)
    return fit, Certifier(PROBLEM, fit.info)


def evaluate(fit: Bench, certifier: Certifier, shards: Any = (0, 1, 2), number: int | None = None) -> Progress | None:
    """Have shards evaluate the point that is being certified; return what came of it."""
    progress = None
    for shard in shards:
        assert certifier.point is not None
        step = evaluation.local_step(PROBLEM, fit.shards[shard], Workspace(), certifier.point)
        clock = certifier.number if number is None else number
        progress = certifier.put(Message(0, shard, 0, shard, clock, "", step.payload, role=CERTIFY))
    return progress


def test_a_look_is_worth_a_tenth_of_the_work_of_every_shard() -> None:
    fit, certifier = bench()
    for shard in (0, 1):
        certifier.worked(5.0 * ENOUGH, shard)
    certifier.worked(ENOUGH - 0.1, 2)
    assert not certifier.wants(candidate(fit))
    certifier.worked(0.1, 2)
    assert certifier.wants(candidate(fit))
    certifier.begin(candidate(fit))
    assert not certifier.wants(candidate(fit))  # one at a time
    evaluate(fit, certifier)
    assert not certifier.wants(candidate(fit))  # and then it has to be earned again
    certifier.worked(ENOUGH)
    assert certifier.wants(candidate(fit))


def test_a_method_that_believes_it_is_done_is_asked_after_a_pass() -> None:
    fit, certifier = bench(tol=1e-3)
    hopeful = candidate(fit, estimate=0.9e-3)
    assert not certifier.wants(hopeful)
    certifier.worked(0.9)
    assert not certifier.wants(hopeful)
    certifier.worked(0.1)
    assert certifier.wants(hopeful)
    assert not certifier.wants(candidate(fit, estimate=1.1e-3))


def test_who_was_too_hopeful_must_be_surer_the_next_time() -> None:
    fit, certifier = bench(tol=1e-3)
    hopes = []
    for _ in range(4):
        certifier.worked(1.0)
        hope = next(e for e in 1e-3 * 0.5 ** np.arange(60) if certifier.wants(candidate(fit, 1.0, estimate=float(e))))
        hopes.append(hope)
        certifier.begin(candidate(fit, 1.0, estimate=float(hope)))
        progress = evaluate(fit, certifier)
        assert progress is not None and progress.certificate.relative_gap > 1e-3
    assert all(later <= 0.5 * before for before, later in pairwise(hopes))


def test_the_certificate_is_of_the_point_and_knows_the_best_bound() -> None:
    fit, certifier = bench()
    optimum = best(PROBLEM)
    dual = optimum - 1e-4
    certifier.wants(candidate(fit, dual=dual))
    certifier.worked(ENOUGH)
    point = candidate(fit, 0.1)
    certifier.begin(point)
    assert certifier.busy
    assert evaluate(fit, certifier, (2, 0)) is None
    progress = evaluate(fit, certifier, (1,))
    assert progress is not None and not certifier.busy
    coef = point.coef / fit.info.scale
    value = objective(PROBLEM, fit.given, coef, point.intercept - fit.info.center @ coef)
    assert_allclose(progress.certificate.primal, value, rtol=1e-12)
    assert_allclose(progress.certificate.gap, value - dual, rtol=1e-9)


def test_evaluations_of_another_point_or_of_nothing_are_ignored() -> None:
    fit, certifier = bench()
    certifier.begin(candidate(fit))
    assert evaluate(fit, certifier, number=0) is None
    assert evaluate(fit, certifier, number=2) is None
    assert evaluate(fit, certifier, (0, 0, 0)) is None
    assert evaluate(fit, certifier, (1, 2)) is not None
    assert evaluate(fit, certifier, (0,)) is None  # nobody asks any more


@pytest.mark.parametrize("where", [topology.Hub(), topology.Broadcast()], ids=lambda t: t.name)
@pytest.mark.parametrize("staleness", [0.0, math.inf])
def test_a_fit_spends_a_tenth_of_its_work_on_certificates(where: Any, staleness: float) -> None:
    watch: list[float] = []
    solution = run(
        PROBLEM, DualAveraging(batch=0.2), engine=engines.Simulated(4, straggler={1: 2.0}), staleness=staleness,
        topology=where, stealing=None, tol=0.0, max_iter=80.0, random_state=0,
        callback=lambda progress, row: watch.append(row.passes),
    )  # fmt: skip
    looks = len(watch)
    ahead = 1.0 if isinstance(where, topology.Hub) else 4.0 / 3.5  # among peers it is the lead's work that counts
    assert 3 <= looks <= SHARE * ahead * solution.passes + 1  # the last one is of what the budget has bought
    if isinstance(where, topology.Hub):
        steps = [row for row in solution.trace if row.kind == "step"]
        assert 4 * looks <= sum(row.note == "gradient" for row in steps) <= 4 * (looks + 1)


@pytest.mark.parametrize("solver", [ADMM(), DelayedProximalGradient()], ids=lambda s: s.name)
def test_the_loop_returns_the_best_of_the_points_it_certified(solver: Any) -> None:
    seen: list[Any] = []
    solution = run(
        PROBLEM, solver, engine=engines.Simulated(4, straggler={1: 5.0}), staleness=math.inf, tol=1e-7,
        callback=lambda progress, row: seen.append((progress.certificate.relative_gap, progress.coef[:, 0])),
    )  # fmt: skip
    gap, coef = min(seen, key=lambda pair: pair[0])
    assert solution.certificate.relative_gap == gap <= 1e-7
    np.testing.assert_array_equal(solution.coef, coef)
