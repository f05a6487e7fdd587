"""Stored values as a table, CSV or a plot. Pure.

See docs/decisions/0012.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from nexus_cli.cli.console import style
from nexus_cli.cli.views.clock import short
from nexus_cli.cli.views.escaped import escaped
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.history.document import Bucket, Gap, History, Sample, Seam, builtins_of

_COLOUR = {"GOOD": "good", "UNCERTAIN": "warning", "BAD": "error"}
COLUMNS = ("time", "value", "quality", "label", "reason", "code", "source_time", "unit", "type")
FLOAT32_DIGITS = 7
"""The digits that 24 bits of mantissa hold; more would show the noise of the conversion."""
BUCKET_COLUMNS = ("time", "value", "count", "good", "gap", "end", "label", "unit", "type")
GAP = "GAP"
"""Value of the column `quality` in a CSV where a gap begins and where it ends; its reason is in `reason`."""
SEAM = "SEAM"
"""The same, where unit, type or names changed."""
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character by row and column (Unicode block U+2800)."""


def table(history: History, *, colour: bool = False) -> str:
    """Samples with gaps and seams between them, newest last."""
    history = escaped(history)
    state = "" if history.active else ", no longer declared"
    days = f", days of {history.zone}" if history.zone else ""
    lines = [style(f"{_title(history)}: {history.type}{state}{days}", "bold", enabled=colour)]
    if not history.rows:
        lines.append(f"nothing stored from {_short(history.since)} to {_short(history.until)}")
    digits = FLOAT32_DIGITS if history.type == "float32" else 10
    between = sorted(
        [
            *((_moment(gap.start), _gap(gap)) for gap in history.gaps),
            *((_moment(seam.time), _seam(seam)) for seam in history.seams),
        ],
        reverse=True,
    )
    for row in history.rows:
        while between and between[-1][0] <= _moment(row.time):
            lines.append(style(between.pop()[1], "warning", enabled=colour))
        text = _bucket(row) if isinstance(row, Bucket) else _sample(row, digits=digits, colour=colour)
        lines.append(f"{_short(row.time)}  {text}")
    lines += [style(text, "warning", enabled=colour) for _, text in reversed(between)]
    if history.truncated:
        lines.append(style("older ones are left out: raise --limit or narrow --since", "dim", enabled=colour))
    return "\n".join(lines)


def _title(history: History) -> str:
    unit = f" [{history.unit}]" if history.unit else ""
    was = f" (asked as {history.asked})" if not history.asked.endswith(history.path) else ""
    return f"{history.path}{unit}{was}"


def _sample(sample: Sample, *, digits: int, colour: bool) -> str:
    code = f" 0x{sample.code:08X}" if sample.code is not None else ""
    quality = style(f"{sample.quality:9}", _COLOUR[sample.quality], enabled=colour)
    return f"{_value(sample, digits):>20}  {quality} {sample.reason or ''}{code}".rstrip()


def _bucket(bucket: Bucket) -> str:
    bad = bucket.count - bucket.good
    note = "1 sample" if bucket.count == 1 else f"{bucket.count} samples"
    note += f", {bad} not GOOD" if bad else ""
    note += f", gap: {bucket.gap}" if bucket.gap is not None else ""
    return f"{_value(bucket, 10):>20}  {note}"


def _value(row: Sample | Bucket, digits: int) -> str:
    label = f" ({row.label})" if row.label is not None else ""
    unit = f" [{row.unit or 'no unit'}]" if row.unit is not None else ""
    return _shown(row.value, digits) + label + unit


def _gap(gap: Gap) -> str:
    end = _short(gap.end) if gap.end else "now"
    count = f", {gap.frames} frames" if gap.frames else ""
    return f"{_short(gap.start)}  -- gap until {end}: {gap.reason}{count} --"


def _seam(seam: Seam) -> str:
    return f"{_short(seam.time)}  -- {_change(seam)} --"


def _change(seam: Seam) -> str:
    """`unit kg -> g, what was before is converted`."""
    before, after = seam.before, seam.after
    pairs = (("type", before.type, after.type), ("unit", before.unit, after.unit))
    changed = [f"{name} {old or 'none'} -> {new or 'none'}" for name, old, new in pairs if old != new]
    if after.labels is not None:
        changed.append("other value names")
    what = "converted" if seam.converted else "not to be compared"
    return f"{', '.join(changed)}; what was before is {what}"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _short(moment: str) -> str:
    """`2026-01-31 06:00:00.123456+01:00`."""
    return short(datetime.fromisoformat(moment))


def _shown(value: object, digits: int = 10) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return str(_plain_text(value))


def _plain_text(value: object) -> object:
    """Booleans and structures as JSON has them."""
    if isinstance(value, (bool, dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def to_csv(history: History, *, spreadsheet: bool = False) -> str:
    """RFC 4180 with a header: text as it is, structures as JSON.

    A gap has a row without a value where it begins and one where it ends, so that a chart draws no line over it; a seam
    has one where it is.

    Args:
        history: What is stored.
        spreadsheet: Put `'` before text that a spreadsheet would take for a formula. It is then not the text any more.
    """
    columns = BUCKET_COLUMNS if history.every else COLUMNS
    rows = [builtins_of(bucket) for bucket in history.buckets] if history.every else _with_breaks(history)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        terms = {"unit": history.unit, "type": history.type, **row}
        writer.writerow([_cell(terms.get(column), spreadsheet=spreadsheet) for column in columns])
    return file.getvalue()


def _with_breaks(history: History) -> list[Mapping[str, object]]:
    """The samples' columns, with a row where a gap begins or ends and where a seam is, by time."""
    # Equal moments: a gap lies between its rows, which their order keeps; a seam comes before the row that it begins with.
    rows: list[tuple[float, Mapping[str, object]]] = [
        *(
            (_moment(seam.time), {"time": seam.time, "quality": SEAM, "reason": _change(seam)})
            for seam in history.seams
        ),
        *((_moment(sample.time), builtins_of(sample)) for sample in history.samples),
        *(
            (_moment(moment), {"time": moment, "quality": GAP, "reason": gap.reason})
            for gap in history.gaps
            for moment in (gap.start, gap.end)
            if moment is not None
        ),
    ]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def _cell(value: object, *, spreadsheet: bool) -> object:
    if spreadsheet and isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return _plain_text(value)


def plot(history: History, *, width: int = 72, height: int = 12) -> str:
    """The numbers over time in braille dots; `x` below marks gaps and `|` seams.

    Samples without a number are left out, and so are those that were stored in another unit or type and can't be
    converted.

    Args:
        history: What is stored.
        width: Characters of the drawing.
        height: Lines of the drawing.
    """
    points = [
        (_moment(row.time), float(row.value))
        for row in history.rows
        if isinstance(row.value, (int, float)) and row.unit is None and row.type is None
    ]
    if not points:
        return "no numbers to plot"
    start, end = _moment(history.since), max(_moment(history.until), points[-1][0])
    low, high = min(value for _, value in points), max(value for _, value in points)
    spread = (high - low) or 1.0
    cells = [[0] * width for _ in range(height)]
    for time, value in points:
        column = min(int((time - start) / (end - start) * width * 2), width * 2 - 1)
        row = min(int((high - value) / spread * height * 4), height * 4 - 1)
        cells[row // 4][max(column, 0) // 2] |= _DOTS[row % 4][max(column, 0) % 2]
    title = one_line(_title(history)) + (f", {history.aggregate} of {history.every}" if history.every else "")
    labels = {0: f"{high:.6g}", height - 1: f"{low:.6g}"}
    margin = max(len(text) for text in labels.values())
    lines = [
        f"{labels.get(at, ''):>{margin}} ┤" + "".join(chr(0x2800 + dots) for dots in row).rstrip("\u2800")
        for at, row in enumerate(cells)
    ]
    marks = _gap_columns(history.gaps, start=start, end=end, width=width)
    if marks:
        lines.append(f"{'gap':>{margin}} ┤" + "".join("x" if at in marks else " " for at in range(width)).rstrip())
    seams = {
        min(max(int((_moment(seam.time) - start) * width / (end - start)), 0), width - 1) for seam in history.seams
    }
    if seams:
        lines.append(f"{'seam':>{margin}} ┤" + "".join("|" if at in seams else " " for at in range(width)).rstrip())
    left, right = (
        short(datetime.fromisoformat(moment).replace(microsecond=0)) for moment in (history.since, history.until)
    )
    return "\n".join([title, *lines, " " * (margin + 2) + left + right.rjust(max(width - len(left), len(right) + 1))])


def _gap_columns(gaps: Sequence[Gap], *, start: float, end: float, width: int) -> set[int]:
    """The columns of a plot from `start` to `end` (seconds) over which a gap lies."""
    columns: set[int] = set()
    for gap in gaps:
        first = max(_moment(gap.start), start)
        last = min(_moment(gap.end), end) if gap.end is not None else end
        if first <= last:
            scale = width / (end - start)
            columns.update(range(int((first - start) * scale), min(int((last - start) * scale), width - 1) + 1))
    return columns
