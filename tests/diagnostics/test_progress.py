from __future__ import annotations

import io
import logging
import sys
from types import ModuleType

import pytest

from offbeat.diagnostics import Progress
from offbeat.diagnostics.display import Activity, in_notebook
from offbeat.sideways.messages import Row


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _update(time: float, gap: float = 1e-3, primal: float = 0.4) -> Row:
    return Row(time, passes=10 * time, primal=primal, gap=gap)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_drawn_in_the_first_two_seconds() -> None:
    out = _Terminal()
    with Progress("newton", 1e-6, 1000, stream=out) as progress:
        for time in (0.0, 1.0, 1.99):
            progress.update(_update(time))
    assert out.getvalue() == ""


def test_a_terminal_shows_the_fit_after_two_seconds() -> None:
    out = _Terminal()
    with Progress("newton", 1e-6, 325724, scale=1.0, stream=out) as progress:
        progress.update(_update(2.0))
    for part in (
        "newton",
        "gap 1.0e-03",
        "/ 1e-06",
        "━━━━━━━━━━━━",
        "objective 0.400000",
        "20 passes",
        "2.0 s",
        "325,724",
    ):
        assert part in out.getvalue(), part
    assert "\x1b[?25h" in out.getvalue()  # the cursor is back


def test_drawings_are_a_tenth_of_a_second_apart() -> None:
    out = _Terminal()
    with Progress("newton", 1e-6, 1000, stream=out) as progress:
        progress.update(_update(2.0))
        drawn = len(out.getvalue())
        for time in (2.01, 2.05, 2.09):
            progress.update(_update(time))
        assert len(out.getvalue()) == drawn
        progress.update(_update(2.11))
        assert len(out.getvalue()) > drawn


def test_the_last_state_is_drawn_at_the_end() -> None:
    out = _Terminal()
    with Progress("newton", 1e-6, 1000, scale=1.0, stream=out) as progress:
        progress.update(_update(2.0))
        progress.update(_update(2.01, gap=5e-7))
        assert "5.0e-07" not in out.getvalue()
    assert "5.0e-07" in out.getvalue()
    length = len(out.getvalue())
    progress.close()
    progress.update(_update(9.0))
    assert len(out.getvalue()) == length


def test_the_terminal_is_given_back_after_an_error() -> None:
    out = _Terminal()
    with pytest.raises(KeyboardInterrupt), Progress("newton", 1e-6, 1000, stream=out) as progress:
        progress.update(_update(3.0))
        raise KeyboardInterrupt
    assert "\x1b[?25h" in out.getvalue()


def test_narrow_and_plain_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(_Terminal):
        encoding = "ascii"

    out = Plain()
    with Progress("newton", 1e-6, 1000, scale=1.0, stream=out) as progress:
        progress.update(_update(2.0))
    assert "############------------" in "".join(part.split("m", 1)[-1] for part in out.getvalue().split("\x1b[")), (
        out.getvalue()
    )
    monkeypatch.setenv("COLUMNS", "60")
    out = Plain()
    with Progress("newton", 1e-6, 1000, stream=out) as progress:
        progress.update(_update(2.0))
    assert "#" not in out.getvalue()


def test_pipes_show_nothing_unless_asked() -> None:
    out = io.StringIO()
    with Progress("newton", 1e-6, 1000, stream=out) as progress:
        progress.update(_update(5.0))
    assert out.getvalue() == ""


def test_verbose_writes_plain_lines_at_once_and_not_too_many() -> None:
    out = io.StringIO()
    with Progress("newton", 1e-6, 1000, verbose=True, scale=1.0, stream=out) as progress:
        for tenth in range(31):
            progress.update(_update(0.1 * tenth))
    lines = out.getvalue().splitlines()
    assert lines[0] == "newton  0 passes  objective 0.400000  gap 1.0e-03 / 1e-06 (50 %)  0 ms  1,000 rows"
    assert len(lines) == 3  # at 0 s, 2 s and the end
    assert "\x1b" not in out.getvalue()


def test_verbose_false_never_draws() -> None:
    out = _Terminal()
    with Progress("newton", 1e-6, 1000, verbose=False, stream=out) as progress:
        progress.update(_update(60.0))
    assert out.getvalue() == ""


def test_a_program_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("newton", 1e-6, 1000, verbose=True) as progress:
        progress.update(_update(5.0))


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("newton", 1e-6, 1000, verbose=True) as progress:
        progress.update(_update(5.0))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("newton")


@pytest.mark.parametrize(
    ("gaps", "fraction"),
    [([1.0, 1e-3], 0.5), ([100.0, 1.0], 0.25), ([1.0, 1e-3, 1e-2], 0.5), ([1.0, 1e-9], 1.0), ([1.0, 0.0], 1.0)],
)
def test_way_done_is_on_a_log_scale_and_never_back(gaps: list[float], fraction: float) -> None:
    progress = Progress("newton", 1e-6, 1000, scale=1.0)
    for gap in gaps:
        progress.update(_update(0.1, gap=gap))
    assert progress.fraction == pytest.approx(fraction)


def test_unknown_values_keep_the_last_known_ones() -> None:
    progress = Progress("newton", 1e-6, 1000)
    assert progress.line(Row(0.1)) == "newton  0 passes  100 ms  1,000 rows"
    progress.update(_update(0.5, primal=2.0, gap=0.5))  # the first primal value becomes the scale
    progress.update(Row(0.6, passes=7.0))
    assert (
        progress.line(Row(0.6)) == "newton  7 passes  objective 2.00000  gap 2.5e-01 / 1e-06 (10 %)  600 ms  1,000 rows"
    )


def test_infinite_gaps_and_zero_tolerance() -> None:
    progress = Progress("newton", 0.0, 1000)
    progress.update(_update(0.5, gap=float("inf")))
    progress.update(_update(0.6, gap=0.1))
    assert "%" not in progress.line(Row(0.6))
    assert "gap 2.5e-01" in progress.line(Row(0.6))


def test_steps_do_not_change_the_state() -> None:
    progress = Progress("newton", 1e-6, 1000)
    progress.update(_update(0.5))
    before = progress.line(Row(1.0))
    progress.update(Row(0.7, 0.1, "step", passes=99.0, worker=1))
    assert progress.line(Row(1.0)) == before


def test_updates_are_logged_at_info_and_steps_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("newton", 1e-6, 1000, verbose=False)
    with caplog.at_level(logging.DEBUG, logger="offbeat"):
        progress.update(_update(0.5))
        progress.update(Row(0.7, 0.1, "step", worker=1, shard=4))
    assert [(record.name, record.levelname) for record in caplog.records] == [("offbeat", "INFO"), ("offbeat", "DEBUG")]
    assert "objective 0.4" in caplog.messages[0]
    assert "worker 1, shard 4" in caplog.messages[1]


def test_notebooks_replace_one_line_of_html(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class ZMQInteractiveShell: ...

    class Handle:
        def update(self, output: str) -> None:
            shown.append("updated " + output)

    def display(output: str, display_id: bool) -> Handle:
        assert display_id
        shown.append(output)
        return Handle()

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    package.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    module.HTML, module.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    assert in_notebook()
    with Progress("<newton>", 1e-6, 1000, scale=1.0) as progress:
        progress.update(_update(3.0))
        progress.update(_update(3.2))
    assert shown[0].startswith('<progress max="1" value="0.500"></progress> <code>&lt;newton&gt;')
    assert [line.startswith("updated ") for line in shown] == [False, True, True]


def test_outside_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_notebook()
    package = ModuleType("IPython")
    package.get_ipython = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    assert not in_notebook()


def test_an_activity_shows_on_a_terminal_and_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    out = _Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    with Activity("reading [x] ...") as activity:
        activity.say("scoring ...")
    assert "reading [x] ..." in out.getvalue() and "scoring ..." in out.getvalue()
    assert out.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor is back, the line is gone


def test_an_activity_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    out = _Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    with Activity(after=3600.0) as activity:
        activity.say("variant 1 of 2")
    assert out.getvalue() == ""


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (_Terminal(), True), (None, False)])
def test_an_activity_is_silent_in_pipes_and_when_told(
    stream: io.StringIO | None, quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with Activity("reading ...", quiet=quiet) as activity:
        activity.say("scoring ...")
        assert not activity.due
    assert stream is None or stream.getvalue() == ""
