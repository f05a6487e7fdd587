"""`nexus adopt access --from-broker`: users and rules of a running Mosquitto or EMQX. Only asks; nothing is changed there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from nexus_cli.access.brokers.emqx.present import DATABASE
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.discover.adopt.dynsec import of_dynsec
from nexus_cli.discover.adopt.emqx import EmqxTables, of_emqx
from nexus_cli.discover.mqtt import settings_for
from nexus_cli.discover.target import Target
from nexus_cli.project.adopt import Adoption, adopted
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.dynamic_security import ANSWER_S, read_dynamic_security
from nexus_cli.wire.emqx import AUTHENTICATOR, Emqx
from nexus_cli.wire.emqx_request import EmqxRequests
from nexus_cli.wire.emqx_settings import load_emqx
from nexus_cli.wire.url import parse_broker_url

EMQX = "emqx"
MQTT = ("mqtt", "mqtts", "ws", "wss")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAsked:
    """Which broker, and who asks.

    Attributes:
        address: `mqtt://…` of a Mosquitto with dynamic security, or `emqx` for the REST API that NEXUS_EMQX_URL names.
        user, password: At Mosquitto; the password is a reference. EMQX's key comes from NEXUS_EMQX_* alone.
    """

    address: str
    user: str | None = None
    password: str | None = None


async def access_of_broker(asked: BrokerAsked, *, into: Path, settings: Settings | None = None) -> Adoption:
    """Its users and rules as `access:` of a site; nothing is written.

    Raises:
        NexusError: NX4207 the address; NX4204 to NX4206, NX6010 to NX6012, NX6601 Mosquitto; NX7025 to NX7028, NX7033
            EMQX; as `adopt.adopted`.
    """
    settings = settings or load_settings()
    scheme = urlsplit(asked.address).scheme.lower() if "://" in asked.address else ""
    if asked.address == EMQX:
        if asked.user is not None or asked.password is not None:
            raise NexusError(
                "EMQX is asked with an API key, not with a user.",
                code="NX4207",
                hint="NEXUS_EMQX_KEY and NEXUS_EMQX_SECRET_FILE (docs/emqx.md)",
            )
        reach = load_emqx(broker_ca=settings.broker_ca)
        async with Emqx(EmqxRequests(reach)) as emqx:
            foreign = of_emqx(await emqx_tables(emqx))
        return adopted(foreign, source=f"{reach.url} ({foreign.broker})", into=into)
    if scheme not in MQTT:
        raise NexusError(
            f"'{one_line(asked.address)[:100]}' is no broker whose rights can be asked for.",
            code="NX4207",
            hint="mqtt://HOST of a Mosquitto with dynamic security, or `emqx` with NEXUS_EMQX_URL",
        )
    url = str(parse_broker_url(asked.address))
    read = await read_dynamic_security(_mosquitto(asked, settings), answer_s=ANSWER_S)
    foreign = of_dynsec(orjson.dumps(read).decode())
    return adopted(foreign, source=f"{url} ({foreign.broker})", into=into)


def _mosquitto(asked: BrokerAsked, settings: Settings) -> Settings:
    """Our own account for our own broker, else the one that was named."""
    keys = {"user": asked.user, "password": asked.password}
    given = {key: value for key, value in keys.items() if value is not None}
    return settings_for(Target(text=asked.address, protocol="mqtt", connection=given), settings)


async def emqx_tables(emqx: Emqx) -> EmqxTables:
    """Read everything that says who may do what, twice: pages of a table that changes may lack a row.

    Raises:
        NexusError: As `Emqx`; NX4206, something was changed meanwhile.
    """
    found = await _tables(emqx)
    if await _tables(emqx) != found:
        raise NexusError(
            f"The rights of EMQX at {emqx.url} were changed while they were read.", code="NX4206", retriable=True
        )
    return found


async def _tables(emqx: Emqx) -> EmqxTables:
    version = await emqx.version()
    authenticators = await emqx.authenticators()
    login: Mapping[str, object] | None = next((one for one in authenticators if one.get("id") == AUTHENTICATOR), None)
    sources = await emqx.sources()
    database = any(one.get("type") == DATABASE for one in sources)
    return EmqxTables(
        version=tuple(int(each) for each in re.findall(r"\d+", version)[:3]),
        authenticators=[str(one.get("id")) for one in authenticators],
        by_id=login is not None and login.get("user_id_type", "username") == "clientid",
        users=await emqx.users("") if login is not None else {},
        sources=[_plain(one) for one in sources],
        user_rules=await emqx.rules("") if database else {},
        client_rules=await emqx.client_rules() if database else {},
        rules_for_all=await emqx.rules_for_all() if database else [],
        file=await emqx.file_rules(),
        no_match=str((await emqx.settings()).get("no_match", "allow")),
    )


def _plain(source: Mapping[str, object]) -> dict[str, object]:
    """What counts of a source; the rest may hold passwords of databases."""
    return {
        "type": str(source.get("type")),
        "enable": source.get("enable") is not False,
        "precondition": str(source.get("precondition") or ""),
    }
