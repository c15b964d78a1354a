"""Simulating from the command line: the same answer for the same seed, and every option understood or refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from offbeat import engines, losses, penalties, solve, solvers, topology
from offbeat.commands import cluster_options, simulation_variants
from offbeat.datasets import make_classification
from offbeat.engines import faults
from offbeat.errors import ProblemError
from offbeat.problem import Problem
from support.command_line import FEATURES, answer, refusal, run

SMALL = ("--generate", "400x4", "--workers", "4", "-q")
BARRIER = ("--solver", "lbfgs")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def simulate(*options: object, code: int = 0) -> dict[str, Any]:
    return answer("simulate", *SMALL, *options, code=code)


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variant["name"]: variant for variant in found["variants"]}


# what is compared ----------------------------------------------------------------------------------------------------
def test_a_straggler_costs_a_barrier_its_factor(here: Path) -> None:
    found = by_name(simulate(*BARRIER, "--straggler", "10"))
    assert list(found) == ["even cluster, barrier", "barrier, pinned", "barrier, stealing"]
    assert found["even cluster, barrier"]["ratio"] == 1.0
    assert found["even cluster, barrier"]["straggler"] == {}
    assert found["barrier, pinned"]["ratio"] > 7.0
    assert found["barrier, stealing"]["ratio"] < found["barrier, pinned"]["ratio"]
    assert {variant["status"] for variant in found.values()} == {"converged"}
    assert len({variant["passes"] for variant in found.values()}) == 1
    page = (here / "simulate.html").read_text(encoding="utf-8")
    assert all(name in page for name in found)


def test_solvers_that_can_are_compared_without_barrier_too() -> None:
    made = [getattr(solvers, name)() for name in solvers.__all__]
    for solver in (each for each in made if each.max_staleness > 0):
        found = simulate("--solver", solver.name, "--straggler", "4", "--tol", "1e-2", "--max-iter", "60", code=0)
        assert {"asynchronous, pinned", "asynchronous, stealing"} <= set(by_name(found)), solver.name
        if by_name(found)["asynchronous, pinned"]["status"] == "converged":
            return
    pytest.skip("no solver of this version runs without barrier")


def test_the_table_is_for_people(here: Path) -> None:
    result = run("simulate", *SMALL, *BARRIER, "--straggler", "3:10", "--out", "picture.png")
    assert result.exit_code == 0
    for text in ("400 rows x 4 columns, made up", "lbfgs (asked for)", "4 workers; 10 ms", "worker 3 10 times slower",
                 "even cluster, barrier", "barrier, pinned", "converged", "picture.png", "hub MB"):  # fmt: skip
        assert text in result.stdout, text
    assert "lbfgs needs rounds" in result.stderr
    assert (here / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_without_trouble_there_is_no_second_even_cluster() -> None:
    found = by_name(simulate(*BARRIER))
    assert list(found) == ["barrier, pinned", "barrier, stealing"]
    assert found["barrier, pinned"]["ratio"] == 1.0


def test_the_same_seed_gives_the_same_answer() -> None:
    options = (*BARRIER, "--compute", "exponential:0.01", "--fault", "loss:0.1", "--straggler", "2")
    first, again = simulate(*options, "--seed", "3"), simulate(*options, "--seed", "3")
    assert json.dumps(first) == json.dumps(again)
    other = simulate(*options, "--seed", "4", "--generate", "400x4")
    assert other["variants"] != first["variants"]


def test_faults_of_every_kind_are_survived() -> None:
    every = [part for form in cluster_options.FORMS.values() for part in ("--fault", form.example)]
    found = by_name(answer("simulate", "--generate", "400x4", "--workers", "8", "-q", *BARRIER, *every))
    assert {variant["status"] for variant in found.values()} == {"converged"}
    assert found["barrier, pinned"]["messages_lost"] > 0
    assert len(found["barrier, pinned"]["faults"]) == len(cluster_options.FORMS)
    assert found["even cluster, barrier"]["messages_lost"] == 0


@pytest.mark.parametrize("name", ["broadcast", "tree:3", "gossip:2"])
def test_peers_are_compared_without_stealing(name: str) -> None:
    found = by_name(simulate(*BARRIER, "--topology", name, "--straggler", "2"))
    assert list(found) == ["even cluster, barrier", "barrier, pinned"]
    assert found["barrier, pinned"]["topology"] == name.partition(":")[0]
    assert found["barrier, pinned"]["bytes_coordinator"] == 0
    assert found["barrier, pinned"]["status"] == "converged"


def test_scaling_keeps_the_work_and_splits_it() -> None:
    found = by_name(simulate(*BARRIER, "--vary", "workers=1,4,16", "--latency", "0"))
    assert [variant["workers"] for variant in found.values()] == [1, 4, 16]
    one, four, many = (variant["seconds"] for variant in found.values())
    assert one / four == pytest.approx(4.0, rel=0.01)
    assert one / many == pytest.approx(16.0, rel=0.01)
    assert [v["ratio"] for v in found.values()] == pytest.approx([1.0, 0.25, 1 / 16], rel=0.01)


@pytest.mark.parametrize(
    ("vary", "key", "values"),
    [
        ("straggler=1,5", "straggler", [{"0": 1.0}, {"0": 5.0}]),
        ("topology=hub,tree:2", "topology", ["hub", "tree"]),
        ("solver=lbfgs,newton", "solver", ["lbfgs", "newton"]),
        ("latency=0,heavy:0.5", "topology", ["hub", "hub"]),
        ("bandwidth=1k,1G", "topology", ["hub", "hub"]),
        ("staleness=0", "staleness", [0.0]),
    ],
)
def test_all_that_can_be_varied(vary: str, key: str, values: list[Any]) -> None:
    found = simulate(*BARRIER, "--modes", "barrier", "--vary", vary)
    assert [variant[key] for variant in found["variants"]] == values
    times = [variant["seconds"] for variant in found["variants"]]
    assert len(set(times)) == len(times)


def test_a_variant_that_cannot_go_on_does_not_end_the_others() -> None:
    crashes = [part for worker in range(4) for part in ("--fault", f"crash:{worker}@0.01+never")]
    found = by_name(simulate(*BARRIER, *crashes))
    assert found["even cluster, barrier"]["status"] == "converged"
    assert "no worker is left" in found["barrier, pinned"]["status"]
    assert found["barrier, pinned"]["seconds"] is None


def test_limits_are_of_each_variant() -> None:
    found = by_name(simulate(*BARRIER, "--straggler", "10", "--time-limit", "0.2", "--tol", "1e-9"))
    assert found["even cluster, barrier"]["status"] == "converged"
    assert found["barrier, pinned"]["status"] == "time_limit"
    assert found["barrier, pinned"]["ratio"] is None
    assert simulate(*BARRIER, "--max-iter", "2", "--tol", "1e-9", code=3)["variants"][0]["status"] == "max_iter"


# data and calibration ------------------------------------------------------------------------------------------------
def test_a_table_is_read_as_for_a_fit(folder: Path) -> None:
    found = answer("simulate", "table.csv", "-t", "late", *FEATURES, "--workers", "3", *BARRIER, "-q")
    assert found["data"] == {"rows": 600, "columns": 5, "source": "table.csv"}
    assert found["variants"][0]["status"] == "converged"
    counts = [part for name in ("late", "id", "cost", "weight", "band") for part in ("--drop", name)]
    options = ("-t", "count", "--loss", "poisson", "--offset", "exposure", "--penalty", "l1", "--alpha", "0.01")
    found = answer("simulate", "table.parquet", *options, *counts, "--solver", "proximal-gradient", "-q")
    assert found["variants"][0]["status"] == "converged"


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "squared-hinge", "poisson"])
def test_data_is_made_up_for_the_loss(loss: str) -> None:
    assert simulate("--loss", loss, *BARRIER, "--modes", "barrier")["loss"].replace("_", "-") == loss


def test_time_can_be_that_of_a_trace() -> None:
    data = make_classification(400, 4, seed=0)
    problem = Problem(losses.Logistic(), penalties.L2(1e-4))
    fit = solve(problem, data.X, data.y, solver=solvers.LBFGS(), engine=engines.Simulated(2, compute=3.0))
    fit.trace.save("trace.parquet")
    found = simulate(*BARRIER, "--calibrate", "trace.parquet", "--modes", "barrier")
    assert found["compute"] == pytest.approx(1.5)  # half as many rows a worker
    double = answer("simulate", "--generate", "800x4", "--workers", "4", "-q", *BARRIER, "--calibrate", "trace.parquet")
    assert double["compute"] == pytest.approx(3.0)
    del fit.trace.metadata["rows"]
    fit.trace.save("old.parquet")
    result = run("simulate", *SMALL, *BARRIER, "--calibrate", "old.parquet", "--modes", "barrier", "--json")
    assert json.loads(result.stdout)["compute"] == pytest.approx(1.5)
    assert "does not say of how many rows" in result.stderr


# what options mean ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("loss:0.2", faults.Loss(0.2)),
        ("duplicate:1", faults.Duplicate(1.0)),
        ("delay:0.3+0.05", faults.Delay(0.3, 0.05)),
        ("crash:3@1.5", faults.Crash(3, 1.5)),
        ("crash:3@1.5+0.5", faults.Crash(3, 1.5, 0.5)),
        ("crash:3@1.5+never", faults.Crash(3, 1.5, math.inf)),
        ("pause:2@1+0.5", faults.Pause(2, 1.0, 0.5)),
        ("pause:2@1+0.5/3", faults.Pause(2, 1.0, 0.5, 3.0)),
        ("join@2", faults.Join(2.0)),
        ("partition:0-2,5@1+0.5", faults.Partition((0, 1, 2, 5), 1.0, 0.5)),
        ("slow-disk:0.05", faults.SlowDisk(0.05)),
    ],
)
def test_faults(text: str, fault: Any) -> None:
    assert cluster_options.parse_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "loss", "loss:", "loss:2", "loss:-1", "loss:x", "loss:nan", "loss:0.1@2", "crash:3", "crash:x@1", "crash:3@-1",
     "crash:3@inf", "crash:3@1+x", "crash:-1@1", "pause:1@1", "join", "join:1", "partition:@1+1", "partition:a@1+1",
     "slow-disk", "fire:1", "delay:0.1"],
)  # fmt: skip
def test_faults_that_are_none(text: str) -> None:
    with pytest.raises(ProblemError, match="--fault"):
        cluster_options.parse_fault(text)


def test_models_topologies_and_the_rest() -> None:
    assert cluster_options.parse_model("--compute", "0.5") == faults.Constant(0.5)
    assert cluster_options.parse_model("--compute", "exponential:0.5,0.1") == faults.Exponential(0.5, 0.1)
    assert cluster_options.parse_model("--compute", "heavy:0.5") == faults.HeavyTailed(0.5)
    assert cluster_options.parse_topology("hub:1") == topology.Hub(1)
    assert cluster_options.parse_topology("broadcast") == topology.Broadcast()
    assert cluster_options.parse_topology("gossip") == topology.Gossip()
    assert cluster_options.parse_rate("1.5k") == 1500.0
    assert cluster_options.parse_size("1,000x20") == (1000, 20)
    for model in (faults.Constant(2.0), faults.HeavyTailed(2.0), faults.Exponential(2.0), faults.Measured((2.0,))):
        assert cluster_options.scaled(model, 3.0).typical == pytest.approx(3.0 * model.typical)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "fire:1"], "there is no fault 'fire'; give one of loss"),
        (["--fault", "crash:3"], "write crash:WORKER@TIME[+SECONDS or +never], such as crash:3@1.5+0.5"),
        (["--fault", "crash:7@1"], "workers [7] are named"),
        (["--straggler", "9:2"], "workers [9] are named"),
        (["--straggler", "a:2"], "write WORKER:FACTOR"),
        (["--straggler", "0"], "write WORKER:FACTOR"),
        (["--workers", "0"], "at least one worker"),
        (["--compute", "slow"], "--compute slow is not understood"),
        (["--latency", "-1"], "--latency -1 is not understood"),
        (["--bandwidth", "0"], "--bandwidth 0 is not understood"),
        (["--topology", "ring"], "--topology ring is not understood"),
        (["--topology", "tree:0"], "fanout of Tree is 0"),
        (["--solver", "magic"], "there is no solver 'magic'"),
        (["--staleness", "-1"], "--staleness is -1"),
        (["--staleness", "nan"], "--staleness is nan"),
        (["--seed", "-1"], "--seed is -1"),
        (["--shards-per-worker", "0"], "--shards-per-worker is 0"),
        (["--modes", "fast"], "--modes has 'fast'"),
        (["--modes", "async", "--solver", "lbfgs"], "allows none of the modes"),
        (["--vary", "colour=1,2"], "--vary colour=1,2 is not understood"),
        (["--vary", "workers"], "--vary workers is not understood"),
        (["--vary", "workers=1,x"], "--vary workers"),
        (["--vary", "workers=0"], "--vary workers"),
        (["--vary", "solver=auto"], "auto is none"),
        (["--calibrate", "missing.parquet"], "no trace file"),
        (["--out", "a.doc"], "should end in one of"),
        (["--generate", "10"], "write ROWSxCOLUMNS"),
        (["--loss", "gamma"], "no data can be made up for the gamma loss"),
        (["--max-iter", "0"], "--max-iter is 0"),
        (["--tol", "-1"], "--tol is -1"),
        (["--l1-ratio", "0.5"], "--l1-ratio belongs"),
        (["--penalty", "l1", "--solver", "lbfgs"], "needs a smooth penalty"),
    ],
)
def test_bad_options_are_named(options: list[str], said: str) -> None:
    result = run("simulate", *SMALL, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in " ".join(result.stderr.split())


def test_a_table_and_made_up_data_exclude_each_other(folder: Path) -> None:
    assert "not both" in refusal("simulate", "table.csv", "--generate", "10x2")
    assert "no column 'nobody'" in refusal("simulate", "table.csv", "-t", "nobody")


def test_help_shows_how_faults_are_written() -> None:
    result = run("simulate", "--help")
    assert result.exit_code == 0
    assert "crash:3@1.5+0.5" in result.stdout


def test_even_a_thousand_workers_have_a_plan() -> None:
    machines = simulation_variants.Machines(16, faults.Constant(0.01), faults.Constant(0.0), 1e9, {0: 10.0})
    base = simulation_variants.Variant("", machines.resized(1000), solvers.LBFGS())
    made = simulation_variants.in_modes(base, simulation_variants.MODES, math.inf)
    assert [variant.machines.workers for variant in made] == [1000] * 3
    assert made[1].machines.compute.typical == pytest.approx(0.01 * 16 / 1000)
