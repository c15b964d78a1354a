"""Models on disk: what is written is read back, and damage or a failure while writing never goes unnoticed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from offbeat import losses, penalties
from offbeat.data.tables.encoding import Encoder
from offbeat.errors import ModelFileError
from offbeat.models import file as model_file
from offbeat.models.file import is_model, load_model, save_model
from offbeat.models.fitted import FittedModel
from offbeat.problem import Certificate
from support.command_line import FullDisk

PROOF = Certificate(0.5, 0.4999, 1e-4, 1.4e-4, "duality gap", 1e-3)
NO_DUAL = Certificate(0.5, -np.inf, 1e-9, 1e-9, "gradient")


def simple(value: float = 1.0) -> FittedModel:
    return FittedModel(np.array([value, -2.0]), 0.25, losses.Squared(), penalties.L2(0.1), PROOF)


def categorical() -> FittedModel:
    table = pa.table({"x": [1.0, 2.0, 3.0], "Zürich": ["a", "b", "a"], "flag": [True, False, True]})
    encoder = Encoder.fit(table)
    settings = {"target": "late", "drop": ["id"], "alpha": 1e-4}
    return FittedModel(
        np.arange(4.0), 0.1, losses.Logistic(), penalties.ElasticNet(1e-4, 0.3), NO_DUAL, encoder,
        classes=("no", "yes"), settings=settings,
    )  # fmt: skip


def multinomial() -> FittedModel:
    names = tuple(f"feature {j}" for j in range(5))
    coef = np.random.default_rng(1).normal(size=(5, 3))
    return FittedModel(
        coef, np.zeros(3), losses.Multinomial(3), penalties.L1(0.5), PROOF, feature_names=names, classes=(1, 2, 7)
    )


def weighted() -> FittedModel:
    box = penalties.Box(-np.inf, 2.0, 0.1, np.array([1.0, 0.0]))
    return FittedModel(np.ones(2), 0.0, losses.Huber(0.7), box, PROOF)


def same(a: FittedModel, b: FittedModel) -> bool:
    weights = [np.array([]) if m.penalty.weights is None else np.asarray(m.penalty.weights) for m in (a, b)]
    return (
        np.array_equal(a.coef, b.coef)
        and np.array_equal(a.intercept, b.intercept)
        and (a.loss, a.penalty._replace(weights=None)) == (b.loss, b.penalty._replace(weights=None))
        and np.array_equal(*weights)
        and repr(a.certificate) == repr(b.certificate)  # NaN is itself
        and (a.encoder, a.feature_names, a.classes) == (b.encoder, b.feature_names, b.classes)
        and (dict(a.settings), dict(a.versions)) == (dict(b.settings), dict(b.versions))
    )


@pytest.mark.parametrize("make", [simple, categorical, multinomial, weighted])
def test_round_trip(make: Callable[[], FittedModel], tmp_path: Path) -> None:
    model = make()
    save_model(tmp_path / "new" / "model", model)
    assert same(load_model(tmp_path / "new" / "model"), model)
    assert same(load_model(tmp_path / "new" / "model" / "model.json"), model)
    assert is_model(tmp_path / "new" / "model")


@pytest.mark.parametrize(
    "loss", [losses.Squared(), losses.Logistic(), losses.Poisson(), losses.Gamma(), losses.SquaredHinge()]
)
@pytest.mark.parametrize("penalty", [penalties.Zero(), penalties.L1(0.1), penalties.NonNegative(0.3)])
def test_every_loss_and_penalty(loss: Any, penalty: Any, tmp_path: Path) -> None:
    save_model(tmp_path / "m", replace(simple(), loss=loss, penalty=penalty))
    back = load_model(tmp_path / "m")
    assert (back.loss, back.penalty) == (loss, penalty)
    assert type(back.loss) is type(loss)


def test_files_are_json_and_npz_without_pickles(tmp_path: Path) -> None:
    save_model(tmp_path / "m", categorical())
    names = sorted(path.name for path in (tmp_path / "m").iterdir())
    assert len(names) == 2
    assert names[0].startswith("arrays-") and names[0].endswith(".npz")
    assert names[1] == "model.json"
    document = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
    assert document["version"] == 1
    assert document["certificate"]["dual"] == "-inf"
    with np.load(tmp_path / "m" / names[0], allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["coef", "intercept"]


def test_saving_again_replaces_the_model_and_leaves_other_files(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    save_model(folder, simple(1.0))
    (folder / "notes.txt").write_text("mine")
    save_model(folder, simple(2.0))
    save_model(folder, simple(2.0))
    assert load_model(folder).coef[0] == 2.0
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".npz", ".txt"]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_nothing_is_left_of_a_new_model_when_saving_fails(
    nth: int, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", FullDisk(nth, error))
    with pytest.raises(error):
        save_model(tmp_path / "m", simple())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("new", [simple(2.0), simple(1.0)], ids=["other numbers", "the same numbers"])
def test_the_old_model_stays_when_saving_fails(
    nth: int, new: FittedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path / "m", simple(1.0))
    before = sorted(path.name for path in (tmp_path / "m").iterdir())
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", FullDisk(nth))
        with pytest.raises(OSError, match="No space left"):
            save_model(tmp_path / "m", replace(new, settings={"changed": True}))
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == before
    assert same(load_model(tmp_path / "m"), simple(1.0))


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(ModelFileError, match="is a file"):
        save_model(tmp_path / "m", simple())
    with pytest.raises(OSError):
        save_model(tmp_path / "m" / "inside", simple())
    assert (tmp_path / "m").read_text() == "mine"


@pytest.mark.parametrize("content", ["{}", "[1]", "{nonsense", '{"format": "another program"}'])
def test_a_model_of_another_program_is_not_replaced(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(ModelFileError, match="not a model of this library"):
        save_model(tmp_path, simple())
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    assert (tmp_path / "model.json").read_text() == content


def test_a_loss_that_could_not_be_read_back_is_refused(tmp_path: Path) -> None:
    class Mine(losses.Squared):
        pass

    with pytest.raises(ModelFileError, match="Mine is not one of"):
        save_model(tmp_path / "m", replace(simple(), loss=Mine()))
    assert list(tmp_path.iterdir()) == []


def test_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no model in .*absent: it has no model\.json"):
        load_model(tmp_path / "absent")
    with pytest.raises(ModelFileError, match=r"has no model\.json"):
        load_model(tmp_path)
    assert not is_model(tmp_path)


def test_missing_arrays(tmp_path: Path) -> None:
    save_model(tmp_path, simple())
    next(tmp_path.glob("arrays-*")).unlink()
    with pytest.raises(ModelFileError, match=r"arrays-.* is missing\. Restore the folder"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
@pytest.mark.parametrize("name", ["model.json", "arrays-*"])
def test_truncation_anywhere_is_noticed(name: str, keep: int, tmp_path: Path) -> None:
    save_model(tmp_path, categorical())
    file = next(tmp_path.glob(name))
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=f"{file.name}.*(damaged|cut short)"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "arrays-*"])
def test_every_flipped_bit_is_noticed(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    save_model(tmp_path, categorical())
    file = next(tmp_path.glob(name))
    whole = file.read_bytes()
    document = json.loads(whole) if name == "model.json" else None
    for position in rng.choice(len(whole), size=60, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        if document is not None and _same_json(bytes(damaged), document):
            continue  # white space
        with pytest.raises(ModelFileError):
            load_model(tmp_path)


def _same_json(text: bytes, document: Any) -> bool:
    try:
        return bool(json.loads(text) == document)
    except ValueError:
        return False


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the document as somebody would who also knows about the checksum."""
    file = folder / "model.json"
    document = json.loads(file.read_bytes())
    change(document)
    document["checksum"] = model_file._checksum(document)
    file.write_text(json.dumps(document))


def test_a_changed_document_is_noticed(tmp_path: Path) -> None:
    save_model(tmp_path, categorical())
    file = tmp_path / "model.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"yes"', '"jes"'), encoding="utf-8")
    with pytest.raises(ModelFileError, match="damaged or changed after it was written"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=2), r"format 2, written by a later version.*Upgrade offbeat"),
        (lambda d: d.update(version="1"), "version '1'"),
        (lambda d: d.update(format="other"), "does not describe a model of this library"),
        (lambda d: d.pop("classes"), "KeyError: 'classes'"),
        (lambda d: d.update(loss={"name": "unheard-of", "parameters": {}}), "unheard-of"),
        (lambda d: d["penalty"]["parameters"].update(alpha=-1.0), "alpha of the penalty is -1.0"),
        (lambda d: d.update(classes=["only one"]), "1 class labels for 2 classes"),
        (lambda d: d["encoder"]["columns"].pop(), "4 coefficients for 3 encoded features"),
        (lambda d: d["certificate"].pop("gap"), "gap"),
        (lambda d: d.update(arrays={"file": "../../secret.npz", "sha256": ""}), "arrays file"),
        (lambda d: d.update(arrays=None), "arrays file"),
        (lambda d: d.update(settings=7), "'int' object is not iterable"),
    ],
)
def test_documents_that_make_no_sense(change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path) -> None:
    save_model(tmp_path, categorical())
    rewrite(tmp_path, change)
    with pytest.raises(ModelFileError, match=message):
        load_model(tmp_path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, simple())
    arrays = next(tmp_path.glob("arrays-*"))
    with open(arrays, "wb") as file:
        np.savez(file, coef=np.array([{"not": "a number"}], dtype=object), intercept=np.array(0.0))
    digest = model_file.hashlib.sha256(arrays.read_bytes()).hexdigest()
    rewrite(tmp_path, lambda d: d["arrays"].update(sha256=digest))
    with pytest.raises(ModelFileError, match="holds no arrays"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coef": np.array([np.nan, 1.0])}, "NaN or infinite"),
        ({"intercept": np.zeros(2)}, "do not fit intercepts"),
        ({"feature_names": ("one",)}, "2 coefficients for 1 feature names"),
        ({"classes": ("a", "b", "c")}, "3 class labels for 2 classes"),
        ({"coef": np.ones((2, 2)), "intercept": np.zeros(2)}, "do not fit the squared loss"),
    ],
)
def test_parts_that_do_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        replace(simple(), **change)
