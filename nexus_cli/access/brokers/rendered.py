"""What every renderer gives: files, and what the broker can't say as we mean it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A rule that a broker can't express as it is meant.

    Attributes:
        broker: `emqx`, `mosquitto`, `mosquitto-dynsec` or `hivemq`.
        rule: The grant, or the binding, in words.
        text: What the broker does instead, and who else refuses it.
        code: NX7013 when it is allowed more than meant there (and another part refuses it), NX7014 when less.
    """

    broker: str
    rule: str
    text: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The files of one broker.

    Attributes:
        files: Text by file name; without secrets in clear text.
        notes: What the broker can't express.
    """

    files: Mapping[str, str]
    notes: tuple[Note, ...] = field(default=())
