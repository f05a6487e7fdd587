"""What a strict reader of JUnit XML refuses.

Source: `junit-10.xsd` of Jenkins' xUnit plugin; its elements and attributes are those of Maven Surefire's report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testsuite", "properties", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
    "failure": set[str](),
    "error": set[str](),
    "skipped": set[str](),
    "system-out": set[str](),
}
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
        *("hostname", "id", "package", "file", "log", "url"),
    },
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set[str](),
}
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def refused(xml: str) -> list[str]:
    """Each reason why a strict reader refuses a report; none means that it takes it."""
    root = ElementTree.fromstring(xml)
    return list(_of(root)) if root.tag in ("testsuites", "testsuite") else [f"{root.tag} at the top"]


def _of(element: ElementTree.Element) -> Iterator[str]:
    have = set(element.attrib)
    yield from (f"{element.tag} has {name}" for name in sorted(have - ATTRIBUTES[element.tag]))
    yield from (f"{element.tag} lacks {name}" for name in sorted(REQUIRED.get(element.tag, set()) - have))
    if element.tag != "testcase" and not TIME.fullmatch(element.get("time", "0")):
        yield f"the time {element.get('time')}"
    for child in element:
        if child.tag not in CHILDREN[element.tag]:
            yield f"{child.tag} in {element.tag}"
        else:
            yield from _of(child)
