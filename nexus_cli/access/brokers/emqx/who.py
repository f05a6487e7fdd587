"""The conditions of EMQX's rules on a client: name, id, address, attribute, zone, listener, and their combinations."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from nexus_cli.access.brokers.emqx.client import Client, Version, is_at_least
from nexus_cli.access.brokers.emqx.pattern import PatternError, compile_pattern
from nexus_cli.access.brokers.emqx.terms import Atom, Term, write

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RuleError(ValueError):
    """A rule that EMQX refuses, so that it does not load the whole file."""


class MatchCrash(Exception):
    """A rule that loads and fails when a client is compared with it: its source gives no answer then."""


Condition = Callable[[Client], bool]


def chardata(term: Term, *, atoms: bool = False) -> bytes | None:
    """A string, binary or nested list of them as UTF-8; None when it holds what is no character: that equals nothing.

    Raises:
        RuleError: It is none of them.
    """
    if isinstance(term, bytes):
        return term
    if isinstance(term, Atom) and atoms:
        return term.name.encode()
    if not isinstance(term, list):
        raise RuleError(f"text expected, not {write(term)}")
    out: list[bytes] = []
    valid = _collect(term, out)
    return b"".join(out) if valid else None


def _collect(items: list[Term], out: list[bytes]) -> bool:
    for item in items:
        if isinstance(item, list):
            if not _collect(item, out):
                return False
        elif isinstance(item, bytes):
            try:
                item.decode()
            except UnicodeDecodeError:
                return False
            out.append(item)
        elif isinstance(item, int):
            if not 0 <= item <= 0x10FFFF or 0xD800 <= item <= 0xDFFF:
                return False
            out.append(chr(item).encode())
        else:
            raise RuleError(f"text expected, not {write(items)}")
    return True


def condition(term: Term, version: Version, profile: str = "legacy") -> Condition:
    """The `Who` of a rule.

    Raises:
        RuleError: None that this version knows.
    """
    atoms = is_at_least(version, 5, 9, 0)
    match term if isinstance(term, Atom | tuple) else ():
        case Atom("all"):
            return lambda _: True
        case (Atom("username" | "user"), value):
            return _text(value, lambda client: client.username, atoms=atoms)
        case (Atom("clientid" | "client"), value):
            return _text(value, lambda client: client.client_id, atoms=atoms)
        case (Atom("client_attr"), name, value) if is_at_least(version, 5, 8, 5):
            return _attribute(name, value, atoms=atoms)
        case (Atom("zone"), value) if atoms:
            return _late_text(value, lambda client: client.zone)
        case (Atom("listener"), value) if atoms:
            return _late_text(value, lambda client: client.listener)
        case (Atom("security_profile"), Atom("legacy" | "hardened" as wanted)) if is_at_least(version, 6, 2, 1):
            return lambda _: wanted == profile
        case (Atom("ipaddr"), cidr):
            return _addresses([cidr])
        case (Atom("ipaddrs"), list(cidrs)):
            return _addresses(cidrs)
        case (Atom("and" | "or" as word), list(parts)):
            conditions = [condition(part, version, profile) for part in parts]
            if word == "and":
                return lambda client: all(each(client) for each in conditions)
            return lambda client: any(each(client) for each in conditions)
    raise RuleError(f"no condition on a client: {write(term)}")


def _text(value: Term, of: Callable[[Client], str | None], *, atoms: bool) -> Condition:
    if (pattern := _regular(value, atoms=atoms)) is not None:
        return _searching(pattern, of)
    wanted = chardata(value, atoms=atoms)
    return lambda client: (have := of(client)) is not None and wanted is not None and have.encode() == wanted


def _attribute(name: Term, value: Term, *, atoms: bool) -> Condition:
    raw = chardata(name, atoms=atoms)
    key = None if raw is None else raw.decode("utf-8", "surrogateescape")
    return _text(value, lambda client: None if key is None else client.attrs.get(key), atoms=atoms)


def _late_text(value: Term, of: Callable[[Client], str]) -> Condition:
    """Zones and listeners: a value of another kind loads, and fails when it is compared."""
    if (pattern := _regular(value, atoms=True)) is not None:
        return _searching(pattern, of)

    def is_equal(client: Client) -> bool:
        try:
            return chardata(value, atoms=True) == of(client).encode()
        except RuleError as error:
            raise MatchCrash(str(error)) from None

    return is_equal


def _searching(pattern: re.Pattern[bytes], of: Callable[[Client], str | None]) -> Condition:
    return lambda client: (have := of(client)) is not None and pattern.search(have.encode()) is not None


def _regular(value: Term, *, atoms: bool) -> re.Pattern[bytes] | None:
    """The pattern of `{re, …}`; None when it is another value."""
    match value if isinstance(value, tuple) else ():
        case (Atom("re"), source):
            raw = chardata(source, atoms=atoms)
            if raw is None:
                raise RuleError(f"no regular expression: {write(source)}")
            try:
                return compile_pattern(raw)
            except PatternError as error:
                raise RuleError(f"the regular expression {write(source)}: {error}") from None
    return None


@dataclass(frozen=True, slots=True)
class _Range:
    first: tuple[int, ...]
    last: tuple[int, ...]

    def holds(self, parts: tuple[int, ...]) -> bool:
        return len(parts) == len(self.first) and all(
            low <= part <= high for low, part, high in zip(self.first, parts, self.last, strict=True)
        )


def _addresses(cidrs: list[Term]) -> Condition:
    ranges = [_range(cidr) for cidr in cidrs]

    def holds(client: Client) -> bool:
        parts = None if client.ip is None else _parts(client.ip)
        return parts is not None and any(each.holds(parts) for each in ranges)

    return holds


def _range(term: Term) -> _Range:
    text = _ascii(term)
    pieces = [piece for piece in text.split("/") if piece]
    address = _parts(pieces[0]) if 1 <= len(pieces) <= 2 else None
    if address is None:
        raise RuleError(f"no address or network: {write(term)}")
    if len(pieces) == 1:
        return _Range(address, address)
    width = 8 if len(address) == 4 else 16
    if re.fullmatch(r"[+-]?[0-9]+", pieces[1]) is None or not 0 <= int(pieces[1]) <= width * len(address):
        raise RuleError(f"no prefix length: {write(term)}")
    hosts = _host_mask(int(pieces[1]), width, len(address))
    return _Range(
        tuple(part & ~mask for part, mask in zip(address, hosts, strict=True)),
        tuple(part | mask for part, mask in zip(address, hosts, strict=True)),
    )


def _host_mask(length: int, width: int, count: int) -> tuple[int, ...]:
    """Which bits of an address may be anything. EMQX reads an IPv6 /48 as /32, which is wider: so does this."""
    if (width, length) == (16, 48):
        length = 32
    full = (1 << width) - 1
    bits = [min(max(length - width * place, 0), width) for place in range(count)]
    return tuple(full >> bit for bit in bits)


def _ascii(term: Term) -> str:
    if not isinstance(term, list) or not all(isinstance(code, int) and 0 < code < 128 for code in term):
        raise RuleError(f"no address or network: {write(term)}")
    return "".join(chr(code) for code in term if isinstance(code, int))


def _parts(text: str) -> tuple[int, ...] | None:
    """The numbers of an address, four or eight; None when it is none. Short forms such as `10.1` are IPv4, too."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return _short_ipv4(text)
    packed, width = address.packed, 1 if address.version == 4 else 2
    return tuple(int.from_bytes(packed[at : at + width]) for at in range(0, len(packed), width))


def _short_ipv4(text: str) -> tuple[int, ...] | None:
    pieces = text.split(".")
    if not 1 <= len(pieces) <= 4:
        return None
    numbers = [_number(piece) for piece in pieces]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or any(number > 255 for number in known[:-1]):
        return None
    rest = 5 - len(known)
    if known[-1] >= 256**rest:
        return None
    return (*known[:-1], *known[-1].to_bytes(rest))


def _number(piece: str) -> int | None:
    """Decimal, octal after `0`, hexadecimal after `0x`, as inet_aton takes them."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", piece):
        return int(piece, 16)
    if re.fullmatch(r"0[0-7]*", piece):
        return int(piece, 8)
    return int(piece) if re.fullmatch(r"[1-9][0-9]*", piece) else None
