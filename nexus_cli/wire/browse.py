"""Browsing through a gateway, and checks of its devices: the request, and the pages that answer it.

`_nexus/{enterprise}/{site}/browse/{gateway}/{principal}`, answered on `…/response/{gateway}/{principal}/{id}`.

See docs/decisions/0022.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nexus_cli.wire.field_types import Count, Microseconds, TagValue, one_of
from nexus_cli.wire.sample import REASONS, Quality


class BrowseRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks a gateway to browse one of its links, to read one address there, or to check the addresses of a device.

    Attributes:
        id: Names the request; the answers come on a topic with this level.
        device: `area/line/device` that the gateway runs; "" where a link is named.
        read: Name of a tag of the device; "" browses.
        check: Look at the declared addresses of the device, and browse nothing.
        link: Link id, when no device is named.
        connection: Connection keys that the device of the link must have.
        start: Where to begin, in the protocol's spelling; "" for everything.
        nodes: OPC UA: `[node, path, is a variable, is a property]`; empty browses from `start`.
        depth: Levels; 0 for all.
        properties: Whether OPC UA properties are included.
        trial: A device as declared, which need not run: the addresses of its tags are read once, and nothing is browsed.
        cancel: End the request with this id.
        expires_at: After this time nothing is browsed any more, µs since 1970 UTC.
    """

    id: Annotated[str, Meta(description="Names the request.", extra_json_schema={"minLength": 1, "maxLength": 128})]
    device: Annotated[str, Meta(description="area/line/device that the gateway runs.")] = ""
    read: Annotated[
        str, Meta(description="Name of a tag of the device: its address is read now, and nothing is browsed.")
    ] = ""
    check: Annotated[
        bool, Meta(description="The device's declared addresses are looked at, read-only, and nothing is browsed.")
    ] = False
    link: Annotated[str, Meta(description="Link id, when no device is named.")] = ""
    connection: Annotated[
        dict[str, Any],
        Meta(description="Connection keys that the device of the link must have, when several share it."),
    ] = {}
    start: Annotated[str, Meta(description="Where to begin, in the protocol's spelling; empty for everything.")] = ""
    nodes: Annotated[
        list[
            Annotated[
                Any,
                Meta(
                    description="[node, path, is a variable, is a property]",
                    extra_json_schema={"type": "array", "minItems": 2, "maxItems": 4},
                ),
            ]
        ],
        Meta(description="OPC UA: look at these alone. What is below them comes back in beats, to be asked for."),
    ] = []
    depth: Count = 0
    properties: bool = False
    trial: Annotated[
        dict[str, Any],
        Meta(
            description="A device as it is declared, with the tags to read once, 200 at most; nothing else is then asked."
        ),
    ] = {}
    cancel: Annotated[bool, Meta(description="End the walk with this id.")] = False
    expires_at: Microseconds | UnsetType = UNSET


class AddressRead(msgspec.Struct, frozen=True, kw_only=True):
    """On the last page of a request to read: what the device answered.

    Attributes:
        asked: The request to the device, in words.
        bytes: Hexadecimal, as received; "" where the protocol gives none.
        raw: Before scale and unit.
        value, quality, reason: As it would be published.
        problem: What went wrong; "" when there was an answer.
        time: µs since 1970 UTC.
    """

    asked: Annotated[str, Meta(description="What went out, in words.")]
    bytes: Annotated[str, Meta(description="Hexadecimal, as they came; empty where there are none.")]
    raw: Annotated[Any, Meta(description="Before scale and unit.")]
    value: TagValue
    quality: Annotated[str, one_of(quality.name for quality in Quality)]
    reason: Annotated[str, one_of(("", *REASONS))]
    problem: Annotated[str, Meta(description="What went wrong; empty when there was an answer.")]
    time: Microseconds


class TrialRead(AddressRead, frozen=True, kw_only=True):
    """The outcome of one address of a trial.

    Attributes:
        tag: Its name.
        code: The protocol's own; 0 for none.
    """

    tag: Annotated[str, Meta(description="Name of the tag.")]
    code: Annotated[int, Meta(description="The protocol's own code; 0 for none.")] = 0


class CheckedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """`detail.checked` of an item that answers a check: the address of the tag that its path names.

    The item's address is where it is now, "" where that is not known to be another; its type is that on the device, "" where
    the device does not say. An item without a path has `detail.facts` (identity) or `detail.silent` (why nothing is known).

    Attributes:
        presence: As `drivers.examined.Presence`.
        writable: Whether the device takes a write; None where it does not say.
        problem: The device's words.
        code: The protocol's own.
    """

    presence: str = "unknown"
    writable: bool | None = None
    problem: str = ""
    code: int = 0


class BrowsePage(msgspec.Struct, frozen=True, kw_only=True):
    """One of several answers to a request.

    Attributes:
        id: Of the request.
        page: Rising by one, from 1.
        items: `[path, address, type, unit, description, writable, detail]` each.
        done: True on the last page.
        error: Why the walk ended early.
        again: With an error: the same request may be answered soon.
        read: What the device answered to a request to read.
        trials: The outcome of the next addresses of a trial.
    """

    id: str
    page: Annotated[int, Meta(description="Rising by one.", extra_json_schema={"minimum": 1})]
    items: list[
        Annotated[
            list[Any],
            Meta(
                description="[path, address, type, unit, description, writable, detail]",
                extra_json_schema={"minItems": 7, "maxItems": 7},
            ),
        ]
    ]
    done: Annotated[bool, Meta(description="The last page.")]
    error: Annotated[str, Meta(description="Why the walk ended early.")] | UnsetType = UNSET
    again: Annotated[bool, Meta(description="With an error: the same request may be answered soon.")] | UnsetType = (
        UNSET
    )
    read: AddressRead | UnsetType = UNSET
    trials: (
        Annotated[list[TrialRead], Meta(description="Answers to a trial, each once, in the order of the tags.")]
        | UnsetType
    ) = UNSET


_request = msgspec.json.Decoder(BrowseRequest)
_page = msgspec.json.Decoder(BrowsePage)


def decode_page(payload: bytes) -> BrowsePage:
    """Read a page.

    Raises:
        ValueError: Not JSON, or not the shape of a page.
    """
    try:
        return _page.decode(payload)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def decode_request(payload: bytes) -> BrowseRequest:
    """Read a request; a field of another type counts as not given.

    Raises:
        ValueError: Not JSON, or without an id.
    """
    try:
        return _request.decode(payload)
    except msgspec.ValidationError:
        return _leniently(payload)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _leniently(payload: bytes) -> BrowseRequest:
    try:
        body = msgspec.json.decode(payload)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if not isinstance(body, dict) or "id" not in body:
        raise ValueError("a request is an object with an id")
    given = {**body, "id": str(body["id"])}
    return msgspec.convert({name: value for name, value in given.items() if _fits(name, value)}, BrowseRequest)


def _fits(name: str, value: object) -> bool:
    try:
        msgspec.convert({"id": "", name: value}, BrowseRequest)
    except msgspec.ValidationError:
        return False
    return True
