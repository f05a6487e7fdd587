"""Findings as JSON with Terraform's field names, and as text rendered from that JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nexus_cli.cli.views.excerpt import Excerpts
from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.diagnostics.diagnostic import format_path
from nexus_cli.diagnostics.wording import counted

if TYPE_CHECKING:
    from nexus_cli.source.nodes import SourceFile

FORMAT_VERSION = "1.0"
IN_THE_OPEN = "NX3005"
"""The finding whose place is a secret."""
MOST_SHOWN = 100
"""Findings in text; JSON and SARIF have all of them."""
WIDEST = 110
"""Characters of an excerpt's line."""

STRIDE = 4096
"""Characters between two places whose byte offset is kept."""

Document = dict[str, Any]
Style = Callable[[str, str], str]


def document(
    findings: Sequence[Diagnostic],
    files: Iterable[SourceFile] = (),
    *,
    site: Document | None = None,
    strict: bool = False,
) -> Document:
    """The answer of `nexus validate --format json`.

    Args:
        findings: In the order to show them.
        files: Texts to quote from.
        site: Facts about the site: `name`, `devices`, `tags`.
        strict: Warnings make it invalid.
    """
    texts = {file.name: _Text(file) for file in files}
    for item in findings:
        if item.code == IN_THE_OPEN and item.place is not None and item.place.file in texts:
            texts[item.place.file].excerpts.hide(item.place)
    errors = sum(item.severity == "error" for item in findings)
    warnings = sum(item.severity == "warning" for item in findings)
    return {
        "format_version": FORMAT_VERSION,
        "valid": not errors and not (strict and warnings),
        "error_count": errors,
        "warning_count": warnings,
        "site": site,
        "diagnostics": [_diagnostic(item, texts) for item in findings],
    }


class _Text:
    """One file with the byte offsets of its lines."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.excerpts = Excerpts(file)
        self._bytes: list[int] | None = None

    def byte(self, line: int, column: int) -> int:
        """Offset in bytes of a place; counted from the last multiple of `STRIDE` characters, however long its line is."""
        file = self.file
        position = file.starts[line - 1] + column - 1
        if file.text.isascii():
            return position
        if self._bytes is None:
            self._bytes = [0]
            for start in range(0, len(file.text), STRIDE):
                self._bytes.append(self._bytes[-1] + len(file.text[start : start + STRIDE].encode("utf-8")))
        position = min(position, len(file.text))
        number = position // STRIDE
        return self._bytes[number] + len(file.text[number * STRIDE : position].encode("utf-8"))


def _diagnostic(item: Diagnostic, texts: dict[str, _Text]) -> Document:
    result: Document = {
        "severity": str(item.severity),
        "code": item.code,
        "summary": item.message,
        "detail": item.hint,
        "address": format_path(item.where),
    }
    if item.place is not None:
        result["range"] = _range(item.place, texts)
        text = texts.get(item.place.file)
        if text is not None:
            result["snippet"] = _snippet(item.place, text)
    if item.related:
        result["related"] = [
            {"message": note.message, **({"range": _range(note.place, texts)} if note.place else {})}
            for note in item.related
        ]
    return result


def _range(place: Place, texts: dict[str, _Text]) -> Document:
    text = texts.get(place.file)
    end_line, end_column = (place.end_line, place.end_column) if place.end_line else (place.line, place.column)

    def point(line: int, column: int) -> Document:
        return {"line": line, "column": column, "byte": text.byte(line, column) if text else 0}

    return {"filename": place.file, "start": point(place.line, place.column), "end": point(end_line, end_column)}


def _snippet(place: Place, text: _Text) -> Document:
    start = place.column - 1
    line_end = text.file.starts[place.line] if place.line < len(text.file.starts) else len(text.file.text)
    length = max(0, line_end - text.file.starts[place.line - 1])
    end = place.end_column - 1 if place.end_line == place.line else length
    code, start, end = text.excerpts.around(place.line, start, end)
    return {
        "context": None,
        "code": code,
        "start_line": place.line,
        "highlight_start_offset": start,
        "highlight_end_offset": max(min(end, len(code)), start + 1),
        "values": [],
    }


def text(answer: Document, *, style: Style) -> str:
    """The same for people: every finding with its excerpt, then one line that sums up.

    Args:
        answer: What `document` made.
        style: Colours a text by a style's name, or leaves it.
    """
    listed = answer["diagnostics"]
    blocks = [block(item, style) for item in listed[:MOST_SHOWN]]
    if len(listed) > MOST_SHOWN:
        blocks.append(f"… and {len(listed) - MOST_SHOWN:,} more; `--format json` lists all of them\n")
    return "\n".join([*blocks, summary(answer, style)])


def block(item: Document, style: Style) -> str:
    """One finding with its excerpt, hint and notes, and an empty line below."""
    severity = item["severity"]
    lines = [style(f"{severity}[{item['code']}]", severity) + style(f": {item['summary']}", "bold")]
    place, snippet = item.get("range"), item.get("snippet")
    width = len(str(snippet["start_line"])) if snippet else 1
    bar = style(" " * width + " |", "dim")
    if place:
        at = f"{place['filename']}:{place['start']['line']}:{place['start']['column']}"
        lines.append(style(" " * width + "--> ", "dim") + at)
    if snippet:
        code, start, end = _window(snippet)
        number = style(f"{snippet['start_line']} |", "dim")
        carets = " " * start + "^" * max(1, end - start)
        lines += [bar, f"{number} {code}".rstrip(), f"{bar} {style(carets, severity)}"]
    if item["detail"]:
        lines.append(style(" " * width + " = ", "dim") + f"hint: {item['detail']}")
    for note in item.get("related", ()):
        where = note.get("range")
        at = f" ({where['filename']}:{where['start']['line']}:{where['start']['column']})" if where else ""
        lines.append(style(" " * width + " = ", "dim") + f"note: {note['message']}{at}")
    return "\n".join(lines) + "\n"


def _window(snippet: Document) -> tuple[str, int, int]:
    """The excerpt's line, cut around the highlight when it is long, with tabs and controls as spaces."""
    code: str = snippet["code"]
    start, end = snippet["highlight_start_offset"], snippet["highlight_end_offset"]
    if len(code) > WIDEST:
        first = max(0, min(start - 30, len(code) - WIDEST))
        code = (
            ("…" if first else "")
            + code[first + bool(first) : first + WIDEST]
            + ("…" if first + WIDEST < len(code) else "")
        )
        start, end = start - first, min(end - first, WIDEST)
    return "".join(sign if sign.isprintable() else " " for sign in code), start, max(end, start + 1)


def summary(answer: Document, style: Style) -> str:
    """One line that sums up."""
    errors, warnings, site = answer["error_count"], answer["warning_count"], answer["site"]
    counts = ", ".join(counted(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number)
    if not answer["valid"]:
        return style("Not valid", "error") + f": {counts}."
    facts = (
        f"{site['name']}: {counted(site['devices'], 'device')}, {counted(site['tags'], 'tag')}" if site else "the site"
    )
    return style("Valid", "good") + f". {facts}" + (f" ({counts})" if counts else "") + "."
