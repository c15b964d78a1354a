"""Ratings of films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offbeat.datasets.columns import Category, category, feature_names, sparse
from offbeat.datasets.container import Data, check_choice, float_dtype
from offbeat.datasets.rdatasets_files import read_table

if TYPE_CHECKING:
    import pandas as pd

TARGETS = {"liked": "rated 4 or more", "rating": "rating, stars"}


def load_movielens(*, target: Literal["liked", "rating"] = "liked", dtype: DTypeLike = np.float64) -> Data:
    """Load ratings, one row a user and film, both one-hot.

    Parameters
    ----------
    target : {"liked", "rating"}
        Whether the user gave four stars or more (int64, 0 or 1; 52 % are), or how many (float64, 0.5 to 5).
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        100,004 x 9,737 in CSR with two non-zeros a row: 671 users, then 9,066 films. The columns of each add up
        to one: use a penalty.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or an option is unknown.

    Examples
    --------
    >>> from offbeat.datasets import load_movielens
    >>> load_movielens()
    Data(100,004 x 9,737 sparse (200,008 non-zeros) float64; target: rated 4 or more)
    """
    check_choice("target", target, tuple(TARGETS))
    kind = float_dtype(dtype)
    table = read_table("dslabs/movielens")
    categories = [category("user", table["userId"]), _films(table)]
    rating = table["rating"].to_numpy(dtype=np.float64)
    y: NDArray[Any] = rating if target == "rating" else (rating >= 4).astype(np.int64)
    return Data(
        X=sparse({}, categories, kind),
        y=y,
        feature_names=feature_names({}, categories),
        description="One user's rating of one film; the columns of users add up to one, and so do those of films.",
        target_name=TARGETS[target],
        source="MovieLens latest small, GroupLens (dslabs in rdatasets 0.2.10)",
    )


def _films(table: pd.DataFrame) -> Category:
    """Films by number and title: titles alone are not unique, and a few are missing."""
    numbers, codes = np.unique(table["movieId"].to_numpy(), return_inverse=True)
    known = table.dropna(subset=["title"]).drop_duplicates("movieId")
    titles = dict(zip(known["movieId"], known["title"], strict=True))
    levels = tuple(f"{titles.get(number, 'untitled')} (#{number})" for number in numbers)
    return Category("film", codes.astype(np.int32), levels)
