"""A thousand experiments drawn from seeds: solvers, topologies, staleness, clusters, and everything that goes wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation.cases import draw, exact, judge, run

SEEDS = 1000
EACH = 25
REPLAY = "python tests/simulation/replay.py"


def fail(seed: int, error: Exception) -> str:
    """Return the one line that reproduces a failure, and what it was."""
    return f"{REPLAY} {seed}  # {type(error).__name__}: {error}"


def check(seeds: range) -> Counter[str]:
    """Run experiments; return how they ended."""
    found: Counter[str] = Counter()
    failures = []
    for seed in seeds:
        case = draw(seed)
        try:
            solution, watch = run(case)
            found[judge(case, solution)] += 1
            assert watch.events > 0
        except Exception as error:
            failures.append(fail(seed, error))
    assert not failures, "\n".join(failures)
    return found


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_whatever_goes_wrong_the_invariants_hold_and_the_certificate_is_true(first: int) -> None:
    seeds = range(first, first + EACH)
    found = check(seeds)
    expected = sum(exact(draw(seed).solver) for seed in seeds)
    assert found["converged"] + found["state lost"] >= expected


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(SEEDS, 20 * SEEDS, 20 * EACH))
def test_many_more_seeds(first: int) -> None:
    check(range(first, first + 20 * EACH))


def test_a_failure_says_how_to_see_it_again() -> None:
    assert fail(17, ValueError("the sum")) == "python tests/simulation/replay.py 17  # ValueError: the sum"
