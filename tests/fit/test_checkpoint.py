"""Checkpoints: what is written can be read, nothing else is, and a fit goes on as if nothing had happened."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offbeat
from offbeat import Problem, engines, losses, penalties, solvers, topology
from offbeat._utils.codec import Decoder, Encoder
from offbeat.datasets import make_classification
from offbeat.errors import ConvergenceWarning, DataError, ProblemError
from offbeat.fit import checkpoint
from offbeat.sideways.evaluation import Iterate
from offbeat.sideways.messages import Message
from offbeat.solvers.newton.newton import NewtonPoint
from support.command_line import FIT, answer, refusal, write_tables

LOGISTIC = Problem(losses.Logistic(), penalties.L2(1e-3))
SPARSE = Problem(losses.Logistic(), penalties.L1(1e-3))
BARRIER: list[tuple[Any, Problem]] = [
    (solvers.LBFGS(), LOGISTIC),
    (solvers.Newton(), LOGISTIC),
    (solvers.Newton(), SPARSE),
    (solvers.ProximalGradient(), SPARSE),
    (solvers.GradientDescent(), LOGISTIC),
]


def _able(problem: Problem) -> list[Any]:
    """Solvers that run without barrier, can solve the problem, and reach any tolerance."""
    made = [getattr(solvers, name)() for name in solvers.__all__]
    exact = [solver for solver in made if getattr(solver, "exact", True)]
    return [solver for solver in exact if solver.max_staleness > 0 and _accepts(solver, problem)]


def _accepts(solver: Any, problem: Problem) -> bool:
    try:
        solver.check(problem)
    except ProblemError:
        return False
    return True


ASYNCHRONOUS = [(solver, problem) for problem in (LOGISTIC, SPARSE) for solver in _able(problem)]
NAMES = {"ids": lambda value: value.name if hasattr(value, "name") else value.penalty.name}


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    made = make_classification(600, 5, seed=0)
    return made.X, made.y


def solve(problem: Problem, data: tuple[Any, Any], **options: Any) -> offbeat.Solution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return offbeat.solve(problem, *data, tol=options.pop("tol", 1e-8), **options)


def cluster(after: Callable[[Any], Any] | None = None) -> engines.Simulated:
    return engines.Simulated(4, straggler={0: 3.0}, after=after)


class DriverKilled(BaseException):
    """The process of the coordinator is gone."""


def killed_at(time: float) -> Callable[[Any], None]:
    """Return what ends the driver at a virtual time."""

    def after(world: Any) -> None:
        if world.world.now >= time:
            raise DriverKilled

    return after


# the codec -----------------------------------------------------------------------------------------------------------
def test_records_come_back_as_they_were() -> None:
    array = np.arange(6.0).reshape(2, 3, order="F")
    message = Message(0, 1, 2, 3, 4, "step", array, math.inf, -math.nan)
    value = {"a": [message, (None, True, -0.0, 1e-300, np.float32(0.1), "\ud800 µ")], (1, 2): Iterate(array, array[0])}
    encoder = Encoder()
    written = json.loads(json.dumps(encoder.encode(value)))
    back = Decoder(encoder.arrays).decode(written)
    assert repr(back) == repr(value)
    assert type(back["a"][0]) is Message
    assert type(back["a"][1][4]) is np.float32
    assert back["a"][0].payload is back[1, 2].u  # once however often it occurs


@pytest.mark.parametrize("value", [len, object(), np.array([None]), {1}, 1j, Path()])
def test_only_plain_values_and_own_records_are_written(value: Any) -> None:
    with pytest.raises(TypeError, match=r"it\[0\]"):
        Encoder().encode((value,))


@pytest.mark.parametrize(
    "written",
    [
        {"class": "os:system", "fields": {}},
        {"class": "subprocess:Popen", "fields": {"args": "true"}},
        {"class": "offbeat.__main__:main", "fields": {}},
        {"class": "offbeat.fit.solve:solve", "fields": {}},
        {"class": "offbeat.fit.solve:np.ndarray", "fields": {"shape": 1}},
        {"class": "offbeat.nothing:Here", "fields": {}},
        {"class": "offbeatx:A", "fields": {}},
        {"class": "offbeat.sideways.evaluation:Iterate", "fields": {"u": 1}},
        {"class": "offbeat.sideways.evaluation:Iterate"},
        {"array": "a0"},
        {"made": []},
        {"tuple": 1, "list": 2},
        [1],
    ],
)
def test_nothing_else_is_read(written: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        Decoder({}).decode(written)


# files ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def saved(data: tuple[Any, Any], tmp_path: Path) -> Path:
    path = tmp_path / "fit.ckpt"
    solve(LOGISTIC, data, solver=solvers.LBFGS(), max_iter=3, checkpoint=path, checkpoint_every=0.0)
    return path


def test_a_checkpoint_comes_back_as_it_was(saved: Path, tmp_path: Path) -> None:
    found = checkpoint.load(saved)
    again = tmp_path / "again"
    checkpoint.save(found, again)
    other = checkpoint.load(again)
    assert repr(other) == repr(found)
    assert found.snapshot.state.info is found.info
    assert found.snapshot.clock == 3
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["again", "fit.ckpt"]  # nothing is left lying about


def test_what_cannot_be_written_is_refused(saved: Path, tmp_path: Path) -> None:
    found = checkpoint.load(saved)
    with pytest.raises(ProblemError, match=r"snapshot\.state\.level is a builtins\.function"):
        state = replace(found.snapshot.state, level=lambda: 0.0)
        checkpoint.save(replace(found, snapshot=replace(found.snapshot, state=state)), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_damaged_files_are_named(saved: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    whole = saved.read_bytes()
    bad = tmp_path / "bad.ckpt"
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        bad.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"bad\.ckpt"):
            checkpoint.load(bad)
    refused, right = 0, repr(checkpoint.load(saved))
    for place in rng.integers(len(whole), size=300):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        bad.write_bytes(changed)
        try:
            assert repr(checkpoint.load(bad)) == right  # a byte of the archive's own that nobody reads may be any
        except DataError as error:
            refused += "bad.ckpt" in str(error)
    assert refused > 240


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "something else"}, "no checkpoint"),
        ({"version": 99}, "format 99"),
        ({"snapshot": {"tuple": []}}, "a tuple stands where a Snapshot"),
        ({"info": None}, "a NoneType stands where a DataInfo"),
        ({"snapshot": {"class": "os:getcwd", "fields": {}}}, "no class of offbeat"),
        ({"facts": 3}, "damaged"),
    ],
)
def test_foreign_documents_are_refused(saved: Path, change: dict[str, Any], said: str) -> None:
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    document = {**json.loads(arrays["document"].tobytes()), **change}
    arrays["document"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    np.savez(saved.with_suffix(".npz"), **arrays)
    with pytest.raises(DataError, match=said):
        checkpoint.load(saved.with_suffix(".npz"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "b.npz", np.zeros(3))
    (tmp_path / "c.json").write_text("{}")
    for name in ("a.npy", "b.npz", "c.json", ".", "missing"):
        with pytest.raises(DataError, match="checkpoint"):
            checkpoint.load(tmp_path / name)


# going on ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("solver", "problem"), BARRIER, **NAMES)
def test_a_barrier_fit_goes_on_to_the_same_bits(
    solver: Any, problem: Problem, data: tuple[Any, Any], tmp_path: Path
) -> None:
    path = tmp_path / "fit.ckpt"
    whole = solve(problem, data, solver=solver, engine=cluster())
    end = float(whole.trace.metadata["seconds"])
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(DriverKilled):
            solve(problem, data, solver=solver, engine=cluster(killed_at(share * end)), checkpoint=path,
                  checkpoint_every=0.005)  # fmt: skip
        rest = solve(problem, data, solver=solver, engine=cluster(), resume=path)
        assert rest.status == "converged"
        assert rest.passes == whole.passes
        assert rest.coef.tobytes() == whole.coef.tobytes()
        assert rest.certificate == whole.certificate
        assert float(rest.trace.metadata["seconds"]) < end


@pytest.mark.parametrize("stealing", [None, "auto"])
@pytest.mark.parametrize(("solver", "problem"), ASYNCHRONOUS, **NAMES)
def test_an_asynchronous_fit_goes_on_to_the_same_certificate(
    solver: Any, problem: Problem, stealing: Any, data: tuple[Any, Any], tmp_path: Path
) -> None:
    path = tmp_path / "fit.ckpt"
    how = {"solver": solver, "staleness": math.inf, "stealing": stealing, "tol": 1e-4}
    whole = solve(problem, data, engine=cluster(), **how)
    assert whole.status == "converged"
    end = float(whole.trace.metadata["seconds"])
    with pytest.raises(DriverKilled):
        engine = cluster(killed_at(0.6 * end))
        solve(problem, data, engine=engine, checkpoint=path, checkpoint_every=0.02, **how)
    rest = solve(problem, data, engine=cluster(), resume=path, **how)
    assert rest.status == "converged"
    assert rest.certificate.relative_gap <= 1e-4
    assert rest.certificate.primal == pytest.approx(whole.certificate.primal, abs=1e-4)
    assert "resumed at" in rest.trace.metadata


def test_a_fit_that_was_resumed_can_be_killed_and_resumed_again(data: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "fit.ckpt"
    whole = solve(SPARSE, data, solver=solvers.ProximalGradient(), engine=cluster())
    how: dict[str, Any] = {"solver": solvers.ProximalGradient(), "checkpoint": path, "checkpoint_every": 0.05}
    with pytest.raises(DriverKilled):
        solve(SPARSE, data, engine=cluster(killed_at(0.3)), **how)
    for _ in range(2):
        with pytest.raises(DriverKilled):
            solve(SPARSE, data, engine=cluster(killed_at(0.2)), resume=path, **how)
    rest = solve(SPARSE, data, engine=cluster(), resume=path, **how)
    assert rest.coef.tobytes() == whole.coef.tobytes()


def test_a_resumed_fit_may_have_other_limits_tolerance_and_workers(data: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "fit.ckpt"
    how: dict[str, Any] = {"solver": solvers.LBFGS(), "tol": 1e-3}
    first = solve(LOGISTIC, data, checkpoint=path, checkpoint_every=1e9, **how)
    assert first.status == "converged"
    finer = solve(LOGISTIC, data, resume=path, **{**how, "tol": 1e-9})
    assert finer.status == "converged"
    assert finer.certificate.relative_gap <= finer.certificate.tolerance == 1e-9
    assert finer.passes > first.passes
    done = solve(LOGISTIC, data, resume=path, engine=engines.Threads(3), **how)
    assert (done.status, done.certificate.tolerance) == ("converged", 1e-3)
    np.testing.assert_allclose(done.coef, first.coef, rtol=0.1)
    again = solve(LOGISTIC, data, resume=path, engine=engines.Threads(2), **{**how, "tol": 1e-9})
    np.testing.assert_allclose(again.coef, finer.coef, atol=1e-4)


@pytest.mark.parametrize("staleness", [0.0, math.inf], ids=["barrier", "asynchronous"])
@pytest.mark.parametrize("solver", [solvers.ADMM(), solvers.SDCA(), solvers.DelayedProximalGradient()], **NAMES)
def test_other_shards_begin_anew_at_the_best_point(
    solver: Any, staleness: float, data: tuple[Any, Any], tmp_path: Path
) -> None:
    """What is kept for each shard is of no use for others: dual variables, tables of gradients."""
    path = tmp_path / "fit.ckpt"
    optimum = solve(LOGISTIC, data).certificate.primal
    how: dict[str, Any] = {"solver": solver, "staleness": staleness, "tol": 1e-5}
    first = solve(
        LOGISTIC, data, engine=engines.Simulated(4), checkpoint=path, checkpoint_every=0.0, **{**how, "tol": 1e-3}
    )
    assert first.status == "converged"
    for workers in (3, 1):
        rest = solve(LOGISTIC, data, engine=engines.Simulated(workers), resume=path, **how)
        assert rest.status == "converged"
        assert "resumed at" in rest.trace.metadata
        excess = rest.certificate.primal - optimum
        assert -1e-9 <= excess <= rest.certificate.gap + 1e-9


def test_contributions_follow_their_rows(data: tuple[Any, Any], tmp_path: Path) -> None:
    """Shards with the same rows in another order get their own contributions; without their rows, none."""
    path = tmp_path / "fit.ckpt"
    solve(LOGISTIC, data, solver=solvers.ADMM(), engine=engines.Simulated(3), checkpoint=path, checkpoint_every=0.0)
    old = checkpoint.load(path)
    spans = old.facts["shards"]
    assert spans == [[[0, 200]], [[200, 400]], [[400, 600]]]
    facts = {**old.facts, "shards": [spans[2], spans[0], spans[1]]}
    _, moved = checkpoint.resume(path, facts, old.info)
    assert [m.shard for m in moved.contributions] == [0, 1, 2]
    for message, before in zip(moved.contributions, (2, 0, 1), strict=True):
        np.testing.assert_array_equal(message.payload, old.snapshot.contributions[before].payload)
    _, anew = checkpoint.resume(path, {**old.facts, "shards": [spans[0], spans[1], [[401, 601]]]}, old.info)
    assert anew.query is None and anew.contributions == ()


def test_files_without_checksums_of_features_compare_columns(saved: Path, data: tuple[Any, Any]) -> None:
    """As they were written before there were any."""
    found = checkpoint.load(saved)
    facts = {
        name: value for name, value in found.facts.items() if name not in ("features", "sums of weights", "shards")
    }
    checkpoint.save(replace(found, facts=facts), saved)
    assert solve(LOGISTIC, data, solver=solvers.LBFGS(), resume=saved).status == "converged"
    with pytest.raises(DataError, match="means or scales"):
        solve(LOGISTIC, (data[0] * [1, 1, 1, 1, 1.1], data[1]), solver=solvers.LBFGS(), resume=saved)


def test_another_fit_is_refused_by_what_differs(saved: Path, data: tuple[Any, Any]) -> None:
    X, y = data

    def said(problem: Problem, *table: Any, **options: Any) -> str:
        with pytest.raises(DataError) as caught:
            offbeat.solve(problem, *table, resume=saved, **{"solver": solvers.LBFGS(), **options})
        return str(caught.value)

    assert "number of rows 600 there, 599 here" in said(LOGISTIC, X[1:], y[1:])
    assert "number of columns 5 there, 4 here" in said(LOGISTIC, X[:, 1:], y)
    assert "its targets are others" in said(LOGISTIC, X, 1 - y)
    assert "its weights are others" in said(LOGISTIC, X, y, sample_weight=y + 1.0)
    assert "its features are others" in said(LOGISTIC, X * [1, 1, 1, 1, 1.1], y)
    assert "alpha=0.001" in said(Problem(losses.Logistic(), penalties.L2(0.1)), X, y)
    assert "loss Logistic" in said(Problem(losses.SquaredHinge(), penalties.L2(1e-3)), X, y)
    assert "LBFGS(memory=10) there, LBFGS(memory=3) here" in said(LOGISTIC, X, y, solver=solvers.LBFGS(memory=3))
    assert "intercept yes there, no here" in said(LOGISTIC, X, y, fit_intercept=False)
    assert "standardised no there, yes here" in said(LOGISTIC, X, y, standardize=True)


def test_checkpoints_are_for_the_hub(data: tuple[Any, Any], tmp_path: Path) -> None:
    for option in ("checkpoint", "resume"):
        with pytest.raises(ProblemError, match=r"checkpoints need topology=Hub\(\): in a tree"):
            solve(LOGISTIC, data, topology=topology.Tree(), engine=cluster(), **{option: tmp_path / "fit.ckpt"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"checkpoint": "no/such/folder/fit.ckpt"}, "does not exist"),
        ({"checkpoint": "."}, "is a folder"),
        ({"checkpoint": "fit.ckpt", "checkpoint_every": -1.0}, "checkpoint_every is -1"),
        ({"checkpoint": "fit.ckpt", "checkpoint_every": math.nan}, "checkpoint_every is nan"),
        ({"resume": "missing.ckpt"}, "there is no checkpoint"),
    ],
)
def test_bad_options(
    options: dict[str, Any], said: str, data: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((DataError, ProblemError), match=said):
        solve(LOGISTIC, data, **options)


def test_a_full_disk_does_not_end_the_fit(
    data: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match=r"could not be written \(No space left on device\); the fit goes on"):
        found = solve(LOGISTIC, data, checkpoint=tmp_path / "fit.ckpt", checkpoint_every=0.0)
    assert found.status == "converged"
    assert not list(tmp_path.iterdir())


def test_states_have_room_for_every_solver(data: tuple[Any, Any]) -> None:
    """Newton's records nest deepest: what one of them is made of comes back."""
    base = NewtonPoint(Iterate(np.ones(2), np.ones(1)), None, 1.0, 0.5, np.ones(2))  # type: ignore[arg-type]
    encoder = Encoder()
    assert repr(Decoder(encoder.arrays).decode(encoder.encode(base))) == repr(base)


# a process that is killed --------------------------------------------------------------------------------------------
KILLED = """
import os, signal, sys
import offbeat
from offbeat import Problem, losses, penalties, solvers
from offbeat.datasets import make_classification

path = sys.argv[1]

def callback(progress, row):
    if os.path.exists(path):
        os.kill(os.getpid(), signal.SIGKILL)

data = make_classification(600, 5, seed=0)
problem = Problem(losses.Logistic(), penalties.L1(1e-3))
offbeat.solve(problem, data.X, data.y, solver=solvers.ProximalGradient(), tol=1e-8, callback=callback,
              checkpoint=path, checkpoint_every=0.0)
"""


def test_a_killed_process_is_survived(data: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "fit.ckpt"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    rest = solve(SPARSE, data, solver=solvers.ProximalGradient(), resume=path)
    whole = solve(SPARSE, data, solver=solvers.ProximalGradient())
    assert rest.status == "converged"
    np.testing.assert_allclose(rest.coef, whole.coef, atol=1e-9)


def test_fit_keeps_and_resumes_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tables()
    common = (*FIT, "--solver", "lbfgs", "--tol", "1e-9")
    whole = answer(*common, "-o", "whole")
    first = answer(*common, "--max-iter", "3", "--checkpoint", "fit.ckpt", "--checkpoint-every", "0", code=3)
    assert (first["status"], first["passes"]) == ("max_iter", 3.0)
    rest = answer(*common, "--resume", "fit.ckpt")
    assert rest["certificate"] == whole["certificate"]
    assert rest["passes"] == whole["passes"]
    assert "of another fit: penalty" in refusal(*common, "--alpha", "0.1", "--resume", "fit.ckpt")
    assert "there is no checkpoint 'other.ckpt'" in refusal(*common, "--resume", "other.ckpt")
