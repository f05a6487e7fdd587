"""Reads any `acl_file` as Mosquitto 2.0 does, and answers requests as it would.

Source: mosquitto.conf(5) and `src/security_default.c`, `src/security.c` of 2.0.11, compared with the running program in
tests/contract. What makes Mosquitto exit at its start removes *all* rules at a reload, after which everything is allowed:
`validate` refuses such a text before it replaces a file that is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nexus_cli.access.request import Request, Verdict
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.topic import matches

Access = Literal["read", "write", "readwrite", "deny"]
WORDS: dict[bytes, Access] = {b"read": "read", b"write": "write", b"readwrite": "readwrite", b"deny": "deny"}
MOST_SLASHES = 200
MOST_BYTES = 65_535
_BLANKS = b" \t\n\v\f\r"
_BRIDGE_STATE = "$SYS/broker/connection/+/state"


@dataclass(frozen=True, slots=True)
class Line:
    """A `topic` or `pattern` line.

    Attributes:
        number: Of the line, from 1.
        access: What it gives, or takes.
        filter: With `%u` and `%c`, where it is a pattern.
    """

    number: int
    access: Access
    filter: str

    @property
    def text(self) -> str:
        """As in the file, without its keyword."""
        return f"line {self.number}: {self.access} {self.filter}"


@dataclass(frozen=True, slots=True)
class AclFile:
    """The rules of a file (`access.request.Rules`).

    Attributes:
        users: Lines by user name, denies first; None has those before the first `user`, which are for clients without
            a user name alone.
        patterns: Lines for everybody, denies first.
    """

    users: Mapping[str | None, tuple[Line, ...]]
    patterns: tuple[Line, ...]

    def decide(self, request: Request) -> Verdict:
        """Answer as Mosquitto does: SUBSCRIBE always passes, and each message is checked when it is delivered."""
        topic = request.topic
        if request.wish == "subscribe":
            return Verdict(allowed=True, why="Mosquitto grants every subscription, and checks what it delivers")
        if "+" in topic or "#" in topic or not topic:
            return Verdict(allowed=False, why="not a topic")
        if topic.startswith("$share"):
            return Verdict(allowed=False, why="$share is for subscriptions")
        if request.wish == "publish" and topic.startswith("$SYS") and not matches(_BRIDGE_STATE, topic):
            return Verdict(allowed=False, why="$SYS belongs to the broker")
        return self._message(request)

    def _message(self, request: Request) -> Verdict:
        wish = "write" if request.wish == "publish" else "read"
        for line in self.users.get(request.user or None, ()):
            if matches(line.filter, request.topic) and (verdict := _verdict(line, wish)):
                return verdict
        if self.patterns and any(sign in request.user + request.client_id for sign in "+#"):
            return Verdict(allowed=False, why="a name or client id with '+' or '#', where there are patterns")
        for line in self.patterns:
            if "%u" in line.filter and not request.user:
                continue
            if matches(_filled(line.filter, request), request.topic) and (verdict := _verdict(line, wish)):
                return verdict
        return Verdict(allowed=False, why="no line allows it")


def _verdict(line: Line, wish: str) -> Verdict | None:
    if line.access == "deny":
        return Verdict(allowed=False, why=line.text)
    return Verdict(allowed=True, why=line.text) if line.access in (wish, "readwrite") else None


def _filled(filter_: str, request: Request) -> str:
    """`%c` and `%u` once each from left to right, so that a name with `%c` in it stays a name."""
    parts, rest = [], filter_
    while rest:
        if rest.startswith("%c"):
            parts.append(request.client_id)
            rest = rest[2:]
        elif rest.startswith("%u") and request.user:
            parts.append(request.user)
            rest = rest[2:]
        else:
            parts.append(rest[0])
            rest = rest[1:]
    return "".join(parts)


def read_acl(text: str | bytes) -> AclFile:
    """Read a file.

    Raises:
        NexusError: NX7035, with the line in `cause`: Mosquitto exits at its start, and drops all rules at a reload.
    """
    users: dict[str | None, list[Line]] = {}
    patterns: list[Line] = []
    user: str | None = None
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    for number, raw in enumerate(data.split(b"\n"), 1):
        if b"\0" in raw:
            raise _bad(number, "a NUL character")
        line = raw.rstrip(_BLANKS)
        if line.startswith(b"#"):
            continue
        word, _, rest = line.lstrip(b" ").partition(b" ")
        if not word:
            continue
        if word == b"user":
            user = _text(rest.strip(_BLANKS))
            if not user:
                raise _bad(number, "`user` without a name")
        elif word in (b"topic", b"pattern"):
            parsed = _rule(number, rest.lstrip(b" "))
            (patterns if word == b"pattern" else users.setdefault(user, [])).append(parsed)
        else:
            raise _bad(number, f"'{_text(word)[:60]}' is no keyword (words are separated by spaces, not tabs)")
    return AclFile({name: _denies_first(lines) for name, lines in users.items()}, _denies_first(patterns))


def validate(text: str | bytes) -> None:
    """Refuse a file that Mosquitto would not load.

    Raises:
        NexusError: NX7035.
    """
    read_acl(text)


def _rule(number: int, rest: bytes) -> Line:
    if not rest:
        raise _bad(number, "no topic")
    word, _, more = rest.partition(b" ")
    access: Access | None = "readwrite"
    filter_ = more.strip(_BLANKS)
    if filter_:
        access = WORDS.get(word)
    else:
        filter_ = word
    if access is None:
        raise _bad(number, f"'{_text(word)[:60]}' is none of read, write, readwrite, deny")
    if not _loads(filter_):
        raise _bad(number, f"'{_text(filter_)[:200]}' is no filter")
    return Line(number, access, _text(filter_))


def _loads(filter_: bytes) -> bool:
    levels = filter_.split(b"/")
    if len(filter_) > MOST_BYTES or len(levels) - 1 > MOST_SLASHES:
        return False
    if any(level != b"+" and b"+" in level for level in levels):
        return False
    return b"#" not in b"/".join(levels[:-1]) and (levels[-1] == b"#" or b"#" not in levels[-1])


def _denies_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: line.access != "deny"))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bad(number: int, problem: str) -> NexusError:
    return NexusError(
        "Mosquitto would not load these rules, and at a reload would drop all that it has.",
        code="NX7035",
        cause=f"line {number}: {problem}",
    )
