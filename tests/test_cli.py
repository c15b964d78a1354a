"""The command line as a whole, and as a process of its own: help, pipes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offbeat
from offbeat.commands import terminal
from offbeat.models.file import load_model
from support.command_line import FIT, run, write_tables


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the same table as Parquet and CSV."""
    monkeypatch.chdir(tmp_path)
    write_tables()
    return tmp_path


def test_help_of_every_command_reads_well() -> None:
    for command in ((), ("fit",), ("predict",), ("demo",), ("bench",), ("info",)):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "offbeat" in result.stdout
    assert "Exit codes" in run("fit", "--help").stdout
    assert run("--version").stdout == f"offbeat {offbeat.__version__}\n"


def start(*arguments: object, folder: Path, **streams: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "offbeat", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, text=True, stderr=subprocess.PIPE, **streams)


def test_python_m_offbeat_prints_json_only(folder: Path) -> None:
    process = start(*FIT, "--json", folder=folder, stdout=subprocess.PIPE)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert json.loads(out)["certified"] is True
    assert error == ""


def test_a_closed_pipe_ends_quietly(folder: Path) -> None:
    np.save("X.npy", np.zeros((100_000, 1)))
    np.save("y.npy", np.arange(100_000.0))
    run("fit", "X.npy", "-t", "y.npy", "--loss", "squared", "-o", "model")
    reader, writer = os.pipe()
    process = start("predict", "model", "X.npy", folder=folder, stdout=writer)
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (terminal.BROKEN_PIPE, "")


SLOW_FIT = """
import os, signal, sys, threading
from offbeat.cli import main
from offbeat.sideways import loop

original, seen = loop.Best.see, []

def see(self, *rest):  # Ctrl-C, as soon as there is something to keep
    row = original(self, *rest)
    seen.append(row)
    if self.progress is not None and len(seen) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return row

loop.Best.see = see
sys.argv = ["offbeat", *sys.argv[1:]]
main()
"""


def test_ctrl_c_keeps_the_best_model_with_its_certificate(folder: Path) -> None:
    Path("slow.py").write_text(SLOW_FIT)
    options = ["--solver", "gradient-descent", "--tol", "0", "--max-iter", "1e12", "--out", "model", "--json"]
    done = subprocess.run(
        [sys.executable, "slow.py", *FIT, *options], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 128 + signal.SIGINT == 130, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["certified"]) == ("interrupted", False)
    model = load_model("model")
    assert model.certificate.gap == found["certificate"]["gap"]
    assert model.settings["status"] == "interrupted"
    assert "Traceback" not in done.stderr
