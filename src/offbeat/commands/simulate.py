"""``offbeat simulate``: fits on a simulated cluster, with slow workers and faults."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offbeat.commands import terminal
from offbeat.commands.options import (
    DATA,
    OUTPUT,
    STOPPING,
    Alpha,
    DataRequest,
    Decimal,
    Delta,
    Drop,
    Encoding,
    Epsilon,
    FitRequest,
    Intercept,
    Json,
    L1Ratio,
    Loss,
    LossName,
    MaxIter,
    MemoryBudget,
    ModelRequest,
    Offset,
    Penalty,
    PenaltyName,
    Quiet,
    Separator,
    SimulationRequest,
    Standardize,
    Target,
    Tol,
    Weight,
    make_read_options,
    option,
)
from offbeat.data.files.read_options import ReadOptions

if TYPE_CHECKING:
    from offbeat.commands.simulation_variants import Result

CLUSTER = "Cluster"
METHOD = "Method"
HELP = """
Simulate a cluster: real fits on virtual time, with slow workers and faults, compared side by side.

The numbers are those of real fits; time is that of a model of machines and network, and the same seed gives the same \
result on any machine. Without TABLE, data is made up.

[bold]Examples[/bold]
[cyan]offbeat simulate --workers 1000 --straggler 10[/cyan]  one worker is ten times slower
[cyan]offbeat simulate flights.parquet -t late --calibrate trace.parquet[/cyan]  your data, at your speed
[cyan]offbeat simulate --fault loss:0.2 --fault crash:3@0.5+0.2 --solver admm[/cyan]
[cyan]offbeat simulate --vary workers=1,4,16,64 --straggler 10[/cyan]  how it scales

[bold]Faults[/bold]
loss:0.2  duplicate:0.1  delay:0.3+0.05  crash:3@1.5+0.5 (worker 3, at 1.5 s, for 0.5 s; +never)  join@2.0  \
pause:2@1.0+0.5/3 (every 3 s)  partition:0-3,7@1.0+0.5  slow-disk:0.05

[bold]Exit codes[/bold]
0  at least one variant reached the tolerance
3  none did
2  bad usage or bad input
130  interrupted; the variants that were done are shown
"""


def simulate(
    table: Annotated[
        Path | None,
        typer.Argument(metavar="[TABLE]", show_default=False, help="As for offbeat fit; by default data is made up."),
    ] = None,
    workers: Annotated[int, option("How many.", CLUSTER, "NUMBER")] = 16,
    straggler: Annotated[
        list[str] | None,
        option(
            "Slower by so many times: 0:10, or 10 for worker 0; may be repeated.", CLUSTER, "[WORKER:]FACTOR", False
        ),
    ] = None,
    fault: Annotated[
        list[str] | None, option("What goes wrong: see above; may be repeated.", CLUSTER, "FAULT", False)
    ] = None,
    compute: Annotated[
        str,
        option(
            "Seconds of a gradient pass over one worker's share of the rows; also exponential:0.01, heavy:0.01,0.5.",
            CLUSTER,
            "MODEL",
        ),
    ] = "0.01",
    latency: Annotated[str, option("Seconds that a message is under way; likewise.", CLUSTER, "MODEL")] = "0.0005",
    bandwidth: Annotated[str, option("Bytes a second of each machine's link.", CLUSTER, "RATE")] = "1G",
    calibrate: Annotated[
        Path | None, option("Take --compute from the steps of this trace of a fit.", CLUSTER, "TRACE", False)
    ] = None,
    seed: Annotated[int, option("Of the simulation, and of made-up data.", CLUSTER, "NUMBER")] = 0,
    solver: Annotated[str, option("auto, or a name as for offbeat fit.", METHOD, "NAME")] = "auto",
    staleness: Annotated[
        float, option("Steps a shard may be ahead of the slowest in asynchronous variants.", METHOD, "NUMBER")
    ] = math.inf,
    topology: Annotated[
        str, option("hub, hub:1 (an update at every arrival), broadcast, tree:2, gossip:3.", METHOD, "NAME")
    ] = "hub",
    shards_per_worker: Annotated[
        int, option("How finely the rows are cut where shards can be stolen.", METHOD, "NUMBER")
    ] = 4,
    modes: Annotated[
        str | None,
        option(
            "Variants: even, barrier, barrier-stealing, async, async-stealing.", METHOD, "NAME,...", "all that can be"
        ),
    ] = None,
    vary: Annotated[
        str | None,
        option(
            "Compare values of workers (of the same speed, on the same data), straggler, staleness, latency, "
            "bandwidth, topology or solver.",
            METHOD,
            "NAME=A,B,...",
            False,
        ),
    ] = None,
    generate: Annotated[
        str | None, option("Make up data of this size.", DATA, "ROWSxCOLUMNS", "20000x50, without TABLE")
    ] = None,
    target: Target = None,
    weight: Weight = None,
    offset: Offset = None,
    drop: Drop = None,
    memory_budget: MemoryBudget = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    loss: Loss = LossName.LOGISTIC,
    penalty: Penalty = PenaltyName.L2,
    alpha: Alpha = None,
    l1_ratio: L1Ratio = None,
    delta: Delta = None,
    epsilon: Epsilon = None,
    standardize: Standardize = True,
    intercept: Intercept = True,
    tol: Tol = 1e-4,
    max_iter: MaxIter = 1000.0,
    time_limit: Annotated[float | None, option("Virtual time of each variant.", STOPPING, "SECONDS", False)] = None,
    out: Annotated[
        Path, option("Page or picture: .html, .png, .pdf or .svg.", OUTPUT, "FILE", names=("--out", "-o"))
    ] = Path("simulate.html"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a cluster; see `HELP`."""
    model = ModelRequest(loss, penalty, alpha, l1_ratio, delta, epsilon)
    how = FitRequest(standardize, intercept, solver, workers, tol, max_iter, time_limit, False if quiet else None)
    request = SimulationRequest(
        tuple(straggler or ()), tuple(fault or ()), compute, latency, bandwidth, calibrate, seed, staleness, topology,
        shards_per_worker, modes, vary, generate,
    )  # fmt: skip
    with terminal.reported_errors():
        read_options = make_read_options(ReadOptions(), separator, decimal, encoding)
        data = None if table is None else DataRequest(
            table, target, weight, offset, tuple(drop or ()), memory_budget=memory_budget, read_options=read_options
        )  # fmt: skip
        raise typer.Exit(_simulate(data, model, how, request, out, as_json=as_json))


def _simulate(
    data: DataRequest | None, model: ModelRequest, how: FitRequest, request: SimulationRequest, out: Path, *,
    as_json: bool,
) -> int:  # fmt: skip
    """Make the variants, run them, show and draw them; return the exit code."""
    from offbeat.commands import comparing, simulation_plan
    from offbeat.commands.simulation_variants import simulate as run

    comparing.check_picture(out)
    quiet = how.progress is False
    simulation_plan.check(data, model, how, request)  # options that are wrong are found before data is read
    with terminal.working("reading data ...", quiet=quiet):
        plan = simulation_plan.make(data, model, how, request)
    for said in plan.notes:
        terminal.note(said)
    results: list[Result] = list(run(plan.variants, plan.task, quiet=quiet))
    with terminal.writing(out):
        comparing.draw(plan, results, out)
    if as_json:
        terminal.print_json(comparing.to_dict(plan, results, out))
    else:
        comparing.show(terminal.console(), plan, results, out)
    if results[-1].status == "interrupted":
        return terminal.INTERRUPTED
    return terminal.OK if any(result.converged for result in results) else terminal.NOT_CERTIFIED
