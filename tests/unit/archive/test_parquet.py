"""Rows between CSV, tables and files: nothing is changed, and a difference of one bit is found."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.archive import parquet
from nexus_cli.archive.store import Folder

PATHS = {1: "a/l/d/one", 2: "a/l/d/two"}
CSV = (
    b'1000,1,0.30000000000000004,,,,192,,\n2000,1,NaN,,,,64,7,1500\n3000,2,,18446744073709551615,"",,0,,\n'
    b'4000,2,-0,-1,"x,""y""\nz","{""a"": 1}",192,,\n'
)


def rows(data: bytes = CSV) -> Any:
    return parquet.table_of(data, PATHS)


def test_csv_becomes_exact_values() -> None:
    found = rows().to_pylist()
    assert [row["path"] for row in found] == ["a/l/d/one", "a/l/d/one", "a/l/d/two", "a/l/d/two"]
    assert found[0]["value"] == 0.1 + 0.2
    assert math.isnan(found[1]["value"])
    assert found[1]["source_time"].microsecond == 1500
    assert (found[2]["value"], int(found[2]["value_exact"]), found[2]["value_text"]) == (None, 2**64 - 1, "")
    assert found[0]["value_text"] is None
    assert math.copysign(1, found[3]["value"]) == -1
    assert (found[3]["value_text"], found[3]["value_json"]) == ('x,"y"\nz', '{"a": 1}')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0.30000000000000004", b"0.3"),
        (b"NaN", b"0"),
        (b"-0,-1", b"0,-1"),
        (b'"",,0', b",,0"),
        (b"18446744073709551615", b"18446744073709551614"),
        (b",192,,", b",64,,"),
        (b"1500", b""),
        (b"4000,2", b"4001,2"),
        (b"1000,1", b"1000,2"),
    ],
)
def test_a_file_is_the_same_or_not(tmp_path: Path, old: bytes, new: bytes) -> None:
    store = Folder(tmp_path / "a")
    with store.write("x.parquet") as sink:
        part = parquet.Part(sink, told={})
        part.write(rows().slice(0, 3))
        part.write(rows().slice(3))
        part.close()
    file = part.file("x.parquet")
    assert (file.rows, file.first, file.last) == (4, 1000, 4000)
    assert parquet.row_count(store, "x.parquet") == 4
    same = parquet.Comparer(parquet.tables_in(store, "x.parquet", rows=3))
    assert same.same(rows().slice(0, 1))
    assert same.same(rows().slice(1))
    assert same.ended()
    other = parquet.Comparer(parquet.tables_in(store, "x.parquet", rows=3))
    assert not other.same(rows(CSV.replace(old, new, 1)))
    short = parquet.Comparer(parquet.tables_in(store, "x.parquet", rows=3))
    assert short.same(rows().slice(0, 3))
    assert not short.ended()
    assert not parquet.Comparer(iter([rows().slice(0, 3)])).same(rows())


def test_rows_that_are_known_are_left_out_and_the_rest_keep_their_order() -> None:
    known = rows(b"2000,1,5,,,,192,,\n3000,1,5,,,,192,,\n")
    left = parquet.without(rows(), iter([known, rows(b"4000,2,9,,,,192,,\n")]))
    assert [(row["path"], row["time"].microsecond) for row in left.to_pylist()] == [
        ("a/l/d/one", 1000),
        ("a/l/d/two", 3000),
    ]
    assert parquet.without(rows(), iter([rows()])).num_rows == 0
    assert parquet.Comparer(iter([parquet.without(rows(), iter([]))])).same(rows())


def test_a_file_that_fails_leaves_nothing_and_keeps_the_old_one(tmp_path: Path) -> None:
    store = Folder(tmp_path / "a")
    with store.write("f/x") as sink:
        sink.write(b"old")
    with pytest.raises(ValueError, match="broken"), store.write("f/x") as sink:
        sink.write(b"new")
        raise ValueError("broken")
    assert (tmp_path / "a/f/x").read_bytes() == b"old"
    (tmp_path / "a/f/.x.1234").write_bytes(b"half")  # of a process that was killed
    assert store.names("f") == ["x"]
    assert [each.name for each in (tmp_path / "a/f").iterdir()] == ["x"]
    store.remove("f/x")
    store.remove("f/x")
    store.remove_folder("f")
    assert not (tmp_path / "a/f").exists()
    assert store.names("f") == []
