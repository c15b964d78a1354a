from __future__ import annotations

import html
import json
import math
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from offbeat.diagnostics import Report, Trace, write_report
from offbeat.diagnostics.plots.coefficient_chart import shorten
from offbeat.diagnostics.report.draw_bokeh import plain
from offbeat.diagnostics.report.fit_report import render
from offbeat.diagnostics.report.verdict import certificate_of, verdict
from offbeat.problem import Certificate
from offbeat.sideways.messages import Row

CERTIFIED = Certificate(0.4, 0.3999999, 1e-7, 1.4e-7, "duality gap", 1e-6)


class _Page(HTMLParser):
    """What a browser would load, and the text it would show."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append(tag)
        named = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.loads += [named["src"] or ""] if "src" in named else []
        if tag in ("link", "object", "base"):
            self.loads.append(named.get("href") or named.get("data") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def report(trace: Trace) -> Report:
    coefficients = [(f"feature {i}", 0.1 * i, (-1) ** i * 0.01 * i) for i in range(50)]
    return Report(
        title="Late flights",
        trace=trace,
        certificate=CERTIFIED,
        settings={"loss": "Logistic()", "fit_intercept": True},
        data_summary={"rows": 325724, "columns": 45},
        coefficients=coefficients,
        metrics={"test AUC": 0.7612},
    )


def _charts(page: str) -> list[dict[str, object]]:
    """Bokeh models of the page."""
    document = re.search(r"const docs_json = '(.*)';\n", page)
    assert document is not None
    text = document.group(1).replace("\\'", "'").replace("\\\\", "\\")
    found: list[dict[str, object]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object":
                found.append(node)
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(json.loads(html.unescape(text)))
    return found


def test_the_page_loads_nothing(report: Report) -> None:
    page = render(report)
    assert _Page(page).loads == []
    assert not re.search(r"<script[^>]*\ssrc=", page)
    assert not re.search(r"<link[^>]*href=", page)
    assert not re.search(r"@import|url\(\s*['\"]?http", page)
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page


def test_the_page_shows_what_it_was_given(report: Report) -> None:
    words = _Page(render(report)).words
    for part in (
        "Late flights", "Certified optimal", "within 1.4e-07", "tolerance 1e-06", "reached the tolerance",
        "0.7612", "325,724", "Logistic()", "few columns", "worker 2", "50 coefficients, 1 of them exactly zero",
        "The 30 largest are drawn", "1e-03", "(tolerance)",
    ):  # fmt: skip
        assert part in words, part


def test_charts_of_the_page(report: Report) -> None:
    names = [str(model["name"]) for model in _charts(render(report))]
    assert names.count("Figure") == 6  # four of convergence, the stream, the bars
    assert names.count("DataTable") == 1
    assert names.count("LogAxis") == 2
    for name in ("TextInput", "Quad", "HoverTool", "WheelZoomTool", "BoxZoomTool", "ResetTool"):
        assert name in names, name


def test_coefficients_are_sorted_by_size_with_unknown_ones_last(trace: Trace) -> None:
    coefficients = [("unknown", 5.0, math.nan), ("small", 1.0, 0.1), ("large", 1.0, -3.0)]
    page = render(Report("t", trace, coefficients=coefficients))
    sources = [m for m in _charts(page) if m["name"] == "ColumnDataSource"]
    names = [
        column[1] for m in sources for column in m["attributes"]["data"]["entries"] if column[0] in ("feature", "name")
    ]  # type: ignore[index]
    assert [list(column) for column in names] == [["large", "small"], ["large", "small", "unknown"]]


def test_only_unknown_effects_leave_the_table(trace: Trace) -> None:
    names = [m["name"] for m in _charts(render(Report("t", Trace(), coefficients=[("a", 1.0, math.nan)])))]
    assert "Quad" not in names
    assert "DataTable" in names


@pytest.mark.parametrize(
    ("certificate", "badge", "said"),
    [
        (CERTIFIED, "Certified optimal", "proven to be within 1.4e-07 of the lowest"),
        (Certificate(0.4, 0.3, 0.1, 0.14, "duality gap", 1e-6), "Not certified", "1e-06 was asked for"),
        (Certificate(0.4, -math.inf, 1e-9, 1e-8, "gradient", 1e-6), "Certified optimal", "size of the gradient"),
        (Certificate(0.4, -math.inf, 0.1, 0.1, "gradient", 1e-6), "Not certified", "size of the gradient"),
        (Certificate(0.4, -math.inf, math.inf, math.inf, "duality gap", 1e-6), "Not certified", "is not known"),
        (Certificate(0.4, 0.3, math.nan, math.nan, "duality gap", 1e-6), "Not certified", "is not known"),
        (None, "Not certified", "no certificate"),
    ],
)
def test_verdict(certificate: Certificate | None, badge: str, said: str) -> None:
    made = verdict(certificate, "time_limit")
    assert made.badge == badge
    assert made.certified == (badge == "Certified optimal")
    assert said in made.said
    assert "stopped at its time limit" in made.said


def test_unknown_statuses_are_shown_as_they_are() -> None:
    assert verdict(CERTIFIED, "out of luck").said.endswith("Stopped: out of luck.")


def test_certificate_is_read_off_the_trace_when_not_given(trace: Trace) -> None:
    certificate = certificate_of(trace)
    assert certificate is not None
    assert certificate.satisfied
    assert certificate.relative_gap == pytest.approx(10**-7.5)
    assert "Certified optimal" in render(Report("t", trace))
    assert certificate_of(Trace(list(trace))) is None
    assert certificate_of(Trace(metadata={"gap_scale": "1"})) is None


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Row(0.5)],
        [Row(0.5, primal=0.4, dual=0.3, gap=0.1)],
        [Row(0.5, passes=1.0, primal=0.4, dual=-math.inf, gap=math.inf)],
        [Row(math.nan, primal=0.4, gap=0.1)],
        [Row(0.0, gap=0.0), Row(0.0, gap=-1.0)],
        [Row(0.1, 0.1, "step", worker=0)],
        [Row(0.0, 0.0, "step", worker=7), Row(0.1, math.nan, "step", worker=7)],
        [Row(0.0, math.nan, "step", worker=7)],
    ],
)
def test_thin_traces_make_whole_pages(rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    write_report(Report("thin", Trace(rows), coefficients=[("a", 1.0, 0.0)]), path)
    page = path.read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "$" not in "".join(_Page(page).text)  # no part of the template was left


def test_empty_trace_says_what_is_missing() -> None:
    words = _Page(render(Report("t", Trace()))).words
    assert "No update was recorded." in words
    assert "No step was recorded." in words


def test_everything_is_escaped(trace: Trace) -> None:
    evil = "</script><blink>alert(1)</blink>$title"
    rows = [row._replace(note=evil) for row in trace]
    report = Report(
        evil, Trace(rows, {evil: evil}), settings={evil: evil}, data_summary={evil: evil},
        coefficients=[(evil, 1.0, 1.0)], metrics={evil: math.nan}, status=evil,
    )  # fmt: skip
    page = render(report)
    assert "<blink>" not in page
    assert _Page(page).tags.count("blink") == 0
    assert f"<title>{html.escape(evil)}</title>" in page


def test_tex_in_names_does_not_ask_for_mathjax() -> None:
    for text in ("$$x$$", r"\[x\]", r"\(x\)"):
        assert not re.search(r"\$\$|\\\[|\\\(", plain(text))
    assert plain("a$b\\c") == "a$b\\c"


def test_long_names_keep_both_ends() -> None:
    short = shorten("airport=" + "x" * 50 + "=New York", 30)
    assert len(short) == 30
    assert short.startswith("airport=x")
    assert short.endswith("=New York")
    assert shorten("abc", 3) == "abc"


def test_many_steps_are_joined_and_the_page_says_so(make_rows: Callable[..., list[Row]]) -> None:
    page = render(Report("t", Trace(make_rows(updates=2500, workers=4, shards=12))))
    said = re.search(r"30,000 steps are drawn as ([\d,]+) bars", _Page(page).words)
    assert said is not None
    assert int(said.group(1).replace(",", "")) <= 20_000
    assert len(page) < 8_000_000


def test_what_was_moved_to_workers_is_drawn_and_counted(make_rows: Callable[..., list[Row]]) -> None:
    moved = [Row(0.1, 0.2, "transfer", worker=1, bytes=5_000_000, note=what) for what in ("rows", "shard")]
    with_moves, without = (render(Report("t", Trace([*make_rows(), *more]))) for more in (moved, []))
    assert "9.5 MiB" in _Page(with_moves).words and "400 ms" in _Page(with_moves).words
    assert '"transfer"' in with_moves and "moved there" not in without
    assert "idle" in _Page(without).words


def test_a_failed_write_leaves_nothing(report: Report, tmp_path: Path) -> None:
    (tmp_path / "r.html").mkdir()
    with pytest.raises(OSError, match=r"r\.html"):
        write_report(report, tmp_path / "r.html")
    assert os.listdir(tmp_path) == ["r.html"]
    with pytest.raises(FileNotFoundError):
        write_report(report, tmp_path / "missing" / "r.html")
