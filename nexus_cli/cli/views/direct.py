"""The result of `nexus read --direct` as JSON and text, pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from nexus_cli.cli.views.status import age_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.project.address_read import Direct

SHOWN_BYTES = 64


def document(found: Direct) -> dict[str, Any]:
    """The JSON form."""
    return {
        "path": found.path,
        "address": found.address,
        "type": found.type,
        "unit": found.unit,
        "published": found.live.to_json() if found.live is not None else None,
        "published_problem": found.without,
        "answers": [
            {
                "client": one.opinion.client,
                "asked": one.opinion.asked,
                "bytes": one.opinion.data.hex(" "),
                "raw": one.opinion.value,
                "decoded_here": one.opinion.decoded_here,
                "value": one.value,
                "quality": one.quality,
                "reason": one.reason,
                "problem": one.opinion.problem,
                "unable": one.opinion.unable,
            }
            for one in found.answers
        ],
        "agree": found.agree,
    }


def text(result: Mapping[str, Any], *, now_s: float | None = None) -> str:
    """One block for the published value, and one for each client."""
    result = plain(dict(result))
    now = time.time() if now_s is None else now_s
    unit = f" {result['unit']}" if result["unit"] else ""
    lines = [f"{result['path']}  {result['address']}  {result['type']}", ""]
    rows: list[tuple[str, str]] = []
    live = result["published"]
    if live is None:
        rows.append(("published", result["published_problem"] or "nothing"))
    else:
        age = f", {age_text(now - live['timestamp'] / 1000)} old" if live.get("timestamp") else ""
        quality = " ".join(filter(None, (live["quality"], live.get("reason"))))
        rows.append(("published", f"{_value(live['value'], unit)}  {quality}{age}"))
    for one in result["answers"]:
        if one["problem"] and not one["bytes"]:
            rows.append((one["client"], one["problem"]))
            continue
        quality = " ".join(filter(None, (one["quality"], one["reason"])))
        rows.append((one["client"], f"{_value(one['value'], unit)}  {quality}"))
        here = "  (bytes by the library, decoded by nexus)" if one["decoded_here"] else ""
        rows += [("", f"raw {one['raw']}{here}"), ("", f"bytes {_cut(one['bytes'])}"), ("", one["asked"])]
    width = max(len(name) for name, _ in rows)
    lines += [f"  {name:{width}}  {what}".rstrip() for name, what in rows]
    if len(result["answers"]) > 1:
        verdict = "both read the same" if result["agree"] else "they do not agree: a value that moves is read twice"
        given = [one["client"] for one in result["answers"] if one["bytes"]]
        if any(one["unable"] for one in result["answers"]):
            verdict = "no second opinion: there is only the answer of nexus"
        elif not given:
            verdict = "neither was given a value"
        elif len(given) < len(result["answers"]):
            verdict = f"only {given[0]} was given an answer"
        lines += ["", f"  {verdict}"]
    return "\n".join(lines)


def _value(value: Any, unit: str) -> str:
    return "no value" if value is None else f"{value}{unit}"


def _cut(data: str) -> str:
    shown = data[: SHOWN_BYTES * 3 - 1]
    return shown if shown == data else f"{shown} … {(len(data) + 1) // 3} bytes"
