"""Rows as Parquet: the columns, CSV of the database into them, and whether a file has what the database has."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nexus_cli.archive.manifest import ArchivedFile
from nexus_cli.archive.store import Sink, Store
from nexus_cli.database.archive_rows import CSV_COLUMNS

UTC_US = pa.timestamp("us", "UTC")
_EXACT = pa.decimal128(20, 0)
SCHEMA = pa.schema(
    [
        ("path", pa.dictionary(pa.int32(), pa.string())),
        ("time", UTC_US),
        ("value", pa.float64()),
        ("value_exact", _EXACT),
        ("value_text", pa.string()),
        ("value_json", pa.string()),
        ("quality", pa.int16()),
        ("status", pa.int64()),
        ("source_time", UTC_US),
        ("series_id", pa.int32()),
    ]
)
"""`path` first: it is what a reader looks for. Rows are sorted by series and time, so that a reader of one series skips the rest."""
_CSV = {
    **{name: SCHEMA.field(name).type for name in CSV_COLUMNS},
    "time": pa.int64(),
    "source_time": pa.int64(),
}
ROWS_READ = 50_000


def table_of(data: bytes, paths: Mapping[int, str]) -> Any:
    """Whole rows of `archive_rows.copy_day` as a table of `SCHEMA`.

    Args:
        data: CSV.
        paths: By series; one that was purged is called `series-ID`.
    """
    found = pa_csv.read_csv(
        io.BytesIO(data),
        read_options=pa_csv.ReadOptions(column_names=list(CSV_COLUMNS), use_threads=False, block_size=len(data) + 1),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=_CSV, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    columns = {name: found[name] for name in CSV_COLUMNS}
    for name in ("time", "source_time"):
        columns[name] = columns[name].cast(UTC_US)
    series = columns["series_id"].combine_chunks().dictionary_encode()
    names = pa.array([paths.get(each, f"series-{each}") for each in series.dictionary.to_pylist()], pa.string())
    columns["path"] = pa.DictionaryArray.from_arrays(series.indices, names)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


class Part:
    """One file that is being written."""

    def __init__(self, sink: Sink, *, told: Mapping[str, str]) -> None:
        """Write to `sink`; `told` goes into the file's own metadata."""
        self._sink, self.rows = sink, 0
        self._first, self._last = 2**63 - 1, -(2**63)
        self._writer = pq.ParquetWriter(
            sink,
            SCHEMA.with_metadata(dict(told)),
            compression="zstd",
            use_dictionary=[name for name in SCHEMA.names if name not in ("time", "source_time")],
            column_encoding={"time": "DELTA_BINARY_PACKED", "source_time": "DELTA_BINARY_PACKED"},
            data_page_version="2.0",
        )

    def write(self, table: Any) -> None:
        """Add rows as a group of their own."""
        self._writer.write_table(table.replace_schema_metadata(None), row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows
        low, high = span_us(table)
        self._first, self._last = min(self._first, low), max(self._last, high)

    def close(self) -> None:
        """Write the file's end."""
        self._writer.close()

    def file(self, name: str) -> ArchivedFile:
        """What the manifest says of it; after `close`."""
        return ArchivedFile(
            name=name,
            sha256=self._sink.sha256,
            size=self._sink.size,
            rows=self.rows,
            first=self._first,
            last=self._last,
        )


def span_us(table: Any) -> tuple[int, int]:
    """Lowest and highest time of a table with rows, µs since 1970 UTC."""
    found = pc.min_max(table["time"].cast(pa.int64()))
    return found["min"].as_py(), found["max"].as_py()


def tables_in(store: Store, name: str, *, rows: int = ROWS_READ, filters: Any = None) -> Iterator[Any]:
    """The rows of a file, so many at a time. Raises OSError or pa.ArrowException where it is damaged."""
    with store.read(name) as file:
        reader = pq.ParquetFile(file, memory_map=False, pre_buffer=False)
        for batch in reader.iter_batches(batch_size=rows):
            table = pa.Table.from_batches([batch])
            yield table if filters is None else table.filter(filters)


def row_count(store: Store, name: str) -> int:
    """How many rows a file says that it has."""
    with store.read(name) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)


class Comparer:
    """Holds what files have against what the database has, in the same order."""

    def __init__(self, files: Iterator[Any]) -> None:
        """Read from these tables."""
        self._files, self._rest = files, None

    def same(self, table: Any) -> bool:
        """True when the next rows of the files are these."""
        left = table
        while left.num_rows:
            if self._rest is None or not self._rest.num_rows:
                self._rest = next(self._files, None)
                if self._rest is None:
                    return False
            count = min(left.num_rows, self._rest.num_rows)
            if not _equal(left.slice(0, count), self._rest.slice(0, count)):
                return False
            left, self._rest = left.slice(count), self._rest.slice(count)
        return True

    def ended(self) -> bool:
        """True when the files have no more rows."""
        if self._rest is not None and self._rest.num_rows:
            return False
        return all(not each.num_rows for each in self._files)


def _equal(one: Any, other: Any) -> bool:
    for name in SCHEMA.names:
        left, right = (_plain(table[name].combine_chunks()) for table in (one, other))
        if not left.equals(right):
            return False
    return True


def _plain(array: Any) -> Any:
    """Dictionaries as text; floats by their bits, because NaN equals nothing and -0 equals 0."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        return array.dictionary_decode()
    if pa.types.is_floating(array.type):
        return array.view(pa.int64())
    return array


def without(table: Any, known: Iterator[Any]) -> Any:
    """The rows of a table whose series and time are in none of these tables: the first that was stored counts."""
    left = table.select(["series_id", "time"]).append_column("at", pa.array(range(table.num_rows), pa.int64()))
    for each in known:
        if not left.num_rows:
            break
        left = left.join(each.select(["series_id", "time"]), ["series_id", "time"], join_type="left anti")
    return table.take(left["at"].combine_chunks().sort())
