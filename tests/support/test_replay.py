"""Replays count how cases end, and show those that fail or were asked for."""

from __future__ import annotations

import pytest

from support.replay import replay


def run(case: int) -> str:
    if case == 3:
        raise AssertionError("three is wrong")
    return "uncertified: 2" if case == 2 else "fine: 1"


def test_ranges_show_what_fails_and_what_is_worth_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(["0:5"], lambda seed: seed, run, lambda status: status.startswith("uncertified")) == 1
    *shown, counts = capsys.readouterr().out.splitlines()
    assert shown == ["2", "    uncertified: 2", "3", "    AssertionError: three is wrong"]
    assert counts == "{'fine': 3, 'uncertified': 1, 'failed': 1}"


def test_single_seeds_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(["1", "0"], lambda seed: seed, run) == 0
    assert capsys.readouterr().out.splitlines() == ["1", "    fine: 1", "0", "    fine: 1", "{'fine': 2}"]
