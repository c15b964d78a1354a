"""Fits side by side: every one is drawn, named, and on an axis of time on which it can be seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from offbeat.diagnostics import Trace
from offbeat.diagnostics.plots import comparison_figure
from offbeat.diagnostics.plots.comparison_charts import BEYOND, MAX_WORKERS, fit_of
from offbeat.diagnostics.report import Comparison, write_comparison
from offbeat.diagnostics.report.comparison import render
from offbeat.errors import DataError
from offbeat.sideways.messages import Row


def stretched(trace: Trace, factor: float, **metadata: str) -> Trace:
    rows = [row._replace(time=row.time * factor, duration=row.duration * factor) for row in trace]
    return Trace(rows, {**trace.metadata, **metadata})


@pytest.fixture
def pair(trace: Trace) -> dict[str, Trace]:
    virtual = stretched(trace, 1.0, clock="virtual")
    return {"even": virtual, "_slow $x": stretched(virtual, 3.0)}


def test_one_panel_of_gaps_and_one_of_workers_for_each(pair: dict[str, Trace]) -> None:
    made = comparison_figure(pair)
    gaps, even, slow = made.axes
    assert gaps.get_yscale() == "log"
    assert gaps.get_ylabel() == "relative duality gap"
    assert [text.get_text() for text in made.legends[0].get_texts()] == ["even", "\u200a_slow \\$x", "tolerance 1e-06"]
    assert even.get_title(loc="left") == "even: certified after 1.2 s (3 workers)"
    assert slow.get_title(loc="left").endswith("slow \\$x: certified after 3.6 s (3 workers)")
    assert slow.get_xlabel() == "virtual time (s)"
    assert gaps.get_xlim() == even.get_xlim() == slow.get_xlim()
    assert [label.get_text() for label in even.get_yticklabels()] == ["worker 0", "worker 2"]


def test_fits_of_very_different_length_have_axes_of_their_own(pair: dict[str, Trace]) -> None:
    pair["endless"] = stretched(pair["even"], 40.0)
    gaps, even, _, endless = comparison_figure(pair).axes
    assert gaps.get_xscale() == "log"
    assert gaps.get_xlabel() == "virtual time (s)"
    assert even.get_xlim()[1] == pytest.approx(1.02 * 1200.0)  # ms
    assert endless.get_xlim()[1] == pytest.approx(1.02 * 48.0)
    assert (even.get_xlabel(), endless.get_xlabel()) == ("virtual time (ms)", "virtual time (s)")


def test_a_fit_that_never_converged_does_not_squeeze_the_others(pair: dict[str, Trace]) -> None:
    pair["lost"] = stretched(pair["even"], 10.0, status="max_iter")
    axes = comparison_figure(pair).axes
    assert axes[0].get_xlim()[1] == pytest.approx(1.02 * BEYOND * 3.6)
    assert "not certified after 12.0 s" in axes[3].get_title(loc="left")


def test_of_many_workers_some_are_shown(make_rows: Callable[..., list[Row]]) -> None:
    trace = Trace(make_rows(2, 100, 100), {"status": "converged"})
    fit = fit_of("many", trace)
    assert (fit.workers[0], fit.workers[-1], fit.n_workers) == (0, 99, 100)
    assert len(fit.workers) <= MAX_WORKERS
    assert set(fit.spans.worker) == set(fit.workers)
    assert fit.title.endswith("(100 workers, 32 of them shown)")


@pytest.mark.parametrize("name", ["c.html", "c.HTM", "c.png", "c.svg", "c.pdf"])
def test_it_is_written_by_its_ending(name: str, pair: dict[str, Trace], tmp_path: Path) -> None:
    write_comparison(Comparison("Compared", "so", pair, ("variant",), [("even",)]), tmp_path / name)
    assert (tmp_path / name).stat().st_size > 10_000


def test_other_endings_are_refused(pair: dict[str, Trace], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"should end in one of \.html"):
        write_comparison(Comparison("Compared", "", pair), tmp_path / "c.doc")


def test_the_page_says_what_it_is_given_and_loads_nothing(pair: dict[str, Trace]) -> None:
    page = render(
        Comparison("A <b>", "sub & title", pair, ("variant", "time"), [("<even>", 1.5)], {"Cluster": "16 workers"})
    )
    for text in ("A &lt;b&gt;", "sub &amp; title", "&lt;even&gt;", "16 workers", "certified after", "Settings"):
        assert text in page
    assert "<even>" not in page
    assert "src=" not in page.split("<main>")[1].split("</main>")[0]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Row(0.5)],
        [Row(0.0, gap=0.0)],
        [Row(0.1, 0.1, "step", worker=0)],
        [Row(0.1, math.nan, "step", worker=0), Row(0.2, gap=math.inf)],
    ],
)
@pytest.mark.parametrize("virtual", ["", "virtual"])
def test_thin_traces_are_drawn_without_complaint(rows: list[Row], virtual: str, trace: Trace, tmp_path: Path) -> None:
    for traces in ({"thin": Trace(rows, {"clock": virtual})}, {"thin": Trace(rows), "whole": trace}):
        write_comparison(Comparison("thin", "", traces), tmp_path / "c.png")
        render(Comparison("thin", "", traces))


def test_nothing_to_compare_is_no_error(tmp_path: Path) -> None:
    write_comparison(Comparison("none", "", {}), tmp_path / "c.png")
    assert "none" in render(Comparison("none", "", {}))
