"""Stored values as a table, CSV or a plot, rendered from the JSON form. Pure."""

from __future__ import annotations

import csv
import io
from typing import Any

from nexus_cli.cli.console import style
from nexus_cli.diagnostics.printable import plain

_COLOUR = {"GOOD": "good", "UNCERTAIN": "warning", "BAD": "error"}
COLUMNS = ("time", "value", "quality", "label", "reason", "code", "source_time")
FLOAT32_DIGITS = 7
"""What 24 bits of mantissa can tell; more would show the noise of the conversion."""
BUCKET_COLUMNS = ("time", "value", "count", "good", "gap")
GAP = "GAP"
"""Stands in the column `quality` of a CSV where a gap begins and where it ends; its reason is in `reason`."""
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character by row and column (Unicode block U+2800)."""


def table(history: dict[str, Any], *, colour: bool = False) -> str:
    """Samples with gaps between them, newest last."""
    history = plain(history)
    unit = f" [{history['unit']}]" if history["unit"] else ""
    was = f" (asked as {history['asked']})" if not history["asked"].endswith(history["path"]) else ""
    state = "" if history["active"] else ", no longer declared"
    lines = [style(f"{history['path']}{unit}{was}: {history['type']}{state}", "bold", enabled=colour)]
    if not history["samples"]:
        lines.append(f"nothing stored from {_short(history['since'])} to {_short(history['until'])}")
    digits = FLOAT32_DIGITS if history["type"] == "float32" else 10
    gaps = sorted(history["gaps"], key=lambda gap: _moment(gap["start"]))
    for sample in history["samples"]:
        while gaps and _moment(gaps[0]["start"]) <= _moment(sample["time"]):
            lines.append(_gap(gaps.pop(0), colour=colour))
        lines.append(_bucket(sample) if history["every_ms"] else _sample(sample, digits=digits, colour=colour))
    lines += [_gap(gap, colour=colour) for gap in gaps]
    if history["truncated"]:
        lines.append(style("older ones are left out: raise --limit or narrow --since", "dim", enabled=colour))
    return "\n".join(lines)


def _sample(sample: dict[str, Any], *, digits: int, colour: bool) -> str:
    value = _shown(sample["value"], digits) + (f" ({sample['label']})" if "label" in sample else "")
    quality = sample["quality"]
    why = " ".join(str(sample[key]) for key in ("reason",) if key in sample)
    code = f" 0x{sample['code']:08X}" if "code" in sample else ""
    text = f"{_short(sample['time'])}  {value:>20}  "
    return (text + style(f"{quality:9}", _COLOUR[quality], enabled=colour) + f" {why}{code}").rstrip()


def _bucket(sample: dict[str, Any]) -> str:
    bad = sample["count"] - sample["good"]
    note = f"{sample['count']} samples" + (f", {bad} not GOOD" if bad else "")
    note += f", gap: {sample['gap']}" if "gap" in sample else ""
    return f"{_short(sample['time'])}  {_shown(sample['value']):>20}  {note}"


def _gap(gap: dict[str, Any], *, colour: bool) -> str:
    end = _short(gap["end"]) if gap["end"] else "now"
    count = f", {gap['frames']} frames" if gap["frames"] else ""
    text = f"{_short(gap['start'])}  -- gap until {end}: {gap['reason']}{count} --"
    return style(text, "warning", enabled=colour)


def _moment(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _short(moment: str) -> str:
    """`2026-01-31 06:00:00.123456`: UTC without saying so in each line."""
    return moment.replace("T", " ").replace("+00:00", "")


def _shown(value: Any, digits: int = 10) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def to_csv(history: dict[str, Any]) -> str:
    """RFC 4180 with a header; a formula in a text stays a text for spreadsheets.

    A gap has a row without a value where it begins and one where it ends, so that nobody draws a line over it.
    """
    columns = BUCKET_COLUMNS if history["every_ms"] else COLUMNS
    rows = list(history["samples"]) if history["every_ms"] else _with_gaps(history)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return file.getvalue()


def _with_gaps(history: dict[str, Any]) -> list[dict[str, Any]]:
    ends = [
        {"time": moment, "quality": GAP, "reason": gap["reason"]}
        for gap in history["gaps"]
        for moment in (gap["start"], gap["end"])
        if moment is not None
    ]
    # Equal moments: a gap lies between its rows, which their order keeps.
    return sorted([*history["samples"], *ends], key=lambda row: _moment(row["time"]))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return value


def plot(history: dict[str, Any], *, width: int = 72, height: int = 12) -> str:
    """The numbers over time in braille dots; samples without a number are left out, and `x` below marks gaps.

    Args:
        history: The JSON form.
        width: Characters of the drawing.
        height: Lines of the drawing.
    """
    from datetime import datetime

    points = [
        (datetime.fromisoformat(sample["time"]).timestamp(), float(sample["value"]))
        for sample in history["samples"]
        if isinstance(sample["value"], (int, float))
    ]
    if not points:
        return "no numbers to plot"
    start = datetime.fromisoformat(history["since"]).timestamp()
    end = max(datetime.fromisoformat(history["until"]).timestamp(), points[-1][0])
    low, high = min(value for _, value in points), max(value for _, value in points)
    spread = (high - low) or 1.0
    cells = [[0] * width for _ in range(height)]
    for time, value in points:
        column = min(int((time - start) / (end - start) * width * 2), width * 2 - 1)
        row = min(int((high - value) / spread * height * 4), height * 4 - 1)
        cells[row // 4][max(column, 0) // 2] |= _DOTS[row % 4][max(column, 0) % 2]
    labels = {0: f"{high:.6g}", height - 1: f"{low:.6g}"}
    margin = max(len(text) for text in labels.values())
    lines = [
        f"{labels.get(at, ''):>{margin}} ┤" + "".join(chr(0x2800 + dots) for dots in row).rstrip("\u2800")
        for at, row in enumerate(cells)
    ]
    marks = _gap_columns(history["gaps"], start=start, end=end, width=width)
    if marks:
        lines.append(f"{'gap':>{margin}} ┤" + "".join("x" if at in marks else " " for at in range(width)).rstrip())
    left, right = _short(history["since"])[:19], _short(history["until"])[:19]
    return "\n".join([*lines, " " * (margin + 2) + left + right.rjust(width - len(left))])


def _gap_columns(gaps: list[dict[str, Any]], *, start: float, end: float, width: int) -> set[int]:
    """The columns of a plot from `start` to `end` (seconds) over which a gap lies."""
    columns: set[int] = set()
    for gap in gaps:
        first = max(_moment(gap["start"]), start)
        last = min(_moment(gap["end"]), end) if gap["end"] is not None else end
        if first <= last:
            scale = width / (end - start)
            columns.update(range(int((first - start) * scale), min(int((last - start) * scale), width - 1) + 1))
    return columns
