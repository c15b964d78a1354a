"""The command ``offbeat``."""

from __future__ import annotations

from typing import Annotated

import typer

import offbeat
from offbeat.commands import bench, demo, fit, info, predict, simulate

HELP = """
Fit convex models to a certificate of optimality, on data in memory or on disk.

[bold]Start here[/bold]
[cyan]offbeat demo[/cyan]
[cyan]offbeat fit table.parquet --target late --loss logistic --out model/[/cyan]
[cyan]offbeat predict model/ new.parquet --out predictions.parquet[/cyan]

Results go to standard output; progress and messages go to standard error. [bold]Exit codes[/bold]: 0 done and \
certified, 3 fitted but not certified, 2 bad usage or bad input, 130 interrupted.
"""

app = typer.Typer(
    name="offbeat",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"offbeat {offbeat.__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Fit convex models; see `HELP`."""


app.command(help=demo.HELP)(demo.demo)
app.command(help=fit.HELP)(fit.fit)
app.command(help=predict.HELP)(predict.predict)
app.command(help=simulate.HELP)(simulate.simulate)
app.command(
    help=bench.HELP,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    hidden=bench.checkout() is None,
)(bench.bench)
app.command(help=info.HELP)(info.info)


def main() -> None:
    """Run the command line."""
    app(prog_name="offbeat")
