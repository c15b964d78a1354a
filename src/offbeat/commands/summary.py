"""What a fit looks like on a terminal and in a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbeat.commands.fitting import FitResult
from offbeat.commands.scoring import Effect
from offbeat.diagnostics.formatting import duration
from offbeat.losses.questions import link_name, n_outputs
from offbeat.models.fitted import FittedModel

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

BAR_WIDTH = 20  # characters
MAX_COEFFICIENTS = 5000  # coefficients in a report: more only make it slow to open
ADVICE = {
    "max_iter": "the limit of passes was reached: raise --max-iter, or --tol",
    "time_limit": "the time was up: raise --time-limit, or --tol",
    "interrupted": "interrupted: this is the best model so far",
    "stalled": "rounding allows no further progress: raise --tol",
    "separable": "the classes are separated, so there is no optimum without a penalty: use --penalty l2",
}


def print_fit(console: Console, fitted: FitResult, n_effects: int = 10) -> None:
    """Print data, certificate, work, metrics and the largest standardised effects."""
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    for name, value in _facts(fitted):
        rows.add_row(name, value if isinstance(value, Text) else Text(value))
    console.print(rows)
    if fitted.effects:
        console.print()
        console.print(Text(_title(min(n_effects, len(fitted.effects)), fitted.model), style="bold"), soft_wrap=True)
        console.print(_effects(fitted.effects[:n_effects]))
    if fitted.files:
        console.print()
    for name, path in fitted.files.items():
        console.print(Text.assemble((f"{name.capitalize():<8}", "dim"), path), soft_wrap=True)


def _facts(fitted: FitResult) -> list[tuple[str, Any]]:
    data, solution = fitted.data, fitted.solution
    metadata = solution.trace.metadata
    held = f"; {data['held-out rows']:,} more held out" if "held-out rows" in data else ""
    facts: list[tuple[str, Any]] = [
        ("Data", f"{data['rows']:,} rows x {data['columns']:,} columns, {data['type']}{held}"),
        ("Model", _model_words(fitted)),
        ("Solver", f"{metadata.get('solver', '')} ({metadata.get('reason', '')})"),
        ("Certificate", _verdict(fitted)),
        ("", _figures(fitted)),
        ("Work", _work(fitted)),
    ]
    if fitted.scores:
        scores = "   ".join(f"{name} {value:.4f}" for name, value in fitted.scores.items())
        facts.append(("Held-out rows", scores))
    return facts


def _work(fitted: FitResult) -> str:
    solution = fitted.solution
    metadata = solution.trace.metadata
    passes = f"{solution.passes:.3g} pass{'' if solution.passes == 1 else 'es'} over the data"
    threads = f" on {metadata['workers']} threads" if metadata.get("engine") == "threads" else ""
    return f"{passes} in {duration(solution.seconds)}{threads}"


def _model_words(fitted: FitResult) -> str:
    """Name the loss and penalty as a statistician would."""
    model, name = fitted.model, fitted.settings["penalty"]
    numbers = ((key, getattr(model.penalty, key, None)) for key in ("alpha", "l1_ratio"))
    about = ", ".join(f"{key} {value:g}" for key, value in numbers if value is not None)
    if name == "none":
        return f"{model.loss.name} loss, no penalty"
    columns = "standardised columns" if fitted.settings["standardize"] else "columns as they are"
    return f"{model.loss.name} loss, {name} penalty ({about}) on {columns}"


def _verdict(fitted: FitResult) -> Text:
    from rich.text import Text

    c = fitted.solution.certificate
    what = "relative gap" if c.kind == "duality gap" else "relative gradient"
    sentence = f"{what} {c.relative_gap:.1e} (tolerance {c.tolerance:.0e})"
    if c.satisfied:
        return Text.assemble(("certified", "bold green"), f": {sentence}")
    why = ADVICE.get(fitted.solution.status, fitted.solution.status)
    return Text.assemble(("not certified", "bold yellow"), f": {sentence}; {why}")


def _figures(fitted: FitResult) -> str:
    c = fitted.solution.certificate
    if c.kind == "gradient":
        return f"objective {c.primal:.9g}   gradient {c.gap:.1e}   (no finite dual for this loss and penalty)"
    return f"primal {c.primal:.9f}   dual {c.dual:.9f}   gap {c.gap:.1e}"


def _effects(effects: list[Effect]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("feature", header_style="dim")
    table.add_column("coefficient", justify="right", header_style="dim")
    table.add_column("effect", justify="right", header_style="dim")
    table.add_column("")
    largest = max((abs(e.effect) for e in effects), default=0.0) or 1.0
    for e in effects:
        bar = Text("█" * max(round(BAR_WIDTH * abs(e.effect) / largest), 1), style="blue" if e.effect > 0 else "yellow")
        value = f"{e.coefficient:+.4g}" if e.coefficient else "0"
        table.add_row(Text(e.name), value, f"{e.effect:+.4f}" if e.effect else "0", bar if e.effect else "")
    return table


def _title(count: int, model: FittedModel) -> str:
    other = "decision value" if model.loss.classifier else "prediction"
    of = {"logit": "log-odds", "log": "log of the mean"}.get(link_name(model.loss) or "", other)
    target = model.settings.get("target_text") or model.settings.get("target")
    if model.loss.classifier and n_outputs(model.loss) == 1 and model.classes is not None and target is not None:
        of += f" of {target}" if "target_text" in model.settings else f" of {target}={model.classes[1]}"
    number = "Largest" if count < 10 else "Ten largest"
    return f"{number} standardised effects: change of the {of} per standard deviation"


def write_report(fitted: FitResult, path: Path, title: str) -> None:
    """Write the HTML report of a fit.

    Raises
    ------
    OSError
        ``path`` cannot be written.
    """
    from offbeat.diagnostics.report import Report
    from offbeat.diagnostics.report import write_report as write

    data = dict(fitted.data)
    if len(fitted.effects) > MAX_COEFFICIENTS:
        data["coefficients shown"] = f"the {MAX_COEFFICIENTS:,} largest effects of {len(fitted.effects):,}"
    path.parent.mkdir(parents=True, exist_ok=True)
    report = Report(
        title,
        fitted.solution.trace,
        certificate=fitted.solution.certificate,
        settings=fitted.settings,
        data_summary=data,
        coefficients=fitted.effects[:MAX_COEFFICIENTS],
        metrics={f"held-out {name}": value for name, value in fitted.scores.items()},
        status=fitted.solution.status,
    )
    write(report, path)
