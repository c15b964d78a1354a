"""Every estimator passes scikit-learn's own checks, with nothing expected to fail."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import offbeat.linear_model
from offbeat.errors import ConvergenceWarning

SMALL: dict[str, dict[str, Any]] = {"LogisticRegressionCV": {"cv": 3, "Cs": 3}, "ElasticNetCV": {"cv": 3, "alphas": 10}}
ESTIMATORS = [getattr(offbeat.linear_model, name)(**SMALL.get(name, {})) for name in offbeat.linear_model.__all__]


@parametrize_with_checks(ESTIMATORS)
def test_check(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        # Some checks look at feature names on purpose; whether a fit converged is not their subject.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", SkipTestWarning)
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
        check(estimator)


def test_all_are_checked() -> None:
    assert len(ESTIMATORS) >= 10


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_documented_attributes_are_those_of_a_fit(estimator: Any) -> None:
    X = pd.DataFrame(np.random.default_rng(0).standard_normal((60, 2)), columns=["a", "b"])
    model = clone(estimator).fit(X, 1.0 + (X["a"] > 0.0))
    section = (inspect.getdoc(type(estimator)) or "").partition("Attributes\n")[2].partition("Notes\n")[0]
    names = set(re.findall(r"^(\w+_) : ", section, re.MULTILINE))
    assert {"coef_", "certificate_"} <= names == {name for name in vars(model) if name.endswith("_")} - {"by_name_"}
