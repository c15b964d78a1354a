"""The other real sets: sizes, targets and names as documented."""

from __future__ import annotations

import numpy as np
import pytest

from offbeat.datasets import (
    load_births,
    load_military,
    load_movielens,
    load_murders,
    load_nci60,
    load_permeability,
)
from offbeat.errors import DataError

LOADERS = [load_births, load_military, load_movielens, load_murders, load_nci60, load_permeability]


def test_births() -> None:
    data = load_births()
    assert data.X.shape == (372_864, 450)
    assert data.X.nnz == 4 * 372_864
    assert data.y.mean() == pytest.approx(189.04, abs=0.01)
    names = np.array(data.feature_names)
    assert list(names[data.X[[0]].indices]) == ["state=AK", "weekday=Wed", "year=1969", "date=Jan 1"]
    assert (data.X.sum(axis=0) > 0).all()


@pytest.mark.slow
def test_births_dense_is_births_sparse() -> None:
    sparse, dense = load_births(dtype=np.float32), load_births(as_sparse=False, dtype=np.float32)
    assert dense.X.shape == (372_864, 450)
    np.testing.assert_array_equal(dense.X[::1_000], sparse.X[::1_000].toarray())


def test_murders_have_an_exposure() -> None:
    data = load_murders()
    assert data.X.shape == (37_346, 26)
    assert np.isfinite(data.X).all()
    assert (data.y == 0).mean() == pytest.approx(0.42, abs=0.005)
    assert data.offset is not None
    # Murders per 100,000 people and year: about nine in the country in those years.
    assert data.y.sum() / np.exp(data.offset).sum() == pytest.approx(8.2, abs=1.0)


def test_nci60_drops_kinds_with_one_line() -> None:
    data = load_nci60()
    assert data.X.shape == (59, 6_830)
    assert data.classes is not None and len(data.classes) == 9
    assert np.bincount(data.y).min() == 2
    assert data.classes[np.bincount(data.y).argmin()] == "PROSTATE"


def test_permeability() -> None:
    data = load_permeability()
    assert data.X.shape == (165, 1_107)
    assert set(np.unique(data.X)) == {0, 1}
    assert data.feature_names[0] == "substructure 0001"
    assert (data.y > 0).all()


def test_movielens() -> None:
    data, stars = load_movielens(), load_movielens(target="rating")
    assert data.X.shape == (100_004, 9_737)
    np.testing.assert_array_equal(data.y == 1, stars.y >= 4)
    assert len(set(data.feature_names)) == 9_737
    names = np.array(data.feature_names)
    assert list(names[data.X[[0]].indices]) == ["user=1", "film=Dangerous Minds (#31)"]
    assert "film=untitled (#108583)" in data.feature_names


def test_military() -> None:
    data = load_military()
    assert data.X.shape == (1_414_593, 27)
    assert data.y.mean() == pytest.approx(0.143, abs=1e-3)
    ranks = load_military(target="rank")
    assert ranks.X.shape == (1_414_593, 18)
    assert {"gender=female", "Hispanic=yes"} <= set(ranks.feature_names)
    assert (ranks.y.min(), ranks.y.max()) == (1, 11)


@pytest.mark.parametrize("load", LOADERS)
def test_a_type_that_is_not_a_float_is_refused(load: object) -> None:
    assert callable(load)
    with pytest.raises(DataError, match="float64 or float32"):
        load(dtype="int8")


@pytest.mark.parametrize(("load", "choice"), [(load_movielens, "liked"), (load_military, "gender")])
def test_an_unknown_target_names_the_choices(load: object, choice: str) -> None:
    assert callable(load)
    with pytest.raises(DataError, match=repr(choice)):
        load(target="nothing")
