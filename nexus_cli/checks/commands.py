"""What proves a write: a tag that exists, is read, and stands behind the same link."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.resolve import read_back_of
from nexus_cli.model.site import Tag

NONE = "none"


def read_back_tag(view: View) -> Iterator[Diagnostic]:
    """NX2901."""
    for tag in view.read:
        text = tag.tag.read_back if isinstance(tag.tag, Tag) else None
        if text is None or text == NONE:
            continue
        path = read_back_of(text, tag.device.path)
        other = view.by_path.get(path)
        if other is None:
            if path in view.model.declared:
                continue  # it has an error of its own
            message = f"there is no tag '{text}'"
            hint = did_you_mean(text, [*tag.device.tags, NONE]) or "a tag of the same link, or none"
        elif not isinstance(other.tag, Tag):
            message, hint = f"'{text}' is not read from a device", "name the tag that the device answers"
        elif other.device.link != tag.device.link:
            message = f"'{text}' stands behind another link"
            hint = f"only tags of {tag.device.link or 'the same link'} can be read right after the write"
        else:
            continue
        yield finding("NX2901", message, where=(*tag.where, "read_back"), hint=hint)


def read_back_idle(view: View) -> Iterator[Diagnostic]:
    """NX2902."""
    for tag in view.read:
        if isinstance(tag.tag, Tag) and tag.tag.read_back is not None and not tag.tag.writable:
            yield finding(
                "NX2902",
                "nothing writes this tag, so nothing has to be proved",
                where=(*tag.where, "read_back"),
                hint="add 'writable: true', or remove it",
            )


CHECKS = (read_back_tag, read_back_idle)
