"""Packages that only an extra of the installation brings."""

from __future__ import annotations

from importlib.util import find_spec

from offbeat.errors import MissingPackageError

PLOT = {"picture": ("matplotlib",), "page": ("bokeh", "jinja2")}


def require_plot(*kinds: str) -> None:
    """Raise unless all is installed that pictures or pages need. Nothing is imported.

    Parameters
    ----------
    *kinds : {"picture", "page"}

    Raises
    ------
    MissingPackageError
        Names what is missing, and the extra that brings it.
    """
    missing = [name for kind in kinds for name in PLOT[kind] if not _installed(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingPackageError(
            f"Charts and reports need {' and '.join(missing)}, which {verb} not installed: "
            "pip install 'offbeat[plot]' brings all that they need."
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False
