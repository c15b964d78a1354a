from __future__ import annotations

import builtins
import copy
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from offbeat.diagnostics import Trace
from offbeat.errors import DataError
from offbeat.sideways.messages import Row

PUBLISHED = [
    "time", "passes", "worker", "clock", "staleness", "primal", "dual", "gap", "primal_residual", "dual_residual",
    "bytes", "kind", "shard", "duration", "note", "batch",
]  # fmt: skip


def test_columns_are_all_fields_of_a_row_in_the_published_order(trace: Trace) -> None:
    assert list(trace.to_arrays()) == PUBLISHED
    assert sorted(PUBLISHED) == sorted(Row._fields)


def test_append_len_iteration_and_index() -> None:
    trace = Trace()
    rows = [Row(0.1), Row(0.2)]
    for row in rows:
        trace.append(row)
    assert len(trace) == 2
    assert list(trace) == rows
    assert trace[-1] is rows[1]
    assert list(trace[:1]) == rows[:1]


def test_values_stand_in_their_own_columns() -> None:
    row = Row(0.25, 0.5, "step", 1.5, 2, 3, 4, 5, 6.0, 7.0, 8.0, 9.0, 10.0, 11, "line search", 12)
    frame = Trace([row]).to_frame()
    assert list(frame.columns) == PUBLISHED
    assert frame.iloc[0].to_dict() == row._asdict()


def test_frames_of_empty_traces_have_the_same_types(trace: Trace) -> None:
    assert len(Trace().to_frame()) == 0
    empty, full = Trace().to_arrays(), trace.to_arrays()
    assert {name: column.dtype for name, column in empty.items()} == {n: c.dtype for n, c in full.items()}
    assert Trace().to_arrow().schema.equals(trace.to_arrow().schema)


def test_without_pandas_the_error_names_the_way_out(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="to_arrow"):
        trace.to_frame()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_are_equal_and_independent(trace: Trace, copied: Callable[[Trace], Trace]) -> None:
    other = copied(trace)
    assert other == trace
    other.append(Row(9.0))
    assert other != trace
    assert trace != 3


def test_save_and_load_keep_everything(trace: Trace, tmp_path: Path) -> None:
    trace.append(Row(math.inf, gap=-math.inf, note="é, “quoted”"))
    trace.metadata["reason"] = "naïve ∞"
    path = tmp_path / "trace.parquet"
    trace.save(path)
    loaded = Trace.load(path)
    assert loaded == trace
    assert type(loaded[0].clock) is int
    assert os.listdir(tmp_path) == ["trace.parquet"]


def test_files_without_the_size_of_batches_are_read(trace: Trace, tmp_path: Path) -> None:
    """Version 0.1.0 wrote no such column at first."""
    path = tmp_path / "trace.parquet"
    pq.write_table(trace.to_arrow().drop_columns(["batch"]), path)
    assert Trace.load(path) == Trace((row._replace(batch=0) for row in trace), trace.metadata)


def test_save_and_load_an_empty_trace(tmp_path: Path) -> None:
    Trace().save(tmp_path / "empty.parquet")
    assert Trace.load(str(tmp_path / "empty.parquet")) == Trace()


def test_a_failed_save_leaves_the_old_file(trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "trace.parquet"
    Trace().save(path)
    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        trace.save(path)
    assert Trace.load(path) == Trace()
    assert os.listdir(tmp_path) == ["trace.parquet"]


def test_saving_into_a_missing_folder_is_an_os_error(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trace.save(tmp_path / "missing" / "trace.parquet")


def test_loading_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trace file"):
        Trace.load(tmp_path / "missing.parquet")


def test_loading_a_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Trace.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_loading_a_cut_file_is_a_data_error(trace: Trace, tmp_path: Path, share: float) -> None:
    path = tmp_path / "trace.parquet"
    trace.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"trace\.parquet.*cannot be read"):
        Trace.load(path)


def test_every_damaged_byte_of_the_data_is_noticed(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    trace.save(path)
    whole = path.read_bytes()
    meta = pq.read_metadata(path).row_group(0)
    for i in range(meta.num_columns):
        column = meta.column(i)
        place = column.data_page_offset + column.total_compressed_size // 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            loaded = Trace.load(path)
        except DataError:
            continue
        assert loaded == trace  # the byte does not matter


def test_loading_another_parquet_file_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"time": [1.0], "gap": [0.1]}), path)
    with pytest.raises(DataError, match="no column passes, worker"):
        Trace.load(path)


def test_loading_without_the_header_is_a_data_error(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(trace.to_arrow().replace_schema_metadata(None), path)
    with pytest.raises(DataError, match="header is missing"):
        Trace.load(path)


@pytest.mark.parametrize("header", ["{", "[]", '{"version": 1}', '{"version": "x", "metadata": {}}', "\xff"])
def test_loading_a_damaged_header_is_a_data_error(trace: Trace, tmp_path: Path, header: str) -> None:
    path = tmp_path / "other.parquet"
    raw = header.encode("latin-1")
    pq.write_table(trace.to_arrow().replace_schema_metadata({"offbeat.trace": raw}), path)
    with pytest.raises(DataError, match="damaged header"):
        Trace.load(path)


def test_loading_a_later_format_says_so(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "later.parquet"
    header = json.dumps({"version": 99, "metadata": {}})
    pq.write_table(trace.to_arrow().replace_schema_metadata({"offbeat.trace": header}), path)
    with pytest.raises(DataError, match="format 99"):
        Trace.load(path)


@pytest.mark.parametrize(("column", "values"), [("clock", ["x"]), ("clock", [None]), ("note", [1]), ("gap", ["0.1"])])
def test_loading_values_of_other_types_is_a_data_error(tmp_path: Path, column: str, values: list[object]) -> None:
    table = Trace([Row(0.1)]).to_arrow()
    place = table.column_names.index(column)
    path = tmp_path / "types.parquet"
    pq.write_table(table.set_column(place, column, pa.array(values)), path)
    with pytest.raises(DataError, match=column):
        Trace.load(path)


def test_unknown_numbers_written_as_null_are_nan(tmp_path: Path) -> None:
    table = Trace([Row(0.1)]).to_arrow()
    path = tmp_path / "null.parquet"
    pq.write_table(table.set_column(table.column_names.index("gap"), "gap", pa.array([None], pa.float64())), path)
    assert math.isnan(Trace.load(path)[0].gap)


def test_repr_is_brief_and_knows_the_last_update(trace: Trace) -> None:
    trace.append(Row(9.0, 0.1, "step", worker=1))
    assert repr(trace) == "Trace(43 rows, newton, 6 passes, 1.2 s, gap 2.2e-08)"
    assert repr(Trace()) == "Trace(0 rows)"
    assert repr(Trace([Row(0.1, kind="step")])) == "Trace(1 row)"


def test_html_repr_is_escaped() -> None:
    assert "<b>" not in Trace(metadata={"solver": "<b>"})._repr_html_()


def test_plot_and_report_write_files(trace: Trace, tmp_path: Path) -> None:
    trace.plot(tmp_path / "a.png")
    trace.report(tmp_path / "a.html", title="A fit")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "<title>A fit</title>" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_importing_and_filling_loads_nothing_heavy() -> None:
    code = (
        "import sys; from offbeat.diagnostics import Progress, Trace; from offbeat.sideways.messages import Row\n"
        "trace = Trace(); trace.append(Row(0.1)); trace.to_arrays()\n"
        "p = Progress('newton', 1e-6, 10); p.update(Row(5.0)); p.close()\n"
        "print(sorted({'pandas', 'pyarrow', 'bokeh', 'matplotlib', 'rich', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_arrays_of_a_growing_trace_have_one_length(trace: Trace) -> None:
    arrays = trace.to_arrays()
    trace.append(Row(9.0))
    assert {len(column) for column in arrays.values()} == {42}
    assert np.isnan(arrays["gap"]).sum() == 36
