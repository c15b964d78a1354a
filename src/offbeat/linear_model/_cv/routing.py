"""Metadata for splitters and scorers, as scikit-learn routes it where a user has turned that on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sklearn

from offbeat.errors import ProblemError


def routing_is_on() -> bool:
    """Whether scikit-learn routes metadata.

    Examples
    --------
    >>> routing_is_on()
    False
    """
    return bool(sklearn.get_config()["enable_metadata_routing"])


def check_routed(params: Mapping[str, Any], model: Any, method: str) -> None:
    """Raise `ProblemError` for parameters that only metadata routing would bring to their place.

    Examples
    --------
    >>> check_routed({}, object(), "fit")
    """
    if params and not routing_is_on():
        raise ProblemError(
            f"{type(model).__name__}.{method} takes {', '.join(params)} only where metadata is routed: call "
            "sklearn.set_config(enable_metadata_routing=True)"
        )
