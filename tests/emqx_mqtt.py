"""The MQTT side of `tests/emqx_server.py`: log in, subscribe and publish as EMQX would, by the same state. MQTT 3.1.1."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from tests.emqx_server import DATABASE, Session, State
from tests.scripted_broker import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    packet,
)


def matches(requested: str, rule: str) -> bool:
    """A requested filter against a rule's, as if it were a topic (`emqx_topic:match`)."""
    if rule.startswith("eq "):
        return requested == rule[3:]
    wanted, levels = rule.split("/"), requested.split("/")
    if requested.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for at, one in enumerate(wanted):
        if one == "#":
            return True
        if at >= len(levels) or one not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)


def decide(rules: list[dict[str, Any]], action: str, topic: str) -> bool | None:
    """What the first rule that matches says; None when none does."""
    for rule in rules:
        if rule["action"] in ("all", action) and matches(topic, rule["topic"]):
            return bool(rule["permission"] == "allow")
    return None


def allowed(state: State, user: str, action: str, topic: str) -> bool:
    """EMQX's answer: its sources in order, then `no_match`."""
    for source in state.sources:
        found = None
        if source.get("enable") is False:
            continue
        if source["type"] == DATABASE:
            found = decide([*state.rules.get(user, []), *state.for_all], action, topic)
        elif source["type"] == "file":
            found = True if "{allow, all}." in state.file else None
        if found is not None:
            return found
    return bool(state.settings["no_match"] == "allow")


def logs_in(state: State, user: str, password: str) -> bool:
    """Whether a user of the built-in database has this password."""
    have = state.users.get(user)
    if have is None:
        return False
    how = state.authenticators[0]["password_hash_algorithm"]
    salt = have["salt"]
    if how["name"] == "pbkdf2":
        key = hashlib.pbkdf2_hmac(how["mac_fun"], password.encode(), salt.encode(), how["iterations"]).hex()
    else:
        text = salt + password if how["salt_position"] == "prefix" else password + salt
        key = hashlib.new(how["name"], text.encode()).hexdigest()
    return bool(key == have["password_hash"])


class EmqxMqtt:
    """Listens on a loopback port.

    Attributes:
        tried: Each subscription that was asked for, and the answer.
        published: Each message by user and topic, and whether it was let through. Nothing is passed on.
        sessions: Whether connections are among the state's sessions, so that they can be kicked.
    """

    def __init__(self, state: State, *, sessions: bool = False) -> None:
        self.state, self.sessions = state, sessions
        self.published: list[tuple[str, str, bool]] = []
        self.port = 0
        self.tried: list[tuple[str, str, bool]] = []
        self.refused_logins: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[EmqxMqtt]:
        """Listening, for the length of a block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user = client_id = ""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, body, flags = await _packet(reader)
                if client_id and client_id not in self.state.sessions:
                    break
                if kind == CONNECT:
                    user, password = _login(body)
                    accepted = logs_in(self.state, user, password)
                    writer.write(packet(CONNACK, bytes([0, 0 if accepted else 5])))
                    if not accepted:
                        self.refused_logins.append(user)
                        break
                    if self.sessions:
                        client_id = _text(body, 10)[0]
                        self.state.sessions[client_id] = Session(client_id, user)
                elif kind == PUBLISH:
                    topic, at = _text(body, 0)
                    self.published.append((user, topic, allowed(self.state, user, "publish", topic)))
                    if not self.published[-1][2] and self.state.settings["deny_action"] == "disconnect":
                        break
                    if flags & 6:
                        writer.write(packet(PUBACK, body[at : at + 2]))
                elif kind == SUBSCRIBE:
                    codes = bytearray()
                    for filter_ in _filters(body):
                        granted = allowed(self.state, user, "subscribe", filter_)
                        self.tried.append((user, filter_, granted))
                        codes.append(0 if granted else 0x80)
                    if 0x80 in codes and self.state.settings["deny_action"] == "disconnect":
                        break
                    writer.write(packet(SUBACK, body[:2] + bytes(codes)))
                elif kind == PINGREQ:
                    writer.write(packet(PINGRESP, b""))
                elif kind == DISCONNECT:
                    break
        writer.close()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes, int]:
    first = (await reader.readexactly(1))[0]
    size, shift = 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        size |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return first >> 4, await reader.readexactly(size), first & 15


def _text(body: bytes, at: int) -> tuple[str, int]:
    size = int.from_bytes(body[at : at + 2], "big")
    return body[at + 2 : at + 2 + size].decode(), at + 2 + size


def _login(body: bytes) -> tuple[str, str]:
    _, at = _text(body, 0)
    flags = body[at + 1]
    assert flags & 0xC0 == 0xC0 and not flags & 4, "a user and a password, and no will"
    _, at = _text(body, at + 4)
    user, at = _text(body, at)
    return user, _text(body, at)[0]


def _filters(body: bytes) -> list[str]:
    found, at = [], 2
    while at < len(body):
        text, at = _text(body, at)
        found.append(text)
        at += 1
    return found
