"""How CSV and libsvm files are read, where the files themselves do not say it.

Imports little: the help of the command loads this module.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from offbeat.errors import DataError

if TYPE_CHECKING:
    from offbeat.data.tables.encoding import Encoder

MODEL_SETTINGS = ("separator", "decimal", "encoding", "na_values", "categorical", "index_base")
"""Options that a model remembers, so that files for predictions are read as that of the fit was."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read CSV and libsvm files; pass it to `offbeat.data.load.open_data`.

    Parameters
    ----------
    separator : str, optional
        Of the fields of a CSV file; by default a comma, in ``.tsv`` files a tab.
    decimal : str
        What stands before the decimals of a number.
    encoding : str
        Of the text of a CSV file: any that Python knows.
    na_values : tuple of str, optional
        What stands for a missing value in a CSV file, beside an empty field; by default ``NA``, ``NaN``, ``null`` and
        the like. Give an empty tuple if ``NA`` is a value, such as a country.
    categorical : tuple of str
        Columns of a CSV file that are text, whatever they look like: ``007``, ``1``, ``true``, dates.
    index_base : {0, 1}, optional
        The index of the first column in a libsvm file. By default 0 if the file has an index 0, and 1 if not.
    n_columns : int, optional
        Columns that a libsvm file has at least, as a model knows them: the last ones may not occur in it.

    Raises
    ------
    DataError
        A value is none of those.

    Examples
    --------
    >>> ReadOptions(separator=";", decimal=",").encoding
    'utf-8'
    """

    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    na_values: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    index_base: int | None = None
    n_columns: int | None = None

    def __post_init__(self) -> None:
        for name in ("separator", "decimal"):
            mark = getattr(self, name)
            if mark is not None and len(mark) != 1:
                raise DataError(f"The {name} is {mark!r}; give one character.")
        if self.decimal == (self.separator or ","):
            raise DataError(
                f"{self.decimal!r} cannot both stand before decimals and separate fields: give the separator of the "
                "file, often ';'."
            )
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise DataError(f"The encoding {self.encoding!r} is not known; known are utf-8, latin-1, cp1252.") from None
        if self.index_base not in (None, 0, 1):
            raise DataError(f"The indices of a libsvm file start at 0 or 1, not at {self.index_base}.")

    def for_prediction(self, encoder: Encoder | None, n_columns: int, texts: Iterable[str] = ()) -> ReadOptions:
        """Return how a file is read for a model: columns are what they were when it was fitted.

        Parameters
        ----------
        encoder : Encoder or None
            Of the model.
        n_columns : int
            Features of the model.
        texts : iterable of str
            Other columns of text: a target whose labels are texts.
        """
        columns = () if encoder is None else encoder.columns
        kept = {column.name: None for column in columns if column.kind == "text"} | dict.fromkeys(texts)
        return replace(self, categorical=tuple(kept), n_columns=n_columns)

    def settings(self) -> dict[str, Any]:
        """Return what is not as by default, as JSON can hold it.

        Examples
        --------
        >>> ReadOptions(decimal=",", separator=";").settings()
        {'separator': ';', 'decimal': ','}
        """
        plain = {field.name: field.default for field in fields(self)}
        values = {name: getattr(self, name) for name in MODEL_SETTINGS if getattr(self, name) != plain[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ReadOptions:
        """Return what `settings` was made of; other settings are ignored.

        Examples
        --------
        >>> ReadOptions.from_settings({"categorical": ["zip"], "alpha": 0.1}).categorical
        ('zip',)
        """
        kept = {name: settings[name] for name in MODEL_SETTINGS if settings.get(name) is not None}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
        return cls(**values)
