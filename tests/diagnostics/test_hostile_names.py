"""Names come from files of others: nothing in them becomes a part of a page."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from offbeat.diagnostics import Report, Trace
from offbeat.diagnostics.report import Comparison, comparison, fit_report, page

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></td><b>&amp;&",
    "{{ title }}{% raw %}",
)
HARMLESS = "column"


class _Parsed(HTMLParser):
    """Tags with their attributes, in order, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def _of_one_fit(name: str, trace: Trace) -> str:
    rows = [row._replace(note=name) for row in trace]
    report = Report(
        name,
        Trace(rows, {**trace.metadata, name: name, "solver": name}),
        settings={"loss": name, name: 1.0},
        data_summary={"target": name, name: 3},
        coefficients=[(name, 1.0, 1.0), (f"{name}=1", -1.0, -0.5)],
        metrics={name: 0.5},
        status=name,
    )
    return fit_report.render(report)


def _of_several(name: str, trace: Trace) -> str:
    named = {name: trace, f"{name} 2": Trace(list(trace), {**trace.metadata, "clock": "virtual"})}
    return comparison.render(Comparison(name, name, named, (name, "time"), [(name, 1.0)], {"Data": name, name: name}))


PAGES = (_of_one_fit, _of_several)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("render", PAGES)
def test_hostile_names_are_text(render: Callable[[str, Trace], str], name: str, trace: Trace) -> None:
    parsed = _Parsed(render(name, trace))
    assert parsed.tags == _Parsed(render(HARMLESS, trace)).tags
    assert "".join(parsed.text).count(name) >= 6


@pytest.mark.parametrize("render", PAGES)
def test_the_check_would_find_what_is_not_escaped(
    render: Callable[[str, Trace], str], trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    unescaped = page.environment().overlay(autoescape=False)
    monkeypatch.setattr(page, "environment", lambda: unescaped)
    harmless = _Parsed(render(HARMLESS, trace)).tags
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert _Parsed(render(name, trace)).tags != harmless
