"""Return codes and reason codes in words.

Source: MQTT 3.1.1, 3.2.2.3 (CONNACK); MQTT 5.0, 2.4 "Reason Code".
"""

from __future__ import annotations

from typing import Final

FAILURE: Final = 0x80
"""From here on a code is an error (MQTT 5.0, 2.4); in version 3.1.1 the one failure of a SUBACK (3.9.3)."""
BAD_USER: Final = 4
NOT_AUTHORISED: Final = 5
USER_REFUSED: Final = frozenset((BAD_USER, NOT_AUTHORISED, 0x86, 0x87))
"""The codes of either version for a user, a password or a right that the broker does not accept."""
IDENTIFIER_NOT_FOUND: Final = 0x92
RECEIVE_MAXIMUM_EXCEEDED: Final = 0x93
TOPIC_ALIAS_INVALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95
RETAIN_NOT_SUPPORTED: Final = 0x9A
QOS_NOT_SUPPORTED: Final = 0x9B

RETURN_CODES: Final = {
    1: "it does not accept this protocol version",
    2: "it does not accept our client identifier",
    3: "its MQTT service is unavailable",
    BAD_USER: "bad user name or password",
    NOT_AUTHORISED: "not authorised",
}
REASON_CODES: Final = {
    0x00: "no reason given",
    0x04: "disconnect with will message",
    0x10: "no matching subscribers",
    0x11: "no subscription existed",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorised",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x92: "packet identifier not found",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}


def name(code: int, *, level: int, reason: str = "") -> str:
    """A code in words, with the reason string of the broker behind it."""
    table = REASON_CODES if level == 5 else RETURN_CODES
    found = table.get(code, f"code {code}")
    return f"{found} ({reason})" if reason else found
