"""Signed messages of others: every reader of topics of external devices opens and checks them here.

A value's message proves its key, topic and time. Messages of one topic are signed one after the other, so the newest time
of each topic shows a repetition; a message that the broker kept may be of any age and never replaces a newer one.

See docs/decisions/0097.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from nexus_cli.access.globs import matches_glob
from nexus_cli.runtime.signing_keys import SigningKey, signing_keys
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import with_time
from nexus_cli.wire.signature import (
    EXTERNAL,
    Opened,
    SignatureError,
    SignatureRules,
    is_signed,
    open_envelope,
    signed_bytes,
)

MOST_TOPICS = 200_000
NOT_SIGNED, WRONG, KEY, TIME, REPLAYED, FULL = (
    *("not_signed", "signature_wrong", "signature_key", "signature_time", "signature_replayed", "signature_full"),
)
REASONS = frozenset({NOT_SIGNED, WRONG, KEY, TIME, REPLAYED, FULL})
"""Reasons of dead letters."""


class Refused(NamedTuple):
    """Why a message is not taken.

    Attributes:
        reason: One of `REASONS`; "" of a message that the broker kept and that is known, or too old for this reader.
        detail: For people.
    """

    reason: str
    detail: str


_OLD = Refused("", "the broker kept it")


class SignedValues:
    """Opens signed messages, and refuses unsigned ones where the site wants them signed.

    Attributes:
        active: False where the site says nothing of others' messages; then nothing is asked.
        refused: Messages that were refused, by reason.
    """

    def __init__(self, *, wall_us: Callable[[], int], kept: bool = True, most: int = MOST_TOPICS) -> None:
        """Know no rules yet.

        Args:
            wall_us: The machine's clock, µs since 1970 UTC.
            kept: Whether a message that the broker kept counts at any age. Who acts on a value as it is now says no.
            most: Topics whose newest time is remembered.
        """
        self._wall_us, self._kept, self._most = wall_us, kept, most
        self._rules = SignatureRules()
        self._keys: Mapping[str, SigningKey] = {}
        self._covered: dict[tuple[str, str], bool] = {}
        self._newest: dict[str, int] = {}
        self._floor_us = wall_us()
        self.active = False
        self.refused: dict[str, int] = {}

    def configured(self, rules: SignatureRules) -> None:
        """Take the site's rules; what was signed last on each topic stays known."""
        if rules == self._rules:
            return
        self._rules, self._keys = rules, signing_keys(rules)
        self._covered.clear()
        self.active = EXTERNAL in rules.require or any(key.topics for key in rules.keys.values())

    def counts(self) -> dict[tuple[str, ...], float]:
        """Refused messages, for metrics with the label `reason`."""
        return {(reason,): float(count) for reason, count in self.refused.items()}

    def admit(self, message: Message, path: str) -> Message | Refused:
        """The message as it was before it was signed, with the time of the signature where it has none of its own.

        Args:
            message: Of a declared topic of an external device.
            path: `area/line/device/…` of its topic.
        """
        found = self._admit(message, path)
        if isinstance(found, Refused) and found.reason:
            self.refused[found.reason] = self.refused.get(found.reason, 0) + 1
        return found

    def _admit(self, message: Message, path: str) -> Message | Refused:
        if not is_signed(message.payload):
            if EXTERNAL not in self._rules.require or (message.retain and not message.payload):
                return message
            return Refused(NOT_SIGNED, "the site wants messages of external devices signed, and this one is not")
        try:
            opened = open_envelope(message.payload)
        except SignatureError as error:
            return Refused(WRONG, str(error))
        refused = self._by_key(message.topic, path, opened) or self._by_time(message, opened)
        return refused or message._replace(payload=with_time(opened.payload, opened.time_us))

    def _by_key(self, topic: str, path: str, found: Opened) -> Refused | None:
        key = self._keys.get(found.key)
        if key is None:
            return Refused(KEY, f"the site has no key '{found.key[:100]}'")
        if not self._covers(found.key, key, path):
            return Refused(KEY, f"the key '{found.key}' is not one of this topic")
        if key.check is None:
            return Refused(KEY, f"the key '{found.key}' can't be used here: {key.problem}")
        signed = signed_bytes(
            key=found.key, topic=topic, time_us=found.time_us, nonce=found.nonce, payload=found.payload
        )
        if not key.check(signed, found.signature):
            return Refused(WRONG, f"the signature is not that of the key '{found.key}' over this topic and payload")
        problem = key.invalid(found.key, signed_us=found.time_us, now_us=self._wall_us())
        return Refused(KEY, problem) if problem else None

    def _covers(self, name: str, key: SigningKey, path: str) -> bool:
        known = self._covered.get((name, path))
        if known is None:
            known = any(matches_glob(glob, path) for glob in key.rules.topics)
            if len(self._covered) >= self._most:
                self._covered.clear()
            self._covered[name, path] = known
        return known

    def _by_time(self, message: Message, found: Opened) -> Refused | None:
        now_us, window_us, time_us = self._wall_us(), self._rules.window_ms * 1000, found.time_us
        if time_us > now_us + window_us:
            return Refused(TIME, f"its time lies {(time_us - now_us) / 1e6:,.1f} s ahead")
        late = time_us < now_us - window_us
        newest_us = self._newest.get(message.topic)
        if message.retain:
            if (late and not self._kept) or (newest_us is not None and time_us < newest_us):
                return _OLD
        elif late:
            return Refused(TIME, f"it was signed {(now_us - time_us) / 1e6:,.1f} s ago")
        elif time_us <= self._floor_us:
            return Refused(REPLAYED, "it was signed earlier than the reader runs")
        elif newest_us is not None and time_us <= newest_us:
            return Refused(REPLAYED, "it was signed earlier than another one of this topic, or is that one")
        if newest_us is None and len(self._newest) >= self._most and not self._forget(now_us - window_us):
            return Refused(FULL, f"the times of {self._most} topics are remembered, and none may be forgotten yet")
        self._newest[message.topic] = time_us
        return None

    def _forget(self, before_us: int) -> bool:
        """Drop topics that were signed last before a moment: the window refuses what is older, and the floor, where a
        clock is set back."""
        old = [topic for topic, time_us in self._newest.items() if time_us < before_us]
        for topic in old:
            self._floor_us = max(self._floor_us, self._newest.pop(topic))
        return bool(old)
