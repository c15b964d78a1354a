"""Dask: data and steps on the workers of a cluster. Needs the extra ``dask``."""

from offbeat.engines.dask.engine import Dask

__all__ = ["Dask"]
