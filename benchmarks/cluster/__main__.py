"""Runs experiments by name."""

import typer

import benchmarks.cluster as package
from benchmarks.harness.experiments import runner

if __name__ == "__main__":
    typer.run(runner(package, "Measure fits on a Dask cluster."))
