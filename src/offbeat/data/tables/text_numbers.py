"""Columns of text that look like numbers: what keeps them from being numbers, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

FEW_LEVELS = 20
"""A column of at most so many different values may well hold categories."""
MOST_WORDS = 0.1
"""Share of the different values that may be words in a column that is taken for one of numbers."""
_DECORATED = re.compile(r"[-+(]?[$€£]?[-+]?(\d+|\d{1,3}([,.' \u00a0]\d{3})+)([.,]\d+)?\s?[%€$£)]?")


class Doubt(NamedTuple):
    """What is strange about a column of text: a value, how many such, and whether it is a number written otherwise."""

    value: str
    n_strange: int
    decorated: bool

    def told(self, name: str, row_of: Callable[[str, str], int] | None = None) -> str:
        """Return what to say about the column of this name; ``row_of`` finds the first row with a value."""
        where = "" if row_of is None else f" in row {row_of(name, self.value)}"
        if self.decorated:
            return (
                f"Column {name!r} is text, and looks like numbers written as {self.value!r}{where}: write them "
                "plainly, without separators of thousands and signs."
            )
        others = f" and {self.n_strange - 1:,} more" if self.n_strange > 1 else ""
        return (
            f"Column {name!r} is text because of {self.value!r}{where}{others}, and holds numbers otherwise: correct "
            "those rows or drop them, or, if it does hold categories, say so (--categorical; in Python, a categorical "
            "type)."
        )


def doubtful(levels: Collection[Any]) -> Doubt | None:
    """Return what is strange about a column of text with these values, if nearly all of them look like numbers.

    Parameters
    ----------
    levels : collection of str
        The different values.

    Examples
    --------
    >>> doubtful([*(str(number) for number in range(50)), "none"])
    Doubt(value='none', n_strange=1, decorated=False)
    >>> doubtful([f"1,{number}" for number in range(100, 150)]).decorated
    True
    """
    if len(levels) <= FEW_LEVELS:
        return None
    strange = sorted(level for level in levels if not is_number(level))
    words = {level for level in strange if not _DECORATED.fullmatch(level.strip())}
    if not strange or len(words) > MOST_WORDS * len(levels):
        return None
    decorated = len(strange) > MOST_WORDS * len(levels)
    shown = next(level for level in strange if level not in words) if decorated else strange[0]
    return Doubt(shown, len(strange), decorated)


def first_word(values: Iterable[Any]) -> str | None:
    """Return the first text that is no number, of an Arrow column.

    Examples
    --------
    >>> import pyarrow as pa
    >>> first_word(pa.array(["1", None, "two"]))
    'two'
    """
    texts: Any = values
    return next((text for text in texts.unique().drop_null().to_pylist() if not is_number(text)), None)


def is_number(text: str) -> bool:
    """Return whether a text is a number as it stands.

    Examples
    --------
    >>> is_number("1e5"), is_number("1,257")
    (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True
