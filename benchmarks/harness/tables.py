"""Results as tables: on a terminal, as Markdown, as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.table import Table

from benchmarks.harness.results import Entry, Race

MIB = 2**20


def power(accuracy: float) -> str:
    """Return an accuracy as in `1e-6`."""
    mantissa, exponent = f"{accuracy:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def seconds(value: float) -> str:
    """Return a time in three digits: seconds, or milliseconds below a tenth of a second."""
    if not math.isfinite(value):
        return "never"
    if value < 0.1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def rank(race: Race) -> list[Entry]:
    """Return those who ran, the first at the tightest accuracy first."""

    def key(entry: Entry) -> tuple[float, ...]:
        return tuple(entry.seconds(a) for a in reversed(race.spec.accuracies))

    return sorted((e for e in race.entries if e.rungs), key=key)


def cell(race: Race, entry: Entry, accuracy: float) -> str:
    """Return the time, and how many times our own that is."""
    own = entry.seconds(accuracy)
    ours = race.fastest(accuracy, ours=True)
    if not math.isfinite(own):
        return f"> {seconds(max(m.median for m in entry.rungs))}" if entry.stopped else "never"
    if ours is None or entry.ours:
        return seconds(own)
    return f"{seconds(own)} ({own / ours.seconds(accuracy):.2g}x)"


def memory(entry: Entry) -> str:
    """Return the extra memory of its greediest fit."""
    return "" if entry.extra_bytes is None else f"{entry.extra_bytes / MIB:,.0f} MiB"


def rows(race: Race) -> list[list[str]]:
    """Return the table, one row a solver."""
    return [
        [
            entry.solver, *(cell(race, entry, a) for a in race.spec.accuracies), memory(entry),
            "" if entry.first_seconds is None else seconds(entry.first_seconds),
        ]
        for entry in rank(race)
    ]  # fmt: skip


def heads(race: Race) -> list[str]:
    """Return the heads of its columns."""
    return ["solver", *(f"to {power(a)}" for a in race.spec.accuracies), "extra memory", "first small fit"]


def lead(race: Race, accuracy: float) -> float | None:
    """Return how many times faster we are than the fastest peer; None without either."""
    ours, peer = race.fastest(accuracy, ours=True), race.fastest(accuracy, ours=False)
    return None if ours is None or peer is None else peer.seconds(accuracy) / ours.seconds(accuracy)


def verdict(race: Race) -> str:
    """Return one line: the fastest peer at each accuracy, and how many times faster we are."""
    parts = []
    for accuracy in race.spec.accuracies:
        peer, times = race.fastest(accuracy, ours=False), lead(race, accuracy)
        if peer is None:
            parts.append(f"{power(accuracy)}: no peer")
        elif times is None:
            parts.append(f"{power(accuracy)}: {peer.solver} {seconds(peer.seconds(accuracy))}")
        else:
            parts.append(f"{power(accuracy)}: {times:.2g}x ({peer.solver})")
    return "fastest peer / offbeat: " + ", ".join(parts)


def rich_table(race: Race) -> Table:
    """Return the table for a terminal."""
    caption = "\n".join(text for text in (verdict(race), race.spec.note) if text)
    table = Table(
        title=f"{race.spec.title} ({race.rows:,} x {race.columns:,})", caption=caption, caption_justify="left"
    )
    for number, head in enumerate(heads(race)):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for entry, row in zip(rank(race), rows(race), strict=True):
        table.add_row(*row, style="bold green" if entry.ours else "")
    return table


def excluded(race: Race) -> str:
    """Return who could have run but did not, by reason; solvers for another kind of problem are not worth a word."""
    reasons: dict[str, list[str]] = {}
    for entry in race.entries:
        if entry.excluded and not entry.excluded.endswith((" loss", " path", "whole paths")):
            reasons.setdefault(entry.excluded, []).append(entry.solver)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def markdown(races: list[Race], machine: dict[str, Any], versions: dict[str, str]) -> str:
    """Return all tables as Markdown."""
    lines = [
        f"{machine['date']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['threads']} threads, "
        f"Python {machine['python']}; " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    for race in races:
        head = heads(race)
        lines += [
            "",
            f"### {race.spec.title}",
            "",
            f"{race.rows:,} x {race.columns:,}, {race.spec.dtype}. {race.spec.note}",
        ]
        lines += ["", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        for entry, row in zip(rank(race), rows(race), strict=True):
            cells = [f"**{text}**" if entry.ours and text else text for text in row]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", verdict(race) + "."]
        if excluded(race):
            lines += ["", f"Not in this race: {excluded(race)}."]
    return "\n".join(lines) + "\n"


def record(race: Race) -> dict[str, Any]:
    """Return everything measured, in types that JSON knows."""
    entries = [
        {**asdict(entry), "seconds_to": {power(a): entry.seconds(a) for a in race.spec.accuracies}}
        for entry in race.entries
    ]
    found: dict[str, Any] = _finite(
        {
            "problem": asdict(race.spec), "rows": race.rows, "columns": race.columns, "alphas": race.alphas,
            "scale": race.scale, "optimum": race.optimum, "entries": entries,
        }
    )  # fmt: skip
    return found


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for by None."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
