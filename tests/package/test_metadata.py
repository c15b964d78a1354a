"""What pyproject.toml, the constraints and the installed package say of each other."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import offbeat

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUN_BY_TESTS = [extra for extra in EXTRAS if extra not in ("bench", "dev")]
DATA_FILES = ["py.typed", "engines/dask/page.html", "diagnostics/report/templates/page.html"]


def requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """Yield what is required of others, not the extras of this package that another extra holds."""
    for line in lines:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) != "offbeat":
            yield requirement


def pins(file: str) -> dict[str, Version]:
    """Return the version of each package in a file of constraints, where its marker holds."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    held = [one for one in found if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): Version(str(one.specifier).removeprefix("==")) for one in held}


def lower_bound(requirement: Requirement) -> Version:
    """Return the oldest version that a requirement such as ``name>=1.2`` or ``name==1.2`` allows."""
    (bound,) = (one for one in requirement.specifier if one.operator in (">=", "=="))
    return Version(bound.version)


def test_the_oldest_constraints_are_the_lower_bounds() -> None:
    lines = [*PROJECT["dependencies"], *(line for extra in RUN_BY_TESTS for line in EXTRAS[extra])]
    bounds = {canonicalize_name(one.name): lower_bound(one) for one in requirements(lines)}
    oldest = pins("constraints-oldest.txt")
    assert {name: oldest.get(name) for name in bounds} == bounds


@pytest.mark.parametrize("extra", ["dependencies", *EXTRAS])
def test_the_newest_constraints_are_allowed_and_complete(extra: str) -> None:
    newest = pins("constraints.txt")
    for requirement in requirements(PROJECT["dependencies"] if extra == "dependencies" else EXTRAS[extra]):
        assert requirement.specifier.contains(newest[canonicalize_name(requirement.name)]), requirement


def test_nobody_is_asked_for_a_package_from_an_address() -> None:
    text = "\n".join((ROOT / file).read_text() for file in ("constraints.txt", "constraints-oldest.txt"))
    assert "://" not in text and "--" not in text and " @ " not in text


def test_the_installed_package_is_this_version_with_its_licence_and_command() -> None:
    installed = importlib.metadata.distribution("offbeat")
    assert installed.version == offbeat.__version__ == PROJECT["version"]
    assert installed.metadata["License-Expression"] == "BSD-3-Clause"
    assert [point.value for point in installed.entry_points if point.name == "offbeat"] == ["offbeat.cli:main"]
    assert any(path.name == "LICENSE" for path in installed.files or [])


def test_nothing_but_the_package_is_installed() -> None:
    installed = importlib.metadata.distribution("offbeat")
    tops = {path.parts[0] for path in installed.files or [] if path.suffix != ".pth"}
    assert tops <= {"offbeat", f"offbeat-{offbeat.__version__}.dist-info", ".."}  # ..: the command, beside Python


@pytest.mark.parametrize("file", DATA_FILES)
def test_files_that_are_no_code_are_installed(file: str) -> None:
    assert importlib.resources.files("offbeat").joinpath(file).is_file()
