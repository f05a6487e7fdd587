"""Beckhoff ADS as the site language sees it. The driver is not built yet: apply refuses it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.model.driver_kind import Address, DriverKind
from nexus_cli.model.site import Connection, Duration, Tag

TCP_PORT = 48898
"""Source: Beckhoff, ADS/AMS over TCP."""


def _net_id(text: str) -> str:
    parts = text.strip().split(".")
    if len(parts) != 6 or not all(part.isdecimal() and int(part) <= 255 for part in parts):
        raise ValueError(f"'{text}' is not an AMS NetId; write six numbers from 0 to 255, such as 5.12.82.20.1.1")
    return ".".join(str(int(part)) for part in parts)


class AdsConnection(Connection):
    """How to reach a TwinCAT PLC. A route for our NetId and IP address must exist on it."""

    host: str = Field(description="Name or IP address of the PLC.")
    ams_net_id: str = Field(description="The PLC's AMS NetId, such as 5.12.82.20.1.1.")
    port: int = Field(
        default=851, ge=1, le=65_535, description="AMS port of the runtime: 851 (TwinCAT 3) or 801 (TwinCAT 2)."
    )
    source_net_id: str | None = Field(
        default=None, description="Our AMS NetId, as the PLC's route names it; our IP address with .1.1 when left out."
    )
    max_read: int | None = Field(default=None, ge=1, le=500, description="Symbols in one sum command (default 500).")

    @field_validator("ams_net_id")
    @classmethod
    def _target(cls, text: str) -> str:
        return _net_id(text)

    @field_validator("source_net_id")
    @classmethod
    def _source(cls, text: str | None) -> str | None:
        return None if text is None else _net_id(text)

    @field_validator("host")
    @classmethod
    def _plain_host(cls, text: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._\-:]+", text.strip()) and "${" not in text:
            raise ValueError(f"'{text}' is not a host name or IP address")
        return text.strip().lower() if "${" not in text else text


class AdsTag(Tag):
    """One symbol of a PLC, a member or element of it, or raw memory."""

    address: str = Field(
        description="MAIN.x, GVL.motor.fSpeed, MAIN.arr[1], .z (TwinCAT 2), or raw 0x4040,0x7d01c (index group, offset)."
    )
    max_delay: Duration | None = Field(
        default=None, description="How long the PLC may collect changes before it reports them (subscribe)."
    )


def _link_of(connection: Any) -> str:
    # The AMS router of a PLC takes about one TCP connection per client address; its AMS ports share it.
    return f"ads:{connection.host}:{TCP_PORT}"


def _address_of(connection: Any, tag: Any) -> Address:
    address = parse_address(tag.address)
    return Address(address.text, {} if tag.max_delay is None else {"max_delay": tag.max_delay})


KIND = DriverKind(
    name="ads",
    title="Beckhoff ADS",
    built=False,
    modes=("subscribe", "cyclic", "poll"),
    connection=AdsConnection,
    tag=AdsTag,
    link_of=_link_of,
    address_of=_address_of,
    link_keys=frozenset({"host", "source_net_id", "timeout", "pause", "connect_timeout"}),
)
