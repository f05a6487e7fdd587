"""What a broker says that it can do, asked with one MQTT 5 CONNECT; and why a connection fails, in one sentence.

We use MQTT 3.1.1, in which a broker can't say what it can't do: it closes the connection. In MQTT 5 the
CONNACK says it. So when a connection fails, and before `nexus up` starts anything, one CONNECT of version 5 asks.

Source: MQTT 5.0, 3.2.2.3 "CONNACK Properties".
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.mqtt.events import Accepted, Closed, Refused
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.properties import Values
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.tls import no_tls, tls_context, tls_trouble
from nexus_cli.wire.url import BrokerUrl, parse_broker_url

TIMEOUT_S = 2.0
SMALLEST_PACKET = 16 * 1024
"""What must pass whole: a command, a notice, the health of a gateway. Frames are split to whatever passes."""
QOS = 2
"""Commands are published with it, so that none is carried out twice."""
MOST_ANSWER = 65_536
"""Most bytes that an answer may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What the CONNACK says.

    Attributes:
        maximum_qos: 0 to 2.
        retain: It keeps retained messages.
        packet_bytes: Largest packet; 0 is no limit of its own.
        wildcard: It takes subscriptions with `+` and `#`.
        shared: It takes `$share/…`.
    """

    maximum_qos: int = 2
    retain: bool = True
    packet_bytes: int = 0
    wildcard: bool = True
    shared: bool = True

    def lacks(self) -> list[str]:
        """What we need and it can't do, each in a few words."""
        found = []
        if not self.retain:
            found.append("it keeps no retained messages")
        if self.maximum_qos < QOS:
            found.append(f"it takes QoS {self.maximum_qos} at most, and commands go with QoS {QOS}")
        if 0 < self.packet_bytes < SMALLEST_PACKET:
            found.append(f"it takes packets of {self.packet_bytes} bytes at most, and {SMALLEST_PACKET} are needed")
        if not self.wildcard:
            found.append("it takes no subscription with + or #")
        return found


async def require_able(settings: Settings) -> None:
    """Raise NX6015 when the broker says that it can't do what is needed; one that says nothing is let pass."""
    error = await explain(settings, None)
    if error is not None and error.code == "NX6015":
        raise error


async def explain(settings: Settings, error: NexusError | None) -> NexusError | None:
    """A better reason than "does not answer", when one can be had; else the error that came in.

    Never longer than a few seconds. It opens one connection, two where the protocol of the server is not clear.
    """
    url = parse_broker_url(settings.broker_url)
    if url.websocket:
        return error  # what closes a WebSocket is mostly a proxy, which says so itself
    try:
        return await asyncio.get_running_loop().run_in_executor(None, _explain, url, settings, error)
    except NexusError as better:
        return better


def _explain(url: BrokerUrl, settings: Settings, error: NexusError | None) -> NexusError | None:
    try:
        code, abilities = ask(url, settings)
    except (OSError, ValueError) as trouble:
        # It closed before it answered, or said something that is no CONNACK.
        return (_tls_trouble(url, settings, trouble) if url.tls else _speaks_tls(url)) or error
    if code == 0 and (missing := abilities.lacks()):
        return NexusError(
            f"The broker at {url} can't do what nexus needs: {', and '.join(missing)}.",
            code="NX6015",
            hint="allow it in the broker's configuration, or name another broker in NEXUS_BROKER_URL",
            retriable=True,
        )
    if code == 0 and error is not None and _unaccepted(error.cause) and not _takes_3(url, settings):
        return NexusError(
            f"The broker at {url} supports MQTT 5 only, and nexus uses MQTT 3.1.1.",
            code="NX6015",
            cause=error.cause,
            hint="allow MQTT 3.1.1 (protocol level 4) in the broker's configuration",
            retriable=True,
        )
    return error


def _unaccepted(cause: str) -> bool:
    said = cause.lower()
    return any(word in said for word in ("before it accepted", "protocol version", "did not accept the connection"))


def _takes_3(url: BrokerUrl, settings: Settings) -> bool:
    """Whether it takes version 3.1.1 by now: a broker that was just started closed the first try for no reason."""
    try:
        return ask(url, settings, level=4)[0] == 0
    except (OSError, ValueError):
        return False


def _tls_trouble(url: BrokerUrl, settings: Settings, trouble: BaseException) -> NexusError | None:
    shown = bool(settings.broker_cert)
    found = tls_trouble(trouble, url, has_certificate=shown)
    if found is not None:
        return found
    try:
        # In TLS 1.3 a refused certificate is reported after the handshake, and lost when the connection is closed at once;
        # in 1.2 it is part of it.
        ask(url, settings, latest=ssl.TLSVersion.TLSv1_2)
    except ssl.SSLError as reported:
        found = tls_trouble(reported, url, has_certificate=shown)
    except (OSError, ValueError):
        pass
    if found is None and _answers_plainly(url):
        found = no_tls(url, cause=str(trouble))
    return found


def _answers_plainly(url: BrokerUrl) -> bool:
    """Whether a listener without TLS was addressed with it. It gets neither user nor password."""
    plain = BrokerUrl(scheme="mqtt", host=url.host, port=url.port)
    try:
        ask(plain, Settings(), level=4)
    except (OSError, ValueError):
        return False
    return True


def _speaks_tls(url: BrokerUrl) -> NexusError | None:
    """Whether a TLS listener was addressed without TLS: it closes at the first byte that is no handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only whether it shakes hands
    try:
        with (
            socket.create_connection((url.host, url.port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=url.host),
        ):
            pass
    except (OSError, ValueError):
        return None
    return NexusError(
        f"The server at {url} requires TLS.",
        code="NX6010",
        cause="it closes connections without",
        hint=f"write mqtts://{url.host}:{url.port} in NEXUS_BROKER_URL, and its CA in NEXUS_BROKER_CA",
        retriable=True,
    )


def ask(
    url: BrokerUrl, settings: Settings, *, level: int = 5, latest: ssl.TLSVersion | None = None
) -> tuple[int, Abilities]:
    """The code that answers a CONNECT, and what the broker says that it can do (in version 5 alone). Blocking.

    Raises:
        OSError: It can't be reached, or closed before it answered (ssl.SSLError is one).
        ValueError: What it said is no CONNACK.
    """
    context = tls_context(url, settings)
    if context is not None and latest is not None:
        context.maximum_version = latest
    options = Options(
        client_id=client_id(settings, "ask"),
        level=level,
        keepalive_s=10,
        user=settings.broker_user,
        password=settings.broker_password if settings.broker_user else "",
    )
    with contextlib.ExitStack() as stack:
        sock: socket.socket = stack.enter_context(socket.create_connection((url.host, url.port), timeout=TIMEOUT_S))
        if context is not None:
            sock = stack.enter_context(context.wrap_socket(sock, server_hostname=url.host))
        sock.settimeout(TIMEOUT_S)
        session = Session(options, now_s=0.0)
        sock.sendall(session.take(0.0))
        answer = _answer(sock, session)
        session.disconnect()
        with contextlib.suppress(OSError):
            sock.sendall(session.take(0.0))
        return answer


def _answer(sock: socket.socket, session: Session) -> tuple[int, Abilities]:
    received = 0
    while received <= MOST_ANSWER:
        data = sock.recv(4096)
        if not data:
            raise ConnectionError("the broker closed the connection before it answered")
        received += len(data)
        for event in session.receive(data, 0.0):
            if isinstance(event, Accepted):
                return 0, abilities_of(event.properties)
            if isinstance(event, Refused):
                return event.code, Abilities()
            if isinstance(event, Closed):
                raise ValueError(event.why)
    raise ValueError(f"the answer has more than {MOST_ANSWER} bytes")


def abilities_of(values: Values) -> Abilities:
    """Those that the properties of a CONNACK name; without them, all of them."""
    return Abilities(
        maximum_qos=values.get("maximum_qos", 2),
        retain=bool(values.get("retain_available", 1)),
        packet_bytes=values.get("maximum_packet_size", 0),
        wildcard=bool(values.get("wildcard_subscription_available", 1)),
        shared=bool(values.get("shared_subscription_available", 1)),
    )
