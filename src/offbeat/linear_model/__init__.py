"""Estimators with scikit-learn's names, parameters and behaviour, and a certificate.

Each estimator has a file of its own, named after it, with its parameters, its objective and `fit`. What two of them
use is in a package with an underscore: `_shared` (from parameters to a fit, prediction, scores), `_streams`
(``partial_fit``) and `_cv` (cross-validation). Files of estimators import these, never the reverse, and not each other.

Reading order: `ridge` (the shortest estimator), `_shared.base` (how any of them is fitted), `logistic` (classes),
`_streams`, `_cv`, `elastic_net_cv`.
"""

from offbeat.linear_model.elastic_net import ElasticNet
from offbeat.linear_model.elastic_net_cv import ElasticNetCV
from offbeat.linear_model.gamma import GammaRegressor
from offbeat.linear_model.huber import HuberRegressor
from offbeat.linear_model.lasso import Lasso
from offbeat.linear_model.linear_regression import LinearRegression
from offbeat.linear_model.logistic import LogisticRegression
from offbeat.linear_model.logistic_cv import LogisticRegressionCV
from offbeat.linear_model.poisson import PoissonRegressor
from offbeat.linear_model.ridge import Ridge
from offbeat.linear_model.svc import LinearSVC
from offbeat.linear_model.svr import LinearSVR

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "GammaRegressor",
    "HuberRegressor",
    "Lasso",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "LogisticRegressionCV",
    "PoissonRegressor",
    "Ridge",
]
