"""Findings as GitHub workflow commands (annotations), and as the Markdown table of a job's summary.

Source: GitHub Docs, "Workflow commands for GitHub Actions"; ten annotations per severity and step are shown.
"""

from typing import Any

MOST_ANNOTATIONS = 10
MOST_ROWS = 500
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def annotations(answer: dict[str, Any]) -> str:
    """One `::error file=…` line per finding; the tenth of a severity says how many more there are."""
    lines: list[str] = []
    for severity, command in _COMMANDS.items():
        listed = [item for item in answer["diagnostics"] if item["severity"] == severity]
        shown = listed if len(listed) <= MOST_ANNOTATIONS else listed[: MOST_ANNOTATIONS - 1]
        lines.extend(_annotation(command, item) for item in shown)
        if len(listed) > len(shown):
            more = f"{len(listed) - len(shown)} more {severity} findings; the job's summary lists them"
            lines.append(f"::{command} title=nexus::{escape(more)}")
    return "\n".join(lines)


def _annotation(command: str, item: dict[str, Any]) -> str:
    properties = []
    place = item.get("range")
    if place:
        start, end = place["start"], place["end"]
        properties += [f"file={escape_property(place['filename'])}", f"line={start['line']}", f"col={start['column']}"]
        properties.append(f"endLine={end['line']}")
        if end["line"] == start["line"]:
            properties.append(f"endColumn={max(end['column'], start['column'])}")
    properties.append(f"title={escape_property(item['code'])}")
    text = item["summary"] + (f"\n{item['detail']}" if item["detail"] else "")
    return f"::{command} {','.join(properties)}::{escape(text)}"


def escape(text: str) -> str:
    """A command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """The value of a command's property."""
    return escape(text).replace(":", "%3A").replace(",", "%2C")


def summary(answer: dict[str, Any]) -> str:
    """Markdown for `$GITHUB_STEP_SUMMARY`: all findings in one table."""
    if not answer["diagnostics"]:
        return "### nexus validate\n\nNo findings.\n"
    head = f"### nexus validate: {answer['error_count']} errors, {answer['warning_count']} warnings\n"
    rows = ["| | code | place | finding |", "|---|---|---|---|"]
    for item in answer["diagnostics"][:MOST_ROWS]:
        place = item.get("range")
        at = f"`{place['filename']}:{place['start']['line']}:{place['start']['column']}`" if place else ""
        hint = f"<br>{_cell(item['detail'])}" if item["detail"] else ""
        rows.append(f"| {item['severity']} | {item['code']} | {_cell(at)} | {_cell(item['summary'])}{hint} |")
    if len(answer["diagnostics"]) > MOST_ROWS:
        rows.append(f"\n… and {len(answer['diagnostics']) - MOST_ROWS} more.")
    return head + "\n" + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
