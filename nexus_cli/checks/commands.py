"""The tag that proves a write: it exists, is read, and is on the same link."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View, why_not_writable
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.proof import can_prove
from nexus_cli.model.resolve import read_back_of
from nexus_cli.model.site import Tag

NONE = "none"
SHORTEST_MS, LONGEST_MS = 100, 300_000
"""Bounds of `read_back_timeout`; commands of a device wait for each other, so for a proof as well."""


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
        elif (other.device.gateway, other.device.link) != (tag.device.gateway, tag.device.link):
            message = f"'{text}' is on another link"
            hint = f"only tags of {tag.device.link or 'the same link'} can be read right after the write"
        else:
            continue
        yield finding("NX2901", message, where=(*tag.where, "read_back"), hint=hint)


def read_back_idle(view: View) -> Iterator[Diagnostic]:
    """NX2902."""
    for tag in view.read:
        for key in ("read_back", "read_back_timeout"):
            if isinstance(tag.tag, Tag) and getattr(tag.tag, key) is not None and not tag.tag.writable:
                why = why_not_writable(tag)
                yield finding(
                    "NX2902",
                    "nothing writes this tag, so nothing has to be proved",
                    where=(*tag.where, key),
                    hint=f"remove it: {why}" if why else "add 'writable: true', or remove it",
                )


def read_back_type(view: View) -> Iterator[Diagnostic]:
    """NX2920."""
    for tag in view.read:
        text = tag.tag.read_back if isinstance(tag.tag, Tag) else None
        other = view.by_path.get(read_back_of(text, tag.device.path)) if text and text != NONE else None
        if other is None or not isinstance(other.tag, Tag) or not isinstance(tag.tag, Tag):
            continue
        written, shown = _unit(tag.tag), _unit(other.tag)
        if not can_prove(tag.published, other.published):
            message = f"'{text}' is {other.published} and can't show what this tag, {tag.published}, was written"
            hint = "name a tag of the same kind of value, or none"
        elif written and shown and written != shown:
            message = f"'{text}' is in {shown} and this tag in {written}: their numbers are never equal"
            hint = f"publish_unit: {written} there"
        elif other.tag.enabled is False:
            message, hint = f"'{text}' is out of service", "name a tag that is read"
        else:
            continue
        yield finding("NX2920", message, where=(*tag.where, "read_back"), hint=hint)


def read_back_timeout(view: View) -> Iterator[Diagnostic]:
    """NX2921."""
    for tag in view.read:
        if not isinstance(tag.tag, Tag) or tag.tag.read_back_timeout is None or not tag.tag.writable:
            continue
        where = (*tag.where, "read_back_timeout")
        if tag.tag.read_back == NONE:
            message = "nothing is read back, so there is nothing to wait for"
            yield finding("NX2921", message, where=where, on_key=True, hint="remove it")
        elif not SHORTEST_MS <= tag.tag.read_back_timeout <= LONGEST_MS:
            message = (
                f"{tag.tag.read_back_timeout} ms is not between {SHORTEST_MS} ms and {LONGEST_MS // 60_000} minutes"
            )
            yield finding("NX2921", message, where=where, hint="read_back_timeout: 10s")


def _unit(tag: Tag) -> str:
    return tag.publish_unit or tag.unit or ""


CHECKS = (read_back_tag, read_back_idle, read_back_type, read_back_timeout)
