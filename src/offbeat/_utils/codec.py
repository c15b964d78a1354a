"""Trees of the library's own records as JSON and arrays: numbers, text, tuples, arrays, dataclasses and named tuples.

What is read back can only be such a record of a class of this package, made by its constructor from its fields.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat._utils.old_names import current_name

DOCUMENT = "document"
PACKAGE = __name__.partition(".")[0]
CLASS = re.compile(rf"({PACKAGE}(?:\.[a-zA-Z_]\w*)*):([a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)*)", re.ASCII)


def write(document: Any, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a document that JSON can hold, and its arrays, as bytes: an npz file without pickles.

    Examples
    --------
    >>> read(write([1, 2], {"a0": np.zeros(1)}))
    ([1, 2], {'a0': array([0.])})
    """
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    return zip_arrays({DOCUMENT: text, **arrays})


def read(content: bytes) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return document and arrays of `write`; whatever the zip, npy and JSON readers stumble over is raised."""
    arrays = unzip(content)
    return json.loads(arrays.pop(DOCUMENT).tobytes()), arrays


def zip_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as bytes: an npz file without pickles.

    Raises
    ------
    ValueError
        An array holds objects, which only a pickle could keep: names it.

    Examples
    --------
    >>> unzip(zip_arrays({"a0": np.zeros(1)}))
    {'a0': array([0.])}
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"the array {name!r} holds objects, and is not written as a pickle")
    buffer = io.BytesIO()
    members: dict[str, Any] = dict(arrays)
    # `savez` of NumPy 2.0 and 2.1 has no parameter `allow_pickle`: it would write an array of that name.
    np.savez(buffer, **members)
    return buffer.getvalue()


def unzip(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file as `numpy.savez` writes it: together they are no larger than the file.

    Raises
    ------
    ValueError
        A member is compressed, there twice, no array, or of another size than it declares; names it.
    Exception
        Whatever the zip and npy readers stumble over.

    Examples
    --------
    >>> unzip(write([1, 2], {"a0": np.zeros(1)}))["a0"]
    array([0.])
    """
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = file.infolist()
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("its members are larger than the file: it was not written by this library")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if member.compress_type != zipfile.ZIP_STORED or name in arrays or name == member.filename:
                raise ValueError(f"the member {member.filename!r} was not written by this library")
            arrays[name] = _array(file.read(member), name)
    return arrays


def _array(content: bytes, name: str) -> NDArray[Any]:
    """Return an array in the npy format, once its header and its size agree."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        raise ValueError(f"the array {name!r} holds objects, which are not read")
    start, size = file.tell(), math.prod(shape)
    if min(shape, default=0) < 0 or start + size * dtype.itemsize != len(content):
        raise ValueError(
            f"the array {name!r} declares {size:,} values of {dtype}, and holds {len(content) - start} bytes"
        )
    values = np.frombuffer(content, dtype, size, start)
    return values.reshape(shape, order="F" if fortran else "C").copy()


def pack(value: Any, known: Mapping[str, object]) -> NDArray[np.uint8]:
    """Return a record as bytes, for a reader who has the objects that are ``known``.

    Examples
    --------
    >>> shared = (1.0, 2.0)
    >>> unpack(pack(("x", shared), {"shared": shared}), {"shared": shared})
    ('x', (1.0, 2.0))
    """
    encoder = Encoder()
    encoder.know(known)
    return np.frombuffer(write(encoder.encode(value), encoder.arrays), np.uint8)


def unpack(packed: NDArray[Any], known: Mapping[str, object]) -> Any:
    """Return the record that `pack` made."""
    document, arrays = read(packed.tobytes())
    return Decoder(arrays, known).decode(document)


class Encoder:
    """Turns records into what JSON can hold, and collects their arrays.

    Examples
    --------
    >>> encoder = Encoder()
    >>> encoder.encode((1, math.inf, np.zeros(2)))
    {'tuple': [1, {'number': 'inf'}, {'array': 'a0'}]}
    >>> Decoder(encoder.arrays).decode(_)
    (1, inf, array([0., 0.]))
    """

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._known: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def know(self, known: Mapping[str, object]) -> None:
        """Write these objects as their names from now on: the reader has them."""
        self._known.update({id(value): name for name, value in known.items()})

    def encode(self, value: Any, at: str = "it") -> Any:
        """Return what JSON can hold; ``at`` names the value in errors.

        Raises
        ------
        TypeError
            The value, or something in it, is of a type that cannot be written: says where.
        """
        if id(value) in self._known:
            return {"known": self._known[id(value)]}
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"number": repr(value)}
        if isinstance(value, np.generic):
            return {"scalar": self._keep(np.asarray(value), at)}
        if type(value) is np.ndarray:
            return {"array": self._keep(value, at)}
        if type(value) in (tuple, list):
            return {type(value).__name__: [self.encode(part, f"{at}[{i}]") for i, part in enumerate(value)]}
        if type(value) is dict:
            return {"dict": [[self.encode(k, at), self.encode(v, f"{at}[{k!r}]")] for k, v in value.items()]}
        return self._record(value, at)

    def _record(self, value: Any, at: str) -> Any:
        cls = type(value)
        name = f"{cls.__module__}:{cls.__qualname__}"
        if not CLASS.fullmatch(name) or not _is_record(cls):
            raise TypeError(f"{at} is a {cls.__module__}.{cls.__qualname__}")
        return {"class": name, "fields": {f: self.encode(getattr(value, f), f"{at}.{f}") for f in _fields(cls)}}

    def _keep(self, array: NDArray[Any], at: str) -> str:
        """Keep an array, once however often it occurs; return its name."""
        if array.dtype.hasobject:
            raise TypeError(f"{at} is an array of objects")
        known = self._names.get(id(array))
        if known is not None and self.arrays[known] is array:
            return known
        name = self._names[id(array)] = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name


class Decoder:
    """Turns what an `Encoder` made back into records.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    known : mapping of str to object, optional
        What stands for names of known objects.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], known: Mapping[str, object] | None = None) -> None:
        self._arrays, self._known = arrays, known or {}

    def decode(self, value: Any) -> Any:
        """Return the value.

        Raises
        ------
        ValueError, TypeError, KeyError
            It is not of an `Encoder`, or of one of another version.
        """
        if not isinstance(value, dict):
            if isinstance(value, list):
                raise ValueError("a list stands where none can be")
            return value
        if "class" in value:
            cls = _class(value["class"])
            return cls(**{name: self.decode(part) for name, part in value["fields"].items()})
        ((kind, content),) = value.items()
        if kind == "known":
            return self._known[content]
        if kind == "number":
            return float(content)
        if kind in ("array", "scalar"):
            array = self._arrays[content]
            return array if kind == "array" else array[()]
        if kind == "dict":
            return {self.decode(key): self.decode(part) for key, part in content}
        made = {"tuple": tuple, "list": list}[kind]
        return made(self.decode(part) for part in content)


def _is_record(cls: type) -> bool:
    return is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))


def _fields(cls: type) -> list[str]:
    """Return the names of what the constructor takes."""
    if is_dataclass(cls):
        return [field.name for field in fields(cls) if field.init]
    return list(cls._fields)  # type: ignore[attr-defined]


def _class(name: Any) -> Any:
    """Return a class of this package that is a record.

    Raises
    ------
    ValueError
        There is none of this name.
    """
    found = CLASS.fullmatch(current_name(str(name)))
    if found is None or found[1].endswith("__main__"):
        raise ValueError(f"{name!r} is no class of {PACKAGE}")
    try:
        value: Any = import_module(found[1])
        for part in found[2].split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError):
        raise ValueError(f"there is no class {name!r}") from None
    if not isinstance(value, type) or value.__module__ != found[1] or not _is_record(value):
        raise ValueError(f"{name!r} is no record")
    return value
