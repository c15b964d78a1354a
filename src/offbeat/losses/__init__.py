"""Losses: one class a file, pure scalar methods, callable from Python and from compiled kernels."""

from offbeat.losses.base import Loss
from offbeat.losses.epsilon_insensitive import EpsilonInsensitive
from offbeat.losses.gamma import Gamma
from offbeat.losses.hinge import Hinge
from offbeat.losses.huber import Huber
from offbeat.losses.logistic import Logistic
from offbeat.losses.multinomial import Multinomial
from offbeat.losses.poisson import Poisson
from offbeat.losses.squared import Squared
from offbeat.losses.squared_epsilon_insensitive import SquaredEpsilonInsensitive
from offbeat.losses.squared_hinge import SquaredHinge

__all__ = [
    "EpsilonInsensitive",
    "Gamma",
    "Hinge",
    "Huber",
    "Logistic",
    "Loss",
    "Multinomial",
    "Poisson",
    "Squared",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
]
