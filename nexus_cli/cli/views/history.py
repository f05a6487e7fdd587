"""Stored values as a table, CSV or a plot, rendered from the JSON form. Pure.

See docs/decisions/0012.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any

from nexus_cli.cli.console import style
from nexus_cli.cli.views.clock import short
from nexus_cli.diagnostics.printable import plain

_COLOUR = {"GOOD": "good", "UNCERTAIN": "warning", "BAD": "error"}
COLUMNS = ("time", "value", "quality", "label", "reason", "code", "source_time", "unit", "type")
FLOAT32_DIGITS = 7
"""What 24 bits of mantissa can tell; more would show the noise of the conversion."""
BUCKET_COLUMNS = ("time", "value", "count", "good", "gap", "end", "label", "unit", "type")
GAP = "GAP"
"""Stands in the column `quality` of a CSV where a gap begins and where it ends; its reason is in `reason`."""
SEAM = "SEAM"
"""Stands there where unit, type or names changed."""
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character by row and column (Unicode block U+2800)."""


def table(history: dict[str, Any], *, colour: bool = False) -> str:
    """Samples with gaps and seams between them, newest last."""
    history = plain(history)
    state = "" if history["active"] else ", no longer declared"
    days = f", days of {history['zone']}" if history.get("zone") else ""
    lines = [style(f"{_title(history)}: {history['type']}{state}{days}", "bold", enabled=colour)]
    if not history["samples"]:
        lines.append(f"nothing stored from {_short(history['since'])} to {_short(history['until'])}")
    digits = FLOAT32_DIGITS if history["type"] == "float32" else 10
    between = sorted(
        [
            *((_moment(gap["start"]), _gap(gap)) for gap in history["gaps"]),
            *((_moment(seam["time"]), _seam(seam)) for seam in history.get("seams", ())),
        ],
        reverse=True,
    )
    for sample in history["samples"]:
        while between and between[-1][0] <= _moment(sample["time"]):
            lines.append(style(between.pop()[1], "warning", enabled=colour))
        row = _bucket(sample) if history["every"] else _sample(sample, digits=digits, colour=colour)
        lines.append(f"{_short(sample['time'])}  {row}")
    lines += [style(text, "warning", enabled=colour) for _, text in reversed(between)]
    if history["truncated"]:
        lines.append(style("older ones are left out: raise --limit or narrow --since", "dim", enabled=colour))
    return "\n".join(lines)


def _title(history: dict[str, Any]) -> str:
    unit = f" [{history['unit']}]" if history["unit"] else ""
    was = f" (asked as {history['asked']})" if not history["asked"].endswith(history["path"]) else ""
    return f"{history['path']}{unit}{was}"


def _sample(sample: dict[str, Any], *, digits: int, colour: bool) -> str:
    quality = sample["quality"]
    why = " ".join(str(sample[key]) for key in ("reason",) if key in sample)
    code = f" 0x{sample['code']:08X}" if "code" in sample else ""
    text = f"{_value(sample, digits):>20}  "
    return (text + style(f"{quality:9}", _COLOUR[quality], enabled=colour) + f" {why}{code}").rstrip()


def _bucket(sample: dict[str, Any]) -> str:
    bad = sample["count"] - sample["good"]
    note = "1 sample" if sample["count"] == 1 else f"{sample['count']} samples"
    note += f", {bad} not GOOD" if bad else ""
    note += f", gap: {sample['gap']}" if "gap" in sample else ""
    return f"{_value(sample, 10):>20}  {note}"


def _value(sample: dict[str, Any], digits: int) -> str:
    label = f" ({sample['label']})" if "label" in sample else ""
    unit = f" [{sample['unit'] or 'no unit'}]" if "unit" in sample else ""
    return _shown(sample["value"], digits) + label + unit


def _gap(gap: dict[str, Any]) -> str:
    end = _short(gap["end"]) if gap["end"] else "now"
    count = f", {gap['frames']} frames" if gap["frames"] else ""
    return f"{_short(gap['start'])}  -- gap until {end}: {gap['reason']}{count} --"


def _seam(seam: dict[str, Any]) -> str:
    return f"{_short(seam['time'])}  -- {_change(seam)} --"


def _change(seam: dict[str, Any]) -> str:
    """`unit kg -> g, what was before is converted`."""
    before, after = seam["before"], seam["after"]
    changed = [
        f"{name} {before[name] or 'none'} -> {after[name] or 'none'}"
        for name in ("type", "unit")
        if before[name] != after[name]
    ]
    if "labels" in after:
        changed.append("other value names")
    what = "converted" if seam["converted"] else "not to be compared"
    return f"{', '.join(changed)}; what was before is {what}"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _short(moment: str) -> str:
    """`2026-01-31 06:00:00.123456+01:00`."""
    return short(datetime.fromisoformat(moment))


def _shown(value: Any, digits: int = 10) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return str(_plain_text(value))


def _plain_text(value: Any) -> Any:
    """Booleans and structures as JSON has them."""
    if isinstance(value, (bool, dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def to_csv(history: dict[str, Any], *, spreadsheet: bool = False) -> str:
    """RFC 4180 with a header: text as it is, structures as JSON.

    A gap has a row without a value where it begins and one where it ends, so that nobody draws a line over it; a seam
    has one where it is.

    Args:
        history: The JSON form.
        spreadsheet: Put `'` before text that a spreadsheet would take for a formula. It is then not the text any more.
    """
    columns = BUCKET_COLUMNS if history["every"] else COLUMNS
    rows = list(history["samples"]) if history["every"] else _with_breaks(history)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        terms = {"unit": history["unit"], "type": history["type"], **row}
        writer.writerow([_cell(terms.get(column), spreadsheet=spreadsheet) for column in columns])
    return file.getvalue()


def _with_breaks(history: dict[str, Any]) -> list[dict[str, Any]]:
    ends = [
        {"time": moment, "quality": GAP, "reason": gap["reason"]}
        for gap in history["gaps"]
        for moment in (gap["start"], gap["end"])
        if moment is not None
    ]
    seams = [{"time": seam["time"], "quality": SEAM, "reason": _change(seam)} for seam in history.get("seams", ())]
    # Equal moments: a gap lies between its rows, which their order keeps; a seam comes before the row that it begins with.
    return sorted([*seams, *history["samples"], *ends], key=lambda row: _moment(row["time"]))


def _cell(value: Any, *, spreadsheet: bool) -> Any:
    if spreadsheet and isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return _plain_text(value)


def plot(history: dict[str, Any], *, width: int = 72, height: int = 12) -> str:
    """The numbers over time in braille dots; `x` below marks gaps and `|` seams.

    Samples without a number are left out, and so are those that were stored in another unit or type and can't be
    converted.

    Args:
        history: The JSON form.
        width: Characters of the drawing.
        height: Lines of the drawing.
    """
    points = [
        (datetime.fromisoformat(sample["time"]).timestamp(), float(sample["value"]))
        for sample in history["samples"]
        if isinstance(sample["value"], (int, float)) and not {"unit", "type"} & sample.keys()
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
    title = plain(_title(history)) + (f", {history['aggregate']} of {history['every']}" if history["every"] else "")
    labels = {0: f"{high:.6g}", height - 1: f"{low:.6g}"}
    margin = max(len(text) for text in labels.values())
    lines = [
        f"{labels.get(at, ''):>{margin}} ┤" + "".join(chr(0x2800 + dots) for dots in row).rstrip("\u2800")
        for at, row in enumerate(cells)
    ]
    marks = _gap_columns(history["gaps"], start=start, end=end, width=width)
    if marks:
        lines.append(f"{'gap':>{margin}} ┤" + "".join("x" if at in marks else " " for at in range(width)).rstrip())
    seams = {
        min(max(int((_moment(seam["time"]) - start) * width / (end - start)), 0), width - 1)
        for seam in history.get("seams", ())
    }
    if seams:
        lines.append(f"{'seam':>{margin}} ┤" + "".join("|" if at in seams else " " for at in range(width)).rstrip())
    left, right = (short(datetime.fromisoformat(history[name]).replace(microsecond=0)) for name in ("since", "until"))
    return "\n".join([title, *lines, " " * (margin + 2) + left + right.rjust(max(width - len(left), len(right) + 1))])


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
