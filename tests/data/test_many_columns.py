"""Tables with many columns: all names are read a fixed number of times, not once for each column."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from offbeat.data.files import csv
from offbeat.data.load import as_dataset
from offbeat.data.tables import in_memory
from offbeat.data.tables.columns import LevelScan
from offbeat.data.tables.encoding import EncoderOptions
from offbeat.data.tables.in_memory import MemoryTable, memory_table
from offbeat.data.tables.table import check_columns, count_missing, feature_columns, fit_encoder, scan_levels


class Names(list[str]):
    """Names that count how often all of them are read."""

    reads = 0

    def __iter__(self) -> Iterator[str]:
        Names.reads += 1
        return super().__iter__()

    def __contains__(self, name: object) -> bool:
        Names.reads += 1
        return super().__contains__(name)

    def count(self, name: str) -> int:
        Names.reads += 1
        return super().count(name)

    def index(self, name: str, *where: Any) -> int:
        Names.reads += 1
        return super().index(name, *where)


class Schema:
    """A schema that counts how often all its names are read."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema

    @property
    def names(self) -> Names:
        Names.reads += 1
        return Names(self.schema.names)

    @property
    def metadata(self) -> Any:
        return self.schema.metadata

    def field(self, name: str) -> Any:
        return self.schema.field(name)

    def __iter__(self) -> Iterator[pa.Field]:
        Names.reads += 1
        return iter(self.schema)

    def __len__(self) -> int:
        return len(self.schema)


class Table:
    """A table in memory that is seen through such a schema."""

    def __init__(self, k: int, text: bool) -> None:
        columns: dict[str, Any] = {f"c{j}": np.arange(3.0) + j for j in range(k)}
        columns |= {f"t{j}": ["u", "v", "u"] for j in range(k)} if text else {}
        made = MemoryTable.from_arrow(pa.table(columns))
        self.table = MemoryTable(Names(made.names), made.columns)  # type: ignore[arg-type]
        self.schema, self.n_rows = Schema(made.schema), 3
        self.batches, self.known_missing, self.source = (
            self.table.batches, self.table.known_missing, self.table.source,
        )  # fmt: skip


def reads_of_names(work: Callable[[], object]) -> int:
    gc.collect()
    before = Names.reads
    work()
    return Names.reads - before


def everything(table: Table) -> None:
    names = feature_columns(table, ["c0"])  # type: ignore[arg-type]
    check_columns(table, names)  # type: ignore[arg-type]
    encoder = fit_encoder(table, names, EncoderOptions(categorical=("c1",)))  # type: ignore[arg-type]
    encoder.check_names(Names(table.schema.names))
    encoder.transform(table.table.columns and pa.table(dict(zip(table.table.names, table.table.columns, strict=True))))
    table.source(encoder, 1 << 30)
    scan = scan_levels(table, names)  # type: ignore[arg-type]
    scan.merge(scan_levels(table, names[::-1]))  # type: ignore[arg-type]
    LevelScan(table.schema)
    count_missing(table, names)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [False, True])
def test_names_are_read_as_often_for_more_columns(text: bool) -> None:
    few, more = (reads_of_names(lambda k=k: everything(Table(k, text))) for k in (5, 60))  # type: ignore[misc]
    assert few == more < 60


def test_the_header_of_a_csv_file(tmp_path: Any) -> None:
    few, more = (
        reads_of_names(lambda k=k: csv._check_header(tmp_path, Names(f"c{j}" for j in range(k))))  # type: ignore[misc]
        for k in (5, 60)
    )
    assert few == more < 10


def test_columns_of_a_frame_are_taken_by_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {}
    for i, dtype in enumerate([np.float64, np.float32, np.int64, np.uint8, np.bool_, np.dtype(">f8")] * 3):
        columns[f"n{i}"] = (rng.normal(size=40) * 9).astype(dtype)
        columns[f"t{i}"] = pd.Categorical(rng.choice(["a", "b"], 40)) if i % 2 else rng.choice(["a", "b"], 40)
    frame = pd.concat([pd.DataFrame({name: values}) for name, values in columns.items()], axis=1)
    together = memory_table(frame)
    monkeypatch.setattr(in_memory, "MAX_COPIED_BYTES", -1)
    apart = memory_table(frame)
    assert together is not None and apart is not None and together.schema == apart.schema
    for one, other, name in zip(together.columns, apart.columns, frame.columns, strict=True):
        if name.startswith("n"):
            np.testing.assert_array_equal(one, frame[name])
            np.testing.assert_array_equal(other, frame[name])
        else:
            assert one.equals(other) and one.to_pylist() == frame[name].tolist()


def test_columns_of_one_matrix_are_taken_as_one() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.int16, np.bool_):
        matrix = (rng.normal(size=(5000, 30)) * 100).astype(dtype)
        frame = pd.DataFrame(matrix, columns=[f"c{j}" for j in range(30)])
        table = memory_table(frame)
        assert table is not None and table.matrix is not None
        dataset = as_dataset(frame, "c29")
        np.testing.assert_array_equal(dataset.source.read(0, 5000), matrix[:, :29].astype(np.float64))
        assert dataset.source.dtype == (np.float32 if dtype is np.float32 else np.float64)
        assert dataset.encoder is not None
        again = as_dataset(frame[[*frame.columns[::-1]]], encoder=dataset.encoder).source
        np.testing.assert_array_equal(again.read(0, 5000), dataset.source.read(0, 5000))
