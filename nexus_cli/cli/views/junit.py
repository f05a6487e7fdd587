"""Findings as JUnit XML, which every CI server shows: a suite a file, a failed case a finding.

Source: the JUnit 10 schema of Jenkins' xUnit plugin, which refuses a report with any other attribute: a test case has no
`file` and `line`, they are in the suite and in its text. GitLab and Azure read `testsuite/testcase/failure` of it.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from typing import Any

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPACES = str.maketrans({"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
"""A reader of an attribute makes spaces of these otherwise (XML 1.0 §3.3.3)."""
NO_FILE = "site"
"""Suite of findings that have no place in a file."""


def junit(answer: dict[str, Any], *, strict: bool = False) -> str:
    """The XML of a validation document. Warnings are passed cases with their text, unless `strict` makes them fail."""
    suites: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in answer["diagnostics"]:
        suites[item["range"]["filename"] if "range" in item else NO_FILE].append(item)
    if not suites:
        name = (answer["site"] or {}).get("name", NO_FILE)
        suites[name] = []
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="nexus validate">']
    for name, items in suites.items():
        failed = sum(_fails(item, strict=strict) for item in items)
        count = max(1, len(items))
        file = "" if name == NO_FILE or not items else f" file={attribute(name)}"
        lines.append(f'  <testsuite name={attribute(name)}{file} tests="{count}" failures="{failed}" errors="0">')
        lines += [_case(name, item, strict=strict) for item in items]
        if not items:
            lines.append(f'    <testcase classname={attribute(name)} name="valid"/>')
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _fails(item: dict[str, Any], *, strict: bool) -> bool:
    return item["severity"] == "error" or (strict and item["severity"] == "warning")


def _case(suite: str, item: dict[str, Any], *, strict: bool) -> str:
    place = item.get("range")
    at = f"{place['start']['line']}:{place['start']['column']}" if place else ""
    name = f"{item['code']} {at}".strip()
    words = "\n".join(part for part in (f"{suite}:{at}" if at else "", item["summary"], _hint(item)) if part)
    inner = (
        f"<failure type={attribute(item['code'])} message={attribute(item['summary'])}>{xml_text(words)}</failure>"
        if _fails(item, strict=strict)
        else f"<system-out>{xml_text(item['severity'] + ': ' + words)}</system-out>"
    )
    return f"    <testcase classname={attribute(suite)} name={attribute(name)}>{inner}</testcase>"


def _hint(item: dict[str, Any]) -> str:
    return f"hint: {item['detail']}" if item["detail"] else ""


def xml_text(words: str) -> str:
    return html.escape(_NOT_XML.sub("?", words), quote=False)


def attribute(words: str) -> str:
    """A value with its quotes. `xml.sax.saxutils` does the same, but loads the HTTP client of the standard library."""
    text = xml_text(words).translate(_SPACES)
    if '"' not in text:
        return f'"{text}"'
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace('"', "&quot;") + '"'
