"""Findings as SARIF 2.1.0, for code scanning services.

Source: OASIS SARIF 2.1.0; GitHub takes 25,000 results a run, and needs `results: []` when there are none.
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from nexus_cli import __version__
from nexus_cli.diagnostics.codes import catalogue

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MOST_RESULTS = 25_000
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_ORDER = {"error": 0, "warning": 1, "info": 2}


def sarif(answer: dict[str, Any]) -> dict[str, Any]:
    """The SARIF log of a validation document; errors come first when there are too many results."""
    listed = sorted(answer["diagnostics"], key=lambda item: _ORDER[item["severity"]])[:MOST_RESULTS]
    used = sorted({item["code"] for item in listed})
    index = {code: number for number, code in enumerate(used)}
    driver = {
        "name": "nexus",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in used],
    }
    results = [_result(item, index) for item in listed]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    known = catalogue()[code]
    page = f"{known.why}\n\nInstead of:\n\n{known.bad}\n\nwrite:\n\n{known.good}"
    markdown = f"{known.why}\n\n```yaml\n{known.bad}\n```\n\nInstead:\n\n```yaml\n{known.good}\n```"
    return {
        "id": code,
        "name": "".join(part.capitalize() for part in known.slug.split("-")),
        "shortDescription": {"text": known.summary},
        "fullDescription": {"text": known.why},
        "help": {"text": page, "markdown": markdown},
        "defaultConfiguration": {"level": _LEVELS[known.severity]},
    }


def _result(item: dict[str, Any], index: dict[str, int]) -> dict[str, Any]:
    message = item["summary"] + (f" ({item['detail']})" if item["detail"] else "")
    result: dict[str, Any] = {
        "ruleId": item["code"],
        "ruleIndex": index[item["code"]],
        "level": _LEVELS[item["severity"]],
        "message": {"text": message},
    }
    if "range" in item:
        result["locations"] = [_location(item["range"])]
    related = [
        {"id": number, "message": {"text": note["message"]}, **_location(note["range"])}
        for number, note in enumerate(item.get("related", ()), 1)
        if "range" in note
    ]
    if related:
        result["relatedLocations"] = related
    return result


def _location(place: dict[str, Any]) -> dict[str, Any]:
    start, end = place["start"], place["end"]
    region = {"startLine": start["line"], "startColumn": start["column"], "endLine": end["line"]}
    if (end["line"], end["column"]) > (start["line"], start["column"]):
        region["endColumn"] = end["column"]
    return {"physicalLocation": {"artifactLocation": {"uri": uri(place["filename"])}, "region": region}}


def uri(name: str) -> str:
    """A file name as a relative reference with forward slashes, or as a `file:` URI when it is absolute."""
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute():
        return "file:///" + quote(name.replace("\\", "/").lstrip("/"), safe="/:")
    return quote(name.replace("\\", "/"), safe="/")
