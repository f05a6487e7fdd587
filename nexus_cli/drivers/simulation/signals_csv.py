"""Columns of CSV files, to replay recorded process data."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from nexus_cli.diagnostics.suggest import did_you_mean

Cell = float | str


@lru_cache(maxsize=64)
def _table(path: str) -> dict[str, tuple[str, ...]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"the file '{path}' can't be replayed: {error}") from None
    if len(rows) < 2:
        raise ValueError(f"the file '{path}' has no rows below its header")
    header = [name.strip() for name in rows[0]]
    return {
        name: tuple(row[place].strip() if place < len(row) else "" for row in rows[1:])
        for place, name in enumerate(header)
    }


def column_of(path: str, column: str | None) -> tuple[Cell, ...]:
    """The cells of one column below the header, numbers as numbers; without a name the last column. Empty cells repeat the one before.

    Raises:
        ValueError: The file can't be read, or has no such column.
    """
    table = _table(path)
    name = list(table)[-1] if column is None else column
    if name not in table:
        raise ValueError(f"the file '{path}' has no column '{name}'; {did_you_mean(name, table)}".rstrip("; "))
    cells: list[Cell] = []
    for text in table[name]:
        if not text:
            cells.append(cells[-1] if cells else 0.0)
            continue
        try:
            cells.append(float(text))
        except ValueError:
            cells.append(text)
    return tuple(cells)
