"""A write as text and as JSON: its effect before, and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from nexus_cli.cli.views.tail import value_text
from nexus_cli.diagnostics.printable import one_line

if TYPE_CHECKING:
    from nexus_cli.model.config import TagConfig
    from nexus_cli.project.write import Wish
    from nexus_cli.wire.command import Response

Style = Callable[[str, str], str]
LOOK = "look at the machine, and at `nexus read PATH`, before you write again"
HINTS = {
    "NX6811": "wait for the answers of the commands before",
    "NX6812": "`nexus status` shows the link; nothing is kept for later: write again when it is connected",
    "NX6813": "look again: `nexus read PATH` shows what it holds now",
    "NX6815": LOOK,
    "NX6816": LOOK,
    "NX6819": "`nexus status` shows whether the gateway runs; `nexus read PATH` what the tag holds",
    "NX6820": LOOK,
}
"""A hint for the next step, where the answer itself has none."""
COLOURS = {"done": "good", "refused": "error", "failed": "error", "unknown": "warning"}


def wish_text(wish: Wish, *, style: Style) -> str:
    """Old and new value, before anything is sent."""
    old = _with_label(wish.old, wish.tag) if wish.old is not None else "unknown"
    new = _with_label(wish.will_be, wish.tag)
    unit = f" {wish.tag.publish_unit}" if wish.tag.publish_unit else ""
    lines = [f"{style(wish.path, 'bold')}: {old} → {new}{unit}"]
    if wish.quality not in ("", "GOOD"):
        lines.append(style(f"  the value it holds now is {wish.quality}", "warning"))
    if not isinstance(wish.value, str) and value_text(wish.will_be) != value_text(wish.value):
        lines.append(
            style(f"  the device holds whole counts: {wish.value!r} becomes {value_text(wish.will_be)}", "warning")
        )
    if wish.tag.description:
        lines.append(style(f"  {wish.tag.description}", "dim"))
    return "\n".join(lines)


def response_text(found: Response, *, style: Style) -> str:
    """How it ended: old → new → read back."""
    state = style(found.state.value, COLOURS[found.state.value])
    unit = f" {one_line(found.unit)}" if found.unit else ""
    chain = " → ".join(value_text(one) for one in (found.old, found.value) if one is not None)
    back = f", read back {value_text(found.read_back)}" if found.read_back is not None else ""
    lines = [f"{state}  {one_line(found.path)}" + (f"  {chain}{unit}{back}" if chain else "")]
    if found.detail:
        code = f"[{found.code}] " if found.code else ""
        lines.append(f"  {code}{one_line(found.detail)}")
    if found.code in HINTS:
        lines.append(f"  = hint: {HINTS[found.code].replace('PATH', one_line(found.path))}")
    return "\n".join(lines)


def response_json(path: str, found: Response) -> bytes:
    """The answer as the gateway gave it, every key present."""
    data = {
        "id": found.id,
        "path": found.path or path,
        "state": found.state.value,
        "value": found.value,
        "old": found.old,
        "read_back": found.read_back,
        "unit": found.unit,
        "time": found.time,
        "code": found.code,
        "detail": found.detail,
    }
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _with_label(value: object, tag: TagConfig) -> str:
    text = value_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return text
    label = tag.values.get(str(int(value)))
    return f"{text} ({label})" if label else text
