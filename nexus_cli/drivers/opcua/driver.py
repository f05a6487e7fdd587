"""OPC UA over asyncua: opens sessions. Everything else is in `session`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from cryptography.hazmat.primitives import serialization

from nexus_cli.diagnostics.foreign import Door, name_of
from nexus_cli.diagnostics.system import system_words
from nexus_cli.drivers.base import (
    DriverError,
    Opinion,
    Point,
    Request,
    Scope,
)
from nexus_cli.drivers.failure import kind_of
from nexus_cli.drivers.opcua import certificates, groups, identity, refusals, security
from nexus_cli.drivers.opcua.asking import asked
from nexus_cli.drivers.opcua.channel import LOST, Channel, follow_endpoint
from nexus_cli.drivers.opcua.limits import configured
from nexus_cli.drivers.opcua.session import OpcuaSession
from nexus_cli.drivers.secrets import resolve
from nexus_cli.drivers.timeouts import connect_timeout_s, timeout_s
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason

DEFAULT_SESSION_TIMEOUT_MS = 60_000
OFFERED_S = 3.0
"""How long a server that refused us may take to say what it offers."""
NO_MATCH = "No matching endpoints"
"""How asyncua says that a session's answer does not list our endpoint."""
POLICIES: dict[str, type[security_policies.SecurityPolicy]] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}


class OpcuaDriver:
    """See `drivers.base.Driver`.

    Args:
        environ: Where `${env:…}` is looked up; the process environment when left out.
    """

    name = "opcua"
    concurrency = 4

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ

    async def ask(self, session: OpcuaSession, device: DeviceConfig, point: Point, /) -> Opinion:
        """See `plugin.Ask`."""
        return await asked(session, device, point)

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """See `Driver.group`."""
        return groups.group(device, points, fill_gaps=fill_gaps)

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> OpcuaSession:
        """See `Driver.connect`."""
        connection = devices[0].connection
        environ = os.environ if self._environ is None else self._environ
        endpoint = resolve(str(connection["endpoint"]), environ=environ)
        attempt = refusals.Attempt(endpoint, security=str(connection.get("security") or "None"))
        limit_s = connect_timeout_s(connection)
        session: OpcuaSession | None = None
        channel: Channel | None = None
        try:
            async with asyncio.timeout(limit_s):
                with Door(lambda error: _no_session(endpoint, f"the library broke off: {name_of(error)}")):
                    client = client_of(endpoint, connection)
                    user = identity.of(connection, attempt, environ)
                    channel = Channel(client, endpoint=endpoint, timeout_s=timeout_s(connection))
                    first_seen, doubts = await secure(client, attempt, connection, home)
                    await channel.open(user)
                    if first_seen is not None:
                        security.keep(*first_seen)
                    session = OpcuaSession(
                        channel, limits=configured(connection), session_timeout_ms=int(client.session_timeout)
                    )
                    session.doubts = doubts
                    await session.start()
                opened, channel = session, None
                return opened
        except TimeoutError:
            raise DriverError(
                f"{endpoint} did not open a session within {limit_s:g} s", scope=Scope.SESSION, reason=Reason.LINK_LOST
            ) from None
        except ua.UaStatusCodeError as error:
            if (
                not attempt.identifying
                and attempt.security == "None"
                and error.code & 0xFFFF0000 in refusals.NOT_OFFERED
            ):
                await _tell_offered(attempt, connection)
            raise refusals.refused(attempt, error.code) from None
        except ua.UaError as error:
            if NO_MATCH in str(error):
                await _tell_offered(attempt, connection)
            raise _no_session(endpoint, str(error)) from None
        except OSError as error:
            raise refusals.unreachable(attempt, system_words(error), kind=kind_of(error)) from None
        except LOST as error:
            raise _no_session(endpoint, f"it does not answer as an OPC UA server: {type(error).__name__}") from None
        finally:
            if channel is not None:
                await channel.close()


def client_of(endpoint: str, connection: Mapping[str, Any]) -> Client:
    """The library's client with the settings of the connection, not connected and without a user."""
    client = Client(endpoint, timeout=connect_timeout_s(connection))
    client.name = client.description = "NEXUS"
    client.product_uri = "urn:nexus"
    client.session_timeout = int(connection.get("session_timeout") or DEFAULT_SESSION_TIMEOUT_MS)
    return client


async def _tell_offered(attempt: refusals.Attempt, connection: Mapping[str, Any]) -> None:
    """Raise what the server offers instead of our security, when it can be asked."""
    try:
        async with asyncio.timeout(OFFERED_S):
            with Door(lambda error: ConnectionError(name_of(error))):
                offered = await client_of(attempt.endpoint, connection).connect_and_get_server_endpoints()
    except (TimeoutError, ua.UaError, *LOST):
        return
    raise refusals.not_offered(attempt, [_name(found) for found in offered])


async def secure(
    client: Client, attempt: refusals.Attempt, connection: Mapping[str, Any], home: str
) -> tuple[tuple[Path, bytes] | None, list[str]]:
    """Look at the server's endpoints and set policy, mode and certificates.

    Returns:
        Where to keep the server's certificate, and the certificate, when it was seen for the first time; and what is
        doubtful about its certificate or ours.
    """
    endpoint, wanted = attempt.endpoint, attempt.security
    follow = connection.get("override_host") is False
    if wanted == "None" and not follow:
        return None, []
    policy_name, _, mode_name = wanted.partition("/")
    mode = ua.MessageSecurityMode.None_ if wanted == "None" else getattr(ua.MessageSecurityMode, mode_name)
    policy = POLICIES.get(policy_name, security_policies.SecurityPolicyNone)
    offered = await client.connect_and_get_server_endpoints()
    matching = [found for found in offered if found.SecurityMode == mode and found.SecurityPolicyUri == policy.URI]
    if not matching:
        raise refusals.not_offered(attempt, [_name(found) for found in offered])
    if follow and matching[0].EndpointUrl:
        attempt.announced = _netloc(matching[0].EndpointUrl)
        follow_endpoint(client, attempt.announced)
    if wanted == "None":
        return None, []
    server = security.first_certificate(bytes(matching[0].ServerCertificate or b""), endpoint)
    kept = security.check_trust(server, trust=str(connection.get("trust") or ""), endpoint=endpoint, home=home)
    if connection.get("certificate"):
        own, key = Path(str(connection["certificate"])), Path(str(connection["private_key"]))
    else:
        own, key = security.own_certificate(home)
    attempt.certificate = own
    certificate = security.load_certificate(own)
    security.check_pair(own, certificate, key)
    client.application_uri = security.application_uri(certificate) or client.application_uri
    der = certificate.public_bytes(serialization.Encoding.DER)
    await client.set_security(
        policy,
        CertProperties(der, "der"),
        CertProperties(security.load_key(key), "pem"),
        server_certificate=CertProperties(server, "der"),
        mode=mode,
    )
    uri = str(matching[0].Server.ApplicationUri or "") if matching[0].Server is not None else ""
    doubts = [*certificates.doubts(server, endpoint=endpoint, uri=uri), *certificates.own_doubts(own)]
    return None if kept is None else (kept, server), doubts


def _name(found: ua.EndpointDescription) -> str:
    policy = str(found.SecurityPolicyUri).rpartition("#")[2]
    return "None" if policy == "None" else f"{policy.replace('_', '')}/{found.SecurityMode.name}"


def _netloc(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _no_session(endpoint: str, why: str) -> DriverError:
    return DriverError(f"{endpoint} can't be used ({why})", scope=Scope.SESSION, reason=Reason.LINK_LOST)


DRIVER = OpcuaDriver()
