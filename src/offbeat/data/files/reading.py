"""How text files are to be read: what they do not say of themselves. Light to import: the command's help loads it."""

from __future__ import annotations

import codecs
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from offbeat.errors import DataError

if TYPE_CHECKING:
    from offbeat.data.tables.encoding import Encoder

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_INFLATION = 6
_KEPT = ("separator", "decimal", "encoding", "na_values", "categorical", "index_base")


@dataclass(frozen=True)
class Reading:
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
    >>> Reading(separator=";", decimal=",").encoding
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

    def for_prediction(self, encoder: Encoder | None, n_columns: int, texts: Iterable[str] = ()) -> Reading:
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
        >>> Reading(decimal=",", separator=";").settings()
        {'separator': ';', 'decimal': ','}
        """
        plain = {field.name: field.default for field in fields(self)}
        values = {name: getattr(self, name) for name in _KEPT if getattr(self, name) != plain[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Reading:
        """Return what `settings` was made of; other settings are ignored.

        Examples
        --------
        >>> Reading.from_settings({"categorical": ["zip"], "alpha": 0.1}).categorical
        ('zip',)
        """
        kept = {name: settings[name] for name in _KEPT if settings.get(name) is not None}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
        return cls(**values)


class TemporaryFolder:
    """A folder that disappears with this object.

    Examples
    --------
    >>> folder = TemporaryFolder()
    >>> path = folder.path
    >>> del folder
    >>> path.exists()
    False
    """

    def __init__(self) -> None:
        import shutil
        import tempfile

        self.path = Path(tempfile.mkdtemp(prefix="offbeat-"))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def compression(path: Path) -> str | None:
    """Return how a file is compressed, by its name.

    Examples
    --------
    >>> compression(Path("a.csv.GZ")), compression(Path("a.csv"))
    ('gzip', None)
    """
    return COMPRESSED.get(path.suffix.lower())


def in_memory_bytes(path: Path) -> int:
    """Return about how much memory the content of a text file takes.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    # Text takes about as much as the numbers it spells; parsing needs both for a while.
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return 2 * size * (_INFLATION if compression(path) else 1)


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file that may be compressed (gzip, bzip2), after its byte-order mark if it has one."""
    import bz2
    import gzip

    openers: dict[str | None, Callable[..., Any]] = {"gzip": gzip.open, "bz2": bz2.open}
    file: IO[bytes] = openers.get(compression(path), open)(path, "rb")
    try:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
    except BaseException:
        file.close()
        raise
    return file
