"""Models on disk: a folder with ``model.json`` (everything that can be read) and one ``.npz`` of numbers; never pickle.

``model.json`` names the arrays file, which is named by its own hash. A model is replaced by writing the new arrays
beside the old ones and then replacing ``model.json``, one atomic rename: whatever goes wrong and whenever, a reader
finds the old model or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import offbeat
from offbeat._utils.atomic import atomic_folder, atomic_write, synced
from offbeat._utils.codec import unzip, zip_arrays
from offbeat.errors import ModelFileError, OffbeatError
from offbeat.models.fitted import ARRAY_NAMES, FittedModel, Label, arrays_of, describe, rebuild

__all__ = ["FittedModel", "Label", "is_model", "load_model", "save_model"]

FORMAT = "offbeat model"
VERSION = 1
DOCUMENT = "model.json"
ARRAYS = re.compile(r"arrays-[0-9a-f]{16}\.npz")
UNREADABLE = "Restore the folder from a copy, or fit the model again."


def save_model(path: str | os.PathLike[str], model: FittedModel) -> None:
    """Write a model into a folder, whole or not at all; a model that is there already is replaced.

    Parameters
    ----------
    path : str or path-like
        The folder. It is made if needed; other files in it are left alone.
    model : FittedModel

    Raises
    ------
    ModelFileError
        ``path`` is no folder, or holds a ``model.json`` of another program; or the loss or penalty is not one of
        this library.
    OSError
        The folder cannot be written or the disk is full. What was there before is as it was.

    Examples
    --------
    >>> import tempfile
    >>> from offbeat import Certificate, losses, penalties
    >>> proof = Certificate(0.5, 0.5, 0.0, 0.0, "duality gap", 1e-6)
    >>> model = FittedModel(np.ones(3), 0.5, losses.Squared(), penalties.L2(0.1), proof)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(folder + "/model", model)
    ...     load_model(folder + "/model").coef
    array([1., 1., 1.])
    """
    folder = Path(path)
    arrays = zip_arrays(arrays_of(model))
    digest = hashlib.sha256(arrays).hexdigest()
    name = f"arrays-{digest[:16]}.npz"
    document = _document(model, name, digest)
    if not os.path.lexists(folder):
        _write_new(folder, name, arrays, document)
    elif folder.is_dir():
        _write_inside(folder, name, arrays, document)
    else:
        raise ModelFileError(f"{folder} is a file. Models are folders: choose another name.")


def load_model(path: str | os.PathLike[str]) -> FittedModel:
    """Read a model written by `save_model`.

    Parameters
    ----------
    path : str or path-like
        The folder, or the ``model.json`` in it.

    Returns
    -------
    model : FittedModel

    Raises
    ------
    ModelFileError
        There is no model, it is damaged, or a later version of the library wrote it: says which file, and what to do.
    """
    given = Path(path)
    file = given if given.name == DOCUMENT else given / DOCUMENT
    document = _read_document(file)
    arrays = _unpack(file.parent, document.get("arrays"))
    try:
        return rebuild(document, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = str(error) if isinstance(error, OffbeatError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{file} is damaged ({what}). {UNREADABLE}") from error


def is_model(path: str | os.PathLike[str]) -> bool:
    """Return whether a path looks like a model: a folder with a ``model.json``, or that file.

    Examples
    --------
    >>> is_model("no/such/folder")
    False
    """
    given = Path(path)
    return (given / DOCUMENT).is_file() or (given.name == DOCUMENT and given.is_file())


def _write_new(folder: Path, name: str, arrays: bytes, document: bytes) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as temporary:
        for file, content in ((name, arrays), (DOCUMENT, document)):
            with synced(temporary / file) as stream:
                stream.write(content)


def _write_inside(folder: Path, name: str, arrays: bytes, document: bytes) -> None:
    previous = _previous(folder)
    with atomic_write(folder / name) as stream:
        stream.write(arrays)
    try:
        with atomic_write(folder / DOCUMENT) as stream:
            stream.write(document)
    except BaseException:
        if name != previous:  # the same numbers have the same name, and still belong to the old model
            (folder / name).unlink(missing_ok=True)
        raise
    if previous is not None and previous != name:
        with suppress(OSError):
            (folder / previous).unlink()


def _previous(folder: Path) -> str | None:
    """Return the arrays file of the model that is there; None when there is none."""
    file = folder / DOCUMENT
    if not file.exists():
        return None
    try:
        document = json.loads(file.read_bytes())
        mine = document["format"] == FORMAT
        name = str(document["arrays"]["file"])
    except (ValueError, KeyError, TypeError):
        mine, name = False, ""
    if not mine:
        raise ModelFileError(f"{file} is not a model of this library: choose another folder, or remove the file.")
    return name if ARRAYS.fullmatch(name) else None


def _document(model: FittedModel, arrays: str, digest: str) -> bytes:
    entry = {"arrays": {"file": arrays, "sha256": digest}}
    document = {"format": FORMAT, "version": VERSION, **describe(model), **entry}
    document["checksum"] = _checksum(document)
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _checksum(document: Mapping[str, Any]) -> str:
    """Hash of everything in the document but the hash."""
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _read_document(file: Path) -> dict[str, Any]:
    try:
        text = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"There is no model in {file.parent}: it has no {DOCUMENT}.") from None
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read: {error.strerror}.") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{file} is damaged or cut short ({error}). {UNREADABLE}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelFileError(f"{file} does not describe a model of this library.")
    version = document.get("version")
    if not isinstance(version, int) or version < 1:
        raise ModelFileError(f"{file} is damaged (version {version!r}). {UNREADABLE}")
    if version > VERSION:
        raise ModelFileError(
            f"{file} has format {version}, written by a later version of offbeat; this is {offbeat.__version__}, which "
            f"reads up to {VERSION}. Upgrade offbeat."
        )
    if document.get("checksum") != _checksum(document):
        raise ModelFileError(f"{file} was damaged or changed after it was written. {UNREADABLE}")
    return document


def _unpack(folder: Path, entry: Any) -> dict[str, NDArray[np.float64]]:
    name, digest = (str(entry.get(key)) for key in ("file", "sha256")) if isinstance(entry, dict) else ("", "")
    if not ARRAYS.fullmatch(name):  # also keeps a forged document from reading elsewhere
        raise ModelFileError(f"{folder / DOCUMENT} is damaged (arrays file {name!r}). {UNREADABLE}")
    file = folder / name
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"{file} is missing. {UNREADABLE}") from None
    except OSError as error:
        raise ModelFileError(f"{file} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelFileError(f"{file} is damaged or cut short: its checksum differs. {UNREADABLE}")
    try:
        arrays = unzip(content)
    except Exception as error:  # the zip and npy readers raise whatever they stumble over
        raise ModelFileError(f"{file} holds no arrays ({error}). {UNREADABLE}") from error
    if others := sorted(set(arrays) - set(ARRAY_NAMES)):
        raise ModelFileError(f"{file} holds arrays that are no part of a model: {others}. {UNREADABLE}")
    return arrays
