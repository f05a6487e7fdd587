"""Which commands prove who sent them: signature, key, time window and nonce, in this order; the first failure decides.

A nonce is kept as long as its message could be accepted again. None is kept beyond the process, and another gateway has
its own: a message for a device that was signed before this process took the device over is refused instead. So a restart,
a crash, a lost disk, a waiting process that takes over and a device that moves to another gateway open no gap.

See docs/decisions/0097.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from types import MappingProxyType

import msgspec

from nexus_cli.runtime.gateway.commands.admission import Clocks, Rejection
from nexus_cli.runtime.signing_keys import SigningKey, signing_keys
from nexus_cli.wire.command import CommandError, decode_command
from nexus_cli.wire.signature import (
    COMMAND,
    ED25519,
    KeyRules,
    Opened,
    SignatureError,
    SignatureRules,
    is_signed,
    open_envelope,
    signed_bytes,
)

MOST_NONCES = 200_000
"""Some 40 MB. A gateway that remembers so many refuses more rather than forget one."""


class SignatureGuard:
    """Opens signed commands, and refuses unsigned ones where the site wants them signed."""

    def __init__(
        self, clocks: Clocks, *, own: Mapping[str, str] = MappingProxyType({}), most: int = MOST_NONCES
    ) -> None:
        """Know no rules yet. Messages that were signed before now are refused.

        Args:
            clocks: What times are compared with.
            own: Public keys by principal of NEXUS, of the processes under the same folder; each counts while the site declares
                no key of that principal.
            most: Nonces that are remembered.
        """
        self._clocks, self._own, self._most = clocks, own, most
        self._rules = SignatureRules()
        self._keys: Mapping[str, SigningKey] = signing_keys(with_own(self._rules, own))
        self._nonces: set[tuple[str, str]] = set()
        self._ends: list[tuple[int, tuple[str, str]]] = []
        self._began_us = clocks.wall_us()
        self._took_us: dict[str, int] = {}

    def configured(self, rules: SignatureRules) -> None:
        """Take the site's rules; nonces stay."""
        if rules == self._rules:
            return
        if rules.window_ms > self._rules.window_ms and self._ends:
            # Nonces that were dropped by the smaller window would count as new in the larger one.
            self._began_us = max(self._began_us, self._clocks.wall_us() - self._rules.window_ms * 1000)
        self._rules = rules
        self._keys = signing_keys(with_own(rules, self._own))

    def took(self, devices: Collection[str]) -> None:
        """Take commands for these devices (paths) and no others from now on. Another gateway may have carried out what was
        signed before."""
        now_us = self._clocks.wall_us()
        self._took_us = {path: self._took_us.get(path, now_us) for path in devices}

    def open(self, topic: str, principal: str, payload: bytes, *, device: str) -> bytes | Rejection:
        """The command in a message for a device, or why it is refused. An unsigned one passes where no signature is required.

        An envelope is checked whether one is required or not: who signs wants to be believed only with a good signature.
        """
        if not is_signed(payload):
            if COMMAND in self._rules.require:
                return Rejection("NX6462", "the site wants commands signed, and this one is not")
            return payload
        try:
            found = open_envelope(payload)
        except SignatureError as error:
            return Rejection("NX6463", str(error))
        return self._why_not(topic, principal, found, device) or found.payload

    def _why_not(self, topic: str, principal: str, found: Opened, device: str) -> Rejection | None:
        key = self._keys.get(found.key)
        if key is None:
            return Rejection("NX6466", f"the site has no key '{found.key[:100]}'")
        if principal not in key.rules.principals:
            return Rejection("NX6466", f"the key '{found.key}' is not one of {principal[:100]}")
        if key.check is None:
            return Rejection("NX6466", f"the key '{found.key}' can't be used here: {key.problem}")
        signed = signed_bytes(
            key=found.key, topic=topic, time_us=found.time_us, nonce=found.nonce, payload=found.payload
        )
        if not key.check(signed, found.signature):
            return Rejection(
                "NX6463", f"the signature is not that of the key '{found.key}' over this topic and payload"
            )
        if doubt := self._clocks.doubt():
            return Rejection("NX6464", f"it is unknown when it was signed: {doubt}")
        return self._by_time(found, key, device) or self._by_nonce(found)

    def _by_time(self, found: Opened, key: SigningKey, device: str) -> Rejection | None:
        now_us, window_us = self._clocks.wall_us(), self._rules.window_ms * 1000
        if problem := key.invalid(found.key, signed_us=found.time_us, now_us=now_us):
            return Rejection("NX6466", problem)
        if found.time_us < now_us - window_us:
            return Rejection(
                "NX6464", f"it was signed {(now_us - found.time_us) / 1e6:,.1f} s ago by the gateway's clock"
            )
        if found.time_us > now_us + window_us:
            return Rejection(
                "NX6464", f"its time lies {(found.time_us - now_us) / 1e6:,.1f} s ahead by the gateway's clock"
            )
        if found.time_us <= self._began_us:
            return Rejection(
                "NX6464", "it was signed before the gateway began to remember nonces; sign and send it anew"
            )
        if found.time_us <= self._took_us.get(device, now_us + window_us):
            return Rejection("NX6464", "it was signed before this gateway took the device over; sign and send it anew")
        return None

    def _by_nonce(self, found: Opened) -> Rejection | None:
        now_us = self._clocks.wall_us()
        while self._ends and self._ends[0][0] < now_us:
            self._forget()
        nonce = (found.key, found.nonce)
        if nonce in self._nonces:
            return Rejection("NX6465", f"its nonce was used before by the key '{found.key}'")
        if len(self._nonces) >= self._most:
            return Rejection(
                "NX6467", f"the gateway remembers {self._most} nonces, and none of them may be forgotten yet"
            )
        self._nonces.add(nonce)
        heapq.heappush(self._ends, (found.time_us + self._rules.window_ms * 1000, nonce))
        return None

    def _forget(self) -> None:
        """Drop the nonce that ends first. A clock that is set back finds its message before the mark, and refuses it."""
        end_us, nonce = heapq.heappop(self._ends)
        self._nonces.discard(nonce)
        self._began_us = max(self._began_us, end_us - self._rules.window_ms * 1000)


def with_own(rules: SignatureRules, own: Mapping[str, str]) -> SignatureRules:
    """The rules with a key of each principal that they declare none of."""
    declared = {principal for key in rules.keys.values() for principal in key.principals}
    more = {
        f"{principal}.local": KeyRules(algorithm=ED25519, public=public, principals=[principal])
        for principal, public in own.items()
        if principal not in declared
    }
    return msgspec.structs.replace(rules, keys={**more, **rules.keys})


def id_of(payload: bytes) -> str:
    """The id of the command in a message that proves nothing, for its answer; "" when it has none."""
    try:
        inner = open_envelope(payload).payload if is_signed(payload) else payload
        return decode_command(inner).id
    except CommandError as error:
        return error.id
    except SignatureError:
        return ""
