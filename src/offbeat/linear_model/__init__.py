"""Estimators with scikit-learn's names, parameters and behaviour, and a certificate."""

from offbeat.linear_model.elastic_net_cv import ElasticNetCV
from offbeat.linear_model.glm import GammaRegressor, PoissonRegressor
from offbeat.linear_model.huber import HuberRegressor
from offbeat.linear_model.lasso import ElasticNet, Lasso
from offbeat.linear_model.least_squares import LinearRegression, Ridge
from offbeat.linear_model.logistic import LogisticRegression
from offbeat.linear_model.logistic_cv import LogisticRegressionCV
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
