"""The example programs and the pages about them do what they say, on threads and in a simulated cluster."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array
from sklearn.cluster import KMeans

from offbeat.engines import Serial, Simulated, Threads
from offbeat.engines.faults import Crash, Delay, Duplicate

ROOT = Path(__file__).parent.parent
FAULTS = (Duplicate(0.3), Delay(0.3, seconds=0.1), Crash(worker=1, at=0.025, down=0.1))
ENGINES = [
    Serial(),
    Threads(3),
    Simulated(3),
    Simulated(5, straggler={0: 10.0}, seed=1),
    Simulated(4, faults=FAULTS, seed=2),
]


def example(name: str) -> dict[str, Any]:
    """Return the names that an example defines, without running it."""
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="example")


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_pagerank_is_that_of_the_power_iteration(engine: Any) -> None:
    names = example("pagerank")
    edges = names["some_web"](300)
    matrix, dangling = names["link_matrix"](edges, 300)
    assert dangling.any()
    blocks, _ = zip(*engine.run(names["pagerank"](dangling), matrix), strict=True)
    ranks = np.concatenate(blocks)
    assert ranks.sum() == pytest.approx(1.0)
    assert np.abs(ranks - names["power_iteration"](edges, 300)).sum() <= len(blocks) * 1e-12 / 0.15 + 1e-13


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@pytest.mark.parametrize("sparse", [False, True])
def test_kmeans_ends_where_lloyds_algorithm_would_not_move(engine: Any, sparse: bool, rng: np.random.Generator) -> None:
    names = example("kmeans")
    X = np.concatenate([rng.standard_normal((60, 4)) + shift for shift in (0.0, 6.0, 12.0)])
    X = X[rng.permutation(len(X))]
    start = names["first_centres"](X, 3)
    labels, centres, _ = zip(*engine.run(names["kmeans"](start), coo_array(X) if sparse else X), strict=True)
    for other in centres:
        np.testing.assert_allclose(other, centres[0])
    ours = names["inertia"](X, np.concatenate(labels), centres[0])
    further = KMeans(3, init=centres[0], n_init=1).fit(X)
    assert ours == pytest.approx(further.inertia_)
    assert ours == pytest.approx(KMeans(3, n_init=10, random_state=0).fit(X).inertia_)


@pytest.mark.parametrize("name", ["pagerank", "kmeans"])
@pytest.mark.parametrize("arguments", [["--workers", "2"], ["--workers", "4", "--straggler", "10"]])
def test_the_command_line_of_the_examples(name: str, arguments: list[str], capsys) -> None:
    size = ["--pages", "500"] if name == "pagerank" else ["--clusters", "3"]
    example(name)["main"]([*size, *arguments])
    assert "each on its own beat" in capsys.readouterr().out


def test_pagerank_reads_a_file_of_links(tmp_path: Path, capsys) -> None:
    (tmp_path / "links.txt").write_text("0 1\n1 2\n2 0\n2 1\n")
    example("pagerank")["main"](["--edges", str(tmp_path / "links.txt"), "--workers", "2"])
    assert "3 pages, 4 links" in capsys.readouterr().out


def test_the_code_of_the_page_about_programs_runs() -> None:
    page = (ROOT / "docs" / "programs.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), "docs/programs.md", "exec"), {"__name__": "programs"})


def test_the_page_about_losses_of_ones_own_runs() -> None:
    page = (ROOT / "docs" / "custom-losses.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"__name__": "custom_losses"}
    exec(compile("\n".join(blocks), "docs/custom-losses.md", "exec"), names)
    loss, step = names["LogCosh"](0.7), 1e-6
    for z in (-30.0, -1.0, 0.2, 2.0, 50.0):
        theta, h = loss.derivative(z, 0.5), loss.dual_direction(z, 0.5)
        slope = (loss.value(z + step, 0.5) - loss.value(z - step, 0.5)) / (2.0 * step)
        assert theta == pytest.approx(slope, abs=1e-7)
        assert loss.value(z, 0.5) + loss.conjugate(theta, 0.5) == pytest.approx(theta * z, abs=1e-9)
        for d in (-1.0, -0.3, 0.5, 1.0):
            assert loss.conjugate(theta + d * h, 0.5) <= loss.conjugate(theta, 0.5) + z * d * h + d * d * h + 1e-12
    assert names["solution"].status == "converged"


def test_the_code_of_the_page_about_files_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{code};{i},5;{i + 10 * j}\n" for i in range(9) for j, code in enumerate(["007", "7"]))
    Path("prices.csv").write_text("zip;size;price\n" + rows)
    Path("new.csv").write_text("size;zip\n2,5;007\n")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "files.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "files"}
    exec(compile("\n".join(blocks), "docs/files.md", "exec"), names)
    assert names["model"].encoder_.feature_names == ["zip=007", "zip=7", "size"]


@pytest.mark.parametrize("page", ["streams", "lock-free"])
def test_pages_print_what_they_say(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    exec(compile("\n".join(blocks), f"docs/{page}.md", "exec"), {"__name__": page})
    said = re.findall(r"^print\(.*\)  # (.*)$", "\n".join(blocks), re.MULTILINE)
    assert said
    assert capsys.readouterr().out.splitlines() == said
