"""From the options of a command to rows to fit and rows to test: the table is read, checked and split."""

from __future__ import annotations

import difflib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.commands.holdout import Split, split
from offbeat.commands.options import DataRequest, LossName
from offbeat.data.load import as_dataset, target_values
from offbeat.data.opening import Opened, open_data
from offbeat.data.tables.columns import column_kind
from offbeat.data.tables.encoding import EncoderOptions
from offbeat.data.tables.pandas_index import noted_index
from offbeat.data.tables.table import Tabular, feature_columns
from offbeat.errors import DataError, TargetError
from offbeat.linear_model._shared.labels import encode_labels
from offbeat.models.fitted import Label

MAX_CLASSES = 1000


def load_split(request: DataRequest, loss: LossName) -> Split:
    """Read the data and hold out the test rows.

    Raises
    ------
    DataError, TargetError
        Something cannot be read, found or used.
    """
    opened = open_data(request.table, request.memory_budget, request.read_options)
    columns = _features(opened, request)
    target = _values(opened, request, "--target", request.target)
    labels = target_values(opened, target) if loss.classifier else target
    classes: NDArray[Any] | None = None
    if loss.classifier:
        classes, labels = encode_labels(labels)
        _check_classes(loss, classes)
    else:
        _check_not_text(opened, request)
    dataset = as_dataset(
        opened,
        labels,
        sample_weight=_values(opened, request, "--weight", request.weight),
        offset=_values(opened, request, "--offset", request.offset),
        memory_budget=request.memory_budget,
        columns=columns,
        encoder=None if opened.table is None else EncoderOptions(categorical=request.read_options.categorical),
        target=request.target if opened.table is not None else None,
    )
    del opened  # a copy of the rows may follow
    return split(dataset, request.test_fraction, request.seed, None if classes is None else _plain(classes))


def _values(opened: Opened, request: DataRequest, option: str, given: str | None) -> Any:
    """Return what an option names: a column of a table, checked, or the values in a file beside a matrix."""
    if opened.table is not None:
        names = list(opened.table.schema.names)
        if given is None and option == "--target":
            raise TargetError(f"which column is the target? Give --target: {request.table} has {_shown(names)}")
        _check_column(names, option, given, request.table)
        return given
    if given is None:
        if option == "--target" and opened.labels is None:
            raise TargetError(f"{request.table} has no target in it: give --target, a .npy file with one value a row")
        return None
    return read_vector(Path(given), option, request.table)


def _features(opened: Opened, request: DataRequest) -> list[str] | None:
    """Return the columns that are features; None for a matrix, where all are."""
    categorical = request.read_options.categorical
    if opened.table is None:
        if request.drop or categorical:
            option = "--drop" if request.drop else "--categorical"
            raise DataError(f"{option} needs names of columns, which {request.table} does not have")
        return None
    names = list(opened.table.schema.names)
    for option, given in (("--drop", request.drop), ("--categorical", categorical)):
        for name in given:
            _check_column(names, option, name, request.table)
    _note_index(opened.table, request)
    return feature_columns(opened.table, [request.target, request.weight, request.offset, *request.drop])


def _note_index(table: Tabular, request: DataRequest) -> None:
    """Warn of columns that are no features, though nobody said so."""
    used = {request.target, request.weight, request.offset, *request.drop}
    index = sorted(noted_index(table.schema) - used)
    if index:
        names = ", ".join(repr(name) if name else "the column without a name" for name in index)
        warnings.warn(
            f"{names}: the index of the pandas table that was stored, and no feature.", UserWarning, stacklevel=2
        )


def read_vector(path: Path, option: str, table: Path) -> NDArray[Any]:
    """Return the values in a ``.npy`` file that stands beside a matrix.

    Raises
    ------
    DataError
        There is no such file, or it holds something else.
    """
    if not path.is_file() or path.suffix != ".npy":
        raise DataError(
            f"{table} has no names of columns, so {option} must be a .npy file with one value a row, and {path} "
            f"{'does not exist' if not path.exists() else 'is none'}"
        )
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is damaged, cut short or holds objects: {error}") from error
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path} holds several arrays; {option} must be a file with one value a row")
    return values


def _check_column(names: list[str], option: str, name: str | None, table: Path) -> None:
    if name is None or name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"It has {_shown(names)}."
    raise DataError(f"{option}: {table} has no column {name!r}. {hint}")


def _check_not_text(opened: Opened, request: DataRequest) -> None:
    """Raise `TargetError` if the target is a category: there is a loss for that."""
    if opened.table is None:
        return
    kind = column_kind(str(request.target), opened.table.schema.field(request.target).type)
    if kind != "number":
        raise TargetError(
            f"the target {request.target!r} holds categories ({kind}), not numbers: use --loss logistic or multinomial"
        )


def _check_classes(loss: LossName, classes: NDArray[Any]) -> None:
    count = len(classes)
    if count < 2:
        raise TargetError(f"the target has one class only, {classes.tolist()[0]!r}: there is nothing to tell apart")
    if loss != LossName.MULTINOMIAL and count > 2:
        shown = ", ".join(repr(label) for label in classes.tolist()[:5]) + (", ..." if count > 5 else "")
        raise TargetError(f"the target has {count:,} classes ({shown}); {loss} takes two: use --loss multinomial")
    if count > MAX_CLASSES:
        raise TargetError(f"the target has {count:,} different values: use a loss for numbers, such as squared")


def _plain(classes: NDArray[Any]) -> tuple[Label, ...]:
    """Return the labels as JSON has them; whole numbers that were read as floats, as in libsvm files, as integers."""
    labels = classes.tolist()
    whole = all(isinstance(label, float) and label.is_integer() for label in labels)
    return tuple(int(label) for label in labels) if whole else tuple(labels)


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"the column{'s' * (len(names) != 1)} {', '.join(names[:20])}{more}" if names else "no columns"
