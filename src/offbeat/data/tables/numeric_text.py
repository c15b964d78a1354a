"""Columns of text that look like numbers: what keeps them from being numbers, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

MAX_CATEGORY_LEVELS = 20
"""A column of text with no more different values is taken for categories, whatever they look like."""
MAX_WORD_SHARE = 0.1
"""Share of the different values that are not numbers, at most, in a column that is taken for one of numbers."""
_FORMATTED_NUMBER = re.compile(r"[-+(]?[$€£]?[-+]?(\d+|\d{1,3}([,.' \u00a0]\d{3})+)([.,]\d+)?\s?[%€$£)]?")


class NumericText(NamedTuple):
    """A column of text that looks like numbers.

    Parameters
    ----------
    value : str
        One of its values that is not a plain number.
    n_others : int
        How many different values are not plain numbers.
    formatted : bool
        Whether these are numbers with separators of thousands or signs, such as ``"1,257"`` or ``"3 %"``.
    """

    value: str
    n_others: int
    formatted: bool

    def message(self, name: str, row_of: Callable[[str, str], int] | None = None) -> str:
        """Return a warning about the column of this name; ``row_of`` finds the first row with a value."""
        where = "" if row_of is None else f" in row {row_of(name, self.value)}"
        if self.formatted:
            return (
                f"Column {name!r} is text, and looks like numbers written as {self.value!r}{where}: write them "
                "plainly, without separators of thousands and signs."
            )
        others = f" and {self.n_others - 1:,} more" if self.n_others > 1 else ""
        return (
            f"Column {name!r} is text because of {self.value!r}{where}{others}, and holds numbers otherwise: correct "
            "those rows or drop them, or, if it does hold categories, say so (--categorical; in Python, a categorical "
            "type)."
        )


def numeric_text(levels: Collection[Any]) -> NumericText | None:
    """Return why a column whose values are nearly all numbers is text; None where they are not.

    Parameters
    ----------
    levels : collection of str
        The different values.

    Examples
    --------
    >>> numeric_text([*(str(number) for number in range(50)), "none"])
    NumericText(value='none', n_others=1, formatted=False)
    >>> numeric_text([f"1,{number}" for number in range(100, 150)]).formatted
    True
    """
    if len(levels) <= MAX_CATEGORY_LEVELS:
        return None
    others = sorted(level for level in levels if not is_number(level))
    words = {level for level in others if not _FORMATTED_NUMBER.fullmatch(level.strip())}
    if not others or len(words) > MAX_WORD_SHARE * len(levels):
        return None
    formatted = len(others) > MAX_WORD_SHARE * len(levels)
    shown = next(level for level in others if level not in words) if formatted else others[0]
    return NumericText(shown, len(others), formatted)


def first_word(values: Iterable[Any]) -> str | None:
    """Return the first text of an Arrow column that is not a number; None where all are.

    Examples
    --------
    >>> import pyarrow as pa
    >>> first_word(pa.array(["1", None, "two"]))
    'two'
    """
    texts: Any = values
    return next((text for text in texts.unique().drop_null().to_pylist() if not is_number(text)), None)


def is_number(text: str) -> bool:
    """Return whether a text is a plain number, as Python reads it.

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
