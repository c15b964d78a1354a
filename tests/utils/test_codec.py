"""Files of arrays from elsewhere: what is read is as large as the file, and declares its own size."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import Problem, losses, penalties, solve, solvers
from offbeat._utils import codec
from offbeat.errors import DataError, ModelFileError
from offbeat.fit import checkpoint
from offbeat.models import file as model_file
from offbeat.models.fitted import FittedModel
from offbeat.problem import Certificate


def npz(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("warnings.warn", lambda *about, **options: None)  # of names that are there twice
                file.writestr(name, content)
    return buffer.getvalue()


def npy(values: Any, shape: tuple[int, ...] | None = None) -> bytes:
    """Return an array in the npy format, with another shape in its header if one is given."""
    buffer, values = io.BytesIO(), np.asarray(values)
    header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(buffer, header | {"shape": values.shape if shape is None else shape})
    return buffer.getvalue() + values.tobytes()


DOCUMENT = ("document.npy", npy(np.frombuffer(b"[1, 2]", np.uint8)))


@pytest.mark.parametrize(
    "values",
    [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((0, 3)), np.array(2.5)],
)  # fmt: skip
def test_arrays_come_back_as_they_were(values: Any) -> None:
    found = codec.read(codec.write([1, 2], {"a0": values}))[1]["a0"]
    np.testing.assert_array_equal(found, values)
    assert (found.dtype, found.shape, found.flags.writeable) == (values.dtype, values.shape, True)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "compressed": (lambda: npz([DOCUMENT, ("a0.npy", npy(np.zeros(1000)))], zipfile.ZIP_DEFLATED), "not written by"),
    "compressed, large": (
        lambda: npz([DOCUMENT, ("a0.npy", npy(np.zeros(4_000_000)))], zipfile.ZIP_DEFLATED), "larger than the file"
    ),
    "twice": (lambda: npz([DOCUMENT, ("a0.npy", npy([1.0])), ("a0.npy", npy([2.0]))]), "'a0.npy' was not written"),
    "no array": (lambda: npz([DOCUMENT, ("a0", npy([1.0]))]), "'a0' was not written"),
    "too large": (lambda: npz([DOCUMENT, ("a0.npy", npy([1.0, 2.0], (10**15,)))]), "declares 1,000,000,000,000,000"),
    "too small": (lambda: npz([DOCUMENT, ("a0.npy", npy([1.0, 2.0], (1,)))]), "holds 16 bytes"),
    "negative": (lambda: npz([DOCUMENT, ("a0.npy", npy([1.0, 2.0], (-1, -2)))]), "declares 2 values"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_members_that_were_not_written_are_refused(name: str, tmp_path: Path) -> None:
    make, said = BAD[name]
    content = make()
    with pytest.raises(ValueError, match=said):
        codec.read(content)
    with pytest.raises(ValueError, match=said):  # the same inside a record, as the state of a solver is
        codec.unpack(np.frombuffer(content, np.uint8), {})
    (tmp_path / "bad.ckpt").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.ckpt' is no checkpoint, or a damaged one"):
        checkpoint.load(tmp_path / "bad.ckpt")


def test_objects_are_refused_instead_of_pickled() -> None:
    assert set(codec.unzip(codec.zip_arrays({"a": np.zeros(2), "b": np.array("text")}))) == {"a", "b"}
    with pytest.raises(ValueError, match="'b' holds objects"):
        codec.zip_arrays({"a": np.zeros(2), "b": np.array([None])})


def test_members_that_lie_over_each_other_are_refused() -> None:
    """The directory of the archive names one array many times."""
    content = bytearray(npz([(f"a{i}.npy", npy(np.zeros(1000))) for i in range(20)]))
    start = content.rindex(b"PK\x05\x06")
    at = int.from_bytes(content[start + 16 : start + 20], "little")
    for _ in range(20):
        content[at + 42 : at + 46] = (0).to_bytes(4, "little")  # where the member begins
        at += 46 + int.from_bytes(content[at + 28 : at + 30], "little")
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        codec.unzip(bytes(content))


@pytest.mark.parametrize("how", ["compressed", "other"])
def test_models_with_other_arrays_are_refused(how: str, tmp_path: Path) -> None:
    proof = Certificate(0.5, 0.4999, 1e-4, 1.4e-4, "duality gap", 1e-3)
    model_file.save_model(tmp_path, FittedModel(np.ones(2), 0.25, losses.Squared(), penalties.L2(0.1), proof))
    arrays = next(tmp_path.glob("arrays-*"))
    with open(arrays, "wb") as file:
        if how == "compressed":
            np.savez_compressed(file, coef=np.zeros(1_000_000), intercept=np.array(0.0))
        else:
            np.savez(file, coef=np.ones(2), intercept=np.array(0.25), more=np.zeros(3))
    document = json.loads((tmp_path / "model.json").read_text())
    document["arrays"]["sha256"] = model_file.hashlib.sha256(arrays.read_bytes()).hexdigest()
    document["checksum"] = model_file._checksum(document)
    (tmp_path / "model.json").write_text(json.dumps(document))
    said = "larger than the file" if how == "compressed" else r"no part of a model: \['more'\]"
    with pytest.raises(ModelFileError, match=said):
        model_file.load_model(tmp_path)


def test_a_checkpoint_that_was_compressed_is_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((50, 3))
    path, problem = tmp_path / "fit.ckpt", Problem(losses.Squared(), penalties.L2(0.1))
    solve(problem, rows, rows[:, 0], solver=solvers.LBFGS(), checkpoint=path)
    assert checkpoint.load(path).snapshot.best is not None
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(tmp_path / "other.npz", **arrays)
    with pytest.raises(DataError, match="no checkpoint, or a damaged one"):
        solve(problem, rows, rows[:, 0], solver=solvers.LBFGS(), resume=tmp_path / "other.npz")
