"""A fitted model, and its description in words and numbers that JSON can hold."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import offbeat
from offbeat import losses, penalties
from offbeat.data.tables.encoding import Encoder
from offbeat.errors import ModelFileError
from offbeat.losses.questions import n_outputs
from offbeat.problem import Certificate, Floats, Loss, Penalty

Label: TypeAlias = str | int | float | bool
ARRAY_NAMES = ("coef", "intercept", "penalty_weights")
"""All that `arrays_of` may give."""


def current_versions() -> dict[str, str]:
    """Return the versions that a model is made with.

    Examples
    --------
    >>> sorted(current_versions())
    ['numpy', 'offbeat', 'python']
    """
    return {"offbeat": offbeat.__version__, "python": platform.python_version(), "numpy": np.__version__}


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model: all that prediction needs, and how good it was proven to be.

    Parameters
    ----------
    coef : ndarray, shape (n_features,) or (n_features, n_outputs)
    intercept : float or ndarray, shape (n_outputs,)
    loss : NamedTuple
        One of `offbeat.losses`.
    penalty : NamedTuple
        One of `offbeat.penalties`.
    certificate : Certificate
    encoder : Encoder, optional
        How the columns of a table become features.
    feature_names : tuple of str, optional
        By default those of the encoder.
    classes : tuple, optional
        Labels of the classes, in the order of their numbers.
    settings : mapping of str to JSON values
        Whatever should be known about the fit, such as the name of the target.
    versions : mapping of str to str
        Of the program that made the model.

    Raises
    ------
    ModelFileError
        The parts do not fit together.

    Examples
    --------
    >>> proof = Certificate(0.5, 0.5, 0.0, 0.0, "duality gap", 1e-6)
    >>> FittedModel(np.ones(3), 0.5, losses.Squared(), penalties.L2(0.1), proof).n_features
    3
    """

    coef: Floats
    intercept: float | Floats
    loss: Loss
    penalty: Penalty
    certificate: Certificate
    encoder: Encoder | None = None
    feature_names: tuple[str, ...] | None = None
    classes: tuple[Label, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=current_versions)

    def __post_init__(self) -> None:
        """Fill in the names, and check that the parts fit together."""
        if self.feature_names is None and self.encoder is not None:
            object.__setattr__(self, "feature_names", tuple(self.encoder.feature_names))
        _check(self)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.coef.shape[0])

    @property
    def names(self) -> list[str]:
        """Names of the features; x0, x1, ... when they have none."""
        return [f"x{j}" for j in range(self.n_features)] if self.feature_names is None else list(self.feature_names)


def describe(model: FittedModel) -> dict[str, Any]:
    """Return all of a model but its arrays, as JSON can hold it.

    Parameters
    ----------
    model : FittedModel

    Raises
    ------
    ModelFileError
        The loss or penalty is not one of this library.

    Examples
    --------
    >>> proof = Certificate(0.5, 0.5, 0.0, 0.0, "duality gap", 1e-6)
    >>> describe(FittedModel(np.ones(3), 0.5, losses.Squared(), penalties.L2(0.1), proof))["penalty"]
    {'name': 'l2', 'parameters': {'alpha': 0.1}}
    """
    derived = model.encoder is not None and list(model.feature_names or ()) == model.encoder.feature_names
    return {
        "loss": _describe_part(model.loss, losses),
        "penalty": _describe_part(model.penalty, penalties),
        "n_features": model.n_features,
        "feature_names": None if derived or model.feature_names is None else list(model.feature_names),
        "classes": None if model.classes is None else list(model.classes),
        "certificate": {name: _to_json(value) for name, value in asdict(model.certificate).items()},
        "settings": dict(model.settings),
        "encoder": None if model.encoder is None else model.encoder.to_dict(),
        "versions": dict(model.versions),
    }


def arrays_of(model: FittedModel) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of a model by name.

    Examples
    --------
    >>> proof = Certificate(0.5, 0.5, 0.0, 0.0, "duality gap", 1e-6)
    >>> sorted(arrays_of(FittedModel(np.ones(3), 0.5, losses.Squared(), penalties.L2(0.1), proof)))
    ['coef', 'intercept']
    """
    arrays = {"coef": np.asarray(model.coef), "intercept": np.asarray(model.intercept)}
    if model.penalty.weights is not None:
        arrays["penalty_weights"] = np.asarray(model.penalty.weights, dtype=np.float64)
    return arrays


def rebuild(document: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> FittedModel:
    """Return the model of a description and arrays, as `describe` and `arrays_of` give them.

    Parameters
    ----------
    document : mapping
    arrays : mapping of str to ndarray

    Raises
    ------
    KeyError, TypeError, ValueError
        Something is missing or of the wrong kind.

    Examples
    --------
    >>> proof = Certificate(0.5, 0.5, 0.0, 0.0, "duality gap", 1e-6)
    >>> model = FittedModel(np.ones(3), 0.5, losses.Squared(), penalties.L2(0.1), proof)
    >>> rebuild(describe(model), arrays_of(model)).certificate == proof
    True
    """
    coef, intercept = arrays["coef"], arrays["intercept"]
    penalty = _rebuild_part(document["penalty"], penalties)
    if "penalty_weights" in arrays:
        penalty = penalty._replace(weights=arrays["penalty_weights"])
    penalty.check(coef.shape[0])
    names, classes = document["feature_names"], document["classes"]
    certificate = {name: _from_json(value) for name, value in document["certificate"].items()}
    model = FittedModel(
        coef,
        intercept if intercept.ndim else float(intercept),
        _rebuild_part(document["loss"], losses).check(),
        penalty,
        Certificate(**certificate),
        None if document["encoder"] is None else Encoder.from_dict(document["encoder"]),
        classes=None if classes is None else tuple(classes),
        settings=dict(document["settings"]),
        versions=dict(document["versions"]),
    )
    return model if names is None else replace(model, feature_names=tuple(names))


def _rebuild_part(part: dict[str, Any], package: Any) -> Any:
    parameters = {key: _from_json(value) for key, value in part["parameters"].items()}
    return _classes_by_name(package)[part["name"]](**parameters)


def _check(model: FittedModel) -> None:
    coef, intercept = np.asarray(model.coef), np.asarray(model.intercept)
    outputs = coef.shape[1:]
    if coef.ndim not in (1, 2) or intercept.shape != outputs or coef.dtype != np.float64:
        raise ModelFileError(f"coefficients of shape {coef.shape} do not fit intercepts of shape {intercept.shape}")
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ModelFileError("a coefficient or intercept is NaN or infinite")
    if model.encoder is not None and len(model.encoder.feature_names) != coef.shape[0]:
        raise ModelFileError(f"{coef.shape[0]} coefficients for {len(model.encoder.feature_names)} encoded features")
    if model.feature_names is not None and len(model.feature_names) != coef.shape[0]:
        raise ModelFileError(f"{coef.shape[0]} coefficients for {len(model.feature_names)} feature names")
    wanted = n_outputs(model.loss)
    if outputs != (() if wanted == 1 else (wanted,)):
        raise ModelFileError(f"coefficients of shape {coef.shape} do not fit the {model.loss.name} loss")
    expected = outputs[0] if outputs else 2
    if model.classes is not None and len(model.classes) != expected:
        raise ModelFileError(f"{len(model.classes)} class labels for {expected} classes")


def _describe_part(value: Any, package: Any) -> dict[str, Any]:
    """Describe a loss or penalty by its name and hyper-parameters."""
    if type(value) not in _classes_by_name(package).values():
        raise ModelFileError(f"{type(value).__name__} is not one of {package.__name__}: only those can be saved")
    parameters = {key: _to_json(number) for key, number in value._asdict().items() if key != "weights"}
    return {"name": value.name, "parameters": parameters}


def _classes_by_name(package: Any) -> dict[str, Any]:
    found = (getattr(package, name) for name in package.__all__)
    kinds: list[Any] = [kind for kind in found if isinstance(kind, type) and issubclass(kind, tuple)]
    return {kind.name: kind for kind in kinds}


def _to_json(value: Any) -> Any:
    """Return a number as JSON has it; infinities and NaN become text."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(float(value))
    return int(value) if isinstance(value, np.integer) else value


def _from_json(value: Any) -> Any:
    return float(value) if value in ("inf", "-inf", "nan") else value
