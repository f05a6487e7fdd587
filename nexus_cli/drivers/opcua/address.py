"""OPC UA node ids as people write them, and their one normal form. Pure; no protocol library.

Accepted: `nsu=<uri>;s=Filler.Temp`, `ns=2;i=1001`, `i=2258`, `s=…`, `g=<guid>`, `b=<base64>`, each with an array
element or slice behind it: `ns=2;i=7[2,3]`, `ns=2;i=7[0:3]`.

Source: OPC 10000-6 (1.05) §5.3.1.10 (NodeId text), OPC 10000-4 §7.27 (NumericRange).
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass, replace

from nexus_cli.model.driver_kind import AddressError

_NODE = re.compile(
    r"(?:(?:nsu=(?P<uri>[^;]+)|ns=(?P<ns>\d{1,5}));)?(?P<kind>[isgb])=(?P<id>.+)\Z",
    re.DOTALL,
)
_SUFFIX = re.compile(r"(?P<node>.*[^\s\[])\s*\[(?P<range>[\d\s,:]*)\]\Z", re.DOTALL)
_RANGE = re.compile(r"\d{1,9}(?::\d{1,9})?(?:,\d{1,9}(?::\d{1,9})?)*\Z")
_EXAMPLE = "write nsu=<namespace uri>;s=Name (or i=, g=, b=), such as nsu=http://acme/plc;s=Filler.Temp"
MAX_ID_CHARACTERS = 4096
"""Source: OPC 10000-3 §8.2.4: string identifiers hold at most 4,096 characters."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node id whose namespace may still be a URI.

    Attributes:
        uri: Namespace URI, "" when an index is given.
        index: Namespace index, used only without a URI.
        kind: `i`, `s`, `g` or `b`.
        identifier: Its text in normal form.
        range: NumericRange of an array element or slice, "" for the whole value.
    """

    uri: str
    index: int
    kind: str
    identifier: str
    range: str = ""

    @property
    def text(self) -> str:
        """Canonical spelling of the node, without the range."""
        space = f"nsu={escape_uri(self.uri)};" if self.uri else f"ns={self.index};" if self.index else ""
        return f"{space}{self.kind}={self.identifier}"


def escape_uri(uri: str) -> str:
    """Write a namespace URI so that a `;` can follow it (`%3B`, `%25`)."""
    return uri.replace("%", "%25").replace(";", "%3B")


def _unescape_uri(text: str) -> str:
    return re.sub(r"%(25|3[Bb])", lambda match: "%" if match[1] == "25" else ";", text)


def parse_node(text: str, *, key: str = "node") -> NodeAddress:
    """Read a node id without a range: any brackets belong to the identifier.

    Args:
        text: For instance `nsu=http://acme/plc;s=Filler.Temp`.
        key: Tag key that an error names.

    Raises:
        AddressError: NX3201, not a node id; the message quotes it.
    """
    match = _NODE.match(text.lstrip())  # a blank at the end may be the identifier's own
    if match is None:
        raise AddressError(f"'{text}' is not an OPC UA node id", hint=_hint(text), key=key, code="NX3201")
    index = int(match["ns"] or 0)
    if index > 65_535:
        raise AddressError(
            f"'{text}' has namespace index {index}; the largest is 65535", hint=_EXAMPLE, key=key, code="NX3201"
        )
    identifier = _identifier(match["kind"], match["id"], text, key)
    uri = _unescape_uri(match["uri"] or "")
    if uri == "http://opcfoundation.org/UA/":
        uri = ""
    return NodeAddress(uri, index, match["kind"], identifier)


def parse_address(text: str, *, index: str | None = None) -> NodeAddress:
    """Read a node id with its optional array range.

    Siemens servers have nodes whose own name ends in brackets (`s="DB"."array"[3]`); brackets after a quote
    therefore belong to the name. For other servers that do so, `index: ""` says it, and that a blank at the end does.

    Args:
        text: Node id, with or without `[2,3]` behind it.
        index: The tag's `index:` key: a range, or "" when brackets in `text` are part of the name.

    Raises:
        AddressError: NX3201 or NX3202 (the range).
    """
    if index is not None:
        return replace(parse_node(text), range=parse_range(index, key="index"))
    suffix = _SUFFIX.match(text.strip())
    if suffix is None or suffix["node"].endswith('"'):
        return parse_node(text.strip())
    return replace(parse_node(suffix["node"]), range=parse_range(suffix["range"]))


def is_whole(text: str) -> bool:
    """True when a node id means the same with and without `index: ""`: nothing at its end is read as a range."""
    try:
        return parse_address(text) == parse_node(text)
    except AddressError:
        return False


def parse_range(text: str, *, key: str = "node") -> str:
    """Normal form of a NumericRange such as `2`, `2,3`, `0:3`; "" stays "".

    Raises:
        AddressError: NX3202, not a range, or its end does not follow its start.
    """
    compact = re.sub(r"\s", "", text.strip().removeprefix("[").removesuffix("]"))
    if not compact and key == "index":
        return ""
    if not _RANGE.match(compact):
        raise AddressError(
            f"'[{text}]' is not an array element",
            hint="write [2], [2,3] for two dimensions, or [0:3] for a slice",
            key=key,
            code="NX3202",
        )
    parts = []
    for dimension in compact.split(","):
        first, _, last = dimension.partition(":")
        if last and int(last) <= int(first):
            raise AddressError(
                f"the slice '[{dimension}]' ends before it begins",
                hint="write the smaller position first, such as [0:3]; a single element is [2]",
                key=key,
                code="NX3202",
            )
        parts.append(f"{int(first)}:{int(last)}" if last else str(int(first)))
    return ",".join(parts)


def is_slice(text: str) -> bool:
    """True when a range selects several elements."""
    return ":" in text


def _identifier(kind: str, value: str, text: str, key: str) -> str:
    if kind == "i":
        if not value.strip().isdecimal() or int(value) > 0xFFFFFFFF:
            raise AddressError(
                f"'{text}' has the numeric identifier '{value}', which is not a number from 0 to 4294967295",
                hint=f"a name is written s={value}",
                key=key,
                code="NX3201",
            )
        return str(int(value))
    if kind == "g":
        try:
            return str(uuid.UUID(value.strip()))
        except ValueError:
            raise AddressError(
                f"'{text}' has the identifier '{value}', which is not a GUID",
                hint="write g=09087e75-8e5e-499b-954f-f2a9603db28a",
                key=key,
                code="NX3201",
            ) from None
    if kind == "b":
        try:
            return base64.b64encode(base64.b64decode(value.strip(), validate=True)).decode()
        except (binascii.Error, ValueError):
            raise AddressError(
                f"'{text}' has the identifier '{value}', which is not base64",
                hint="write b=M/RbKBsRVkePCePcx24oRA==",
                key=key,
                code="NX3201",
            ) from None
    if len(value) > MAX_ID_CHARACTERS or "\0" in value:
        raise AddressError(
            f"the identifier '{value[:40]}…' is longer than {MAX_ID_CHARACTERS} characters or holds a NUL",
            hint=_EXAMPLE,
            key=key,
            code="NX3201",
        )
    return value


def _hint(text: str) -> str:
    lowered = text.lower()
    if "svr=" in lowered:
        return "the server index 'svr=' is not needed: give the endpoint in `connection`"
    if re.match(r"(ns|nsu)=[^;]+$", lowered):
        return "the identifier is missing: add ;s=Name or ;i=1001"
    if "=" not in text:
        return f"a name needs its namespace: nsu=<namespace uri>;s={text}"
    return _EXAMPLE
