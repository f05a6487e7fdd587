"""A small protocol for tests of the model: it knows a host, a register and how to refuse one."""

from __future__ import annotations

from pydantic import Field

from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.model.site import Connection, Duration, Tag


class FakeConnection(Connection):
    host: str = Field(min_length=1)
    port: int = Field(default=502, ge=1, le=65535)
    password: str | None = None
    lease: Duration | None = None


class FakeTag(Tag):
    address: int


def _address_of(connection: FakeConnection, tag: FakeTag) -> Address:
    if tag.address < 0:
        raise AddressError(f"register {tag.address} is below 0", hint="registers begin at 0")
    return Address(f"r{tag.address}", {"wide": True} if tag.type == "float64" else {})


def _link_of(connection: FakeConnection) -> str:
    if connection.host == "nowhere":
        raise AddressError("'nowhere' is no host", key="host", hint="name a host")
    return f"fake:{connection.host}:{connection.port}"


FAKE = DriverKind(
    name="fake",
    title="Fake",
    modes=("poll", "subscribe"),
    connection=FakeConnection,
    tag=FakeTag,
    link_of=_link_of,
    address_of=_address_of,
    link_keys=frozenset({"timeout"}),
)
KINDS = {"fake": FAKE}


def site(devices: dict[str, object], **top: object) -> dict[str, object]:
    """A site with these devices on one line."""
    return {
        "nexus": 1,
        "enterprise": "acme",
        "site": "chicago",
        "areas": {"hall": {"lines": {"one": {"devices": devices}}}},
        **top,
    }


def device(tags: dict[str, object] | None = None, **keys: object) -> dict[str, object]:
    """A device of the fake protocol."""
    return {"protocol": "fake", "connection": {"host": "h"}, "tags": tags or {}, **keys}


HALL = ("areas", "hall", "lines", "one", "devices")
