"""Runs experiments by name."""

import typer

import benchmarks.asynchrony as package
from benchmarks.harness.experiments import runner

if __name__ == "__main__":
    typer.run(runner(package, "Measure what asynchrony gives and costs."))
