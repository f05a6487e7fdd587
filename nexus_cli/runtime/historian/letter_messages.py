"""From a dead letter back to the message that can be stored again. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nexus_cli.database.letter_retries import AskedLetter
from nexus_cli.runtime.historian.dead_letters import PAYLOAD_BYTES, SHORT_BYTES
from nexus_cli.wire.message import Message

_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
_NO_EPOCH = "retry"
"""The epoch of a letter that does not name one. Custody is not asked: the number of its frame was taken when it was refused."""


class Again(NamedTuple):
    """A message to read again, and how many samples it has; `why_not` when the letter has none."""

    message: Message | None
    samples: int = 1
    why_not: str = ""


def again(letter: AskedLetter, *, data: str) -> Again:
    """The message of a letter.

    Args:
        letter: Its payload is that of the message, or the part that was refused.
        data: What topics of frames begin with, `…/data/`.
    """
    if letter.topic.startswith(data):
        return _frame(letter)
    if not letter.payload or len(letter.payload) >= PAYLOAD_BYTES or _ESCAPED.search(letter.payload):
        return Again(None, why_not="its payload was not kept whole")
    if len(letter.payload) == SHORT_BYTES and _json(letter.payload) is None:
        return Again(None, why_not="its payload was not kept whole")
    return Again(_message(letter.topic, letter.payload.encode()))


def _frame(letter: AskedLetter) -> Again:
    found = _json(letter.payload)
    if not isinstance(found, dict):
        return Again(None, why_not="its payload was not kept whole, or is no frame")
    topic = letter.topic
    if "samples" not in found:
        tag = found.pop("tag", None)
        if not isinstance(tag, str) or "value" not in found or not topic.endswith(f"/{tag}"):
            return Again(None, why_not="its payload has no samples")
        topic, found["samples"] = topic.removesuffix(f"/{tag}"), {tag: found.pop("value")}
    samples = found["samples"]
    count = len(samples) if isinstance(samples, Mapping) else 0
    payload = msgspec.json.encode({"epoch": _NO_EPOCH, "seq": 1, **found})
    return Again(_message(topic, payload), max(1, count))


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _message(topic: str, payload: bytes) -> Message:
    return Message(topic=topic, payload=payload, qos=1, retain=False)


__all__ = ["Again", "again"]
