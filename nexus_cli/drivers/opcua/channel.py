"""One connection to one server: asyncua's transport and session services, without any of its background tasks.

`asyncua.Client.connect()` starts three tasks (a watchdog, a supervisor, a channel renewer) that outlive a lost link
and that take a stalled server for a dead one. Here the same steps run separately, the secure channel is renewed
by the next request that finds three quarters of its life gone, and requests that are sent every cycle go out as
ready bytes.

This is the only file that reaches into asyncua's internals: docs/decisions/0008-asyncua-behind-a-channel.md.
Source: asyncua 2.1.0, client/client.py and client/ua_client.py.

See docs/decisions/0008.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary
from cryptography.exceptions import InvalidSignature

from nexus_cli.diagnostics.foreign import Door, name_of
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua import status
from nexus_cli.drivers.opcua.codec import EPOCH_TICKS, DecodeError, read_array, read_builtin, read_node_id
from nexus_cli.drivers.opcua.identity import Identity, activate
from nexus_cli.wire.sample import Reason

T = TypeVar("T")
SERVICE_FAULT = "i=397"
CLOSE_TIMEOUT_S = 1.0
_HEADER = struct.Struct("<qIIiI3x")
_RESULT = struct.Struct("<qII")
MALFORMED = (
    struct.error,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    InvalidSignature,
)
"""What the library's decoders raise on an answer that is not OPC UA, or not quite."""
LOST = (ConnectionError, OSError, EOFError, *MALFORMED)


class Channel:
    """A secure channel with an activated session.

    Attributes:
        client: The library's client; used for the seldom services.
        endpoint: What errors name.
        timeout_s: Longest wait for one answer.
    """

    def __init__(self, client: Client, *, endpoint: str, timeout_s: float) -> None:
        self.client = client
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self.lost: DriverError | None = None
        self._renew_at_s = 0.0
        self._token = b""
        # The library's own gate waits for a reconnect that it would do itself; ours is the supervisor's.
        client.uaclient.pre_request_hook = None

    @property
    def services(self) -> Any:
        """The library's services (`read`, `write`, `browse`, `browse_next`, `read_attributes`), to be run by `call`."""
        return self.client.uaclient.session

    async def open(self, identity: Identity) -> None:
        """Socket, hello, secure channel, session. The caller bounds the time and closes after a failure."""
        await self.client.connect_socket()
        await self.client.send_hello()
        await self._open_secure_channel()
        self._ignore_strangers()
        self._schedule_renewal()
        await self.client.create_session()
        await activate(self.client, identity, {int(one.TokenType) for one in self.client._policy_ids or []})
        self._token = nodeid_to_binary(self.client.uaclient.protocol.authentication_token)

    async def _open_secure_channel(self) -> None:
        """As the library does, which can't read a ServiceFault here: that is how node-opcua says that it does not know us."""
        protocol = self.client.uaclient.protocol
        assert protocol is not None
        plain, codes = protocol._call_callback, []

        def on_response(request_id: int, body: Any) -> None:
            with contextlib.suppress(DecodeError, IndexError, struct.error, TypeError):
                codes.append(response_header(bytes(body.copy()))[0])
            plain(request_id, body)

        protocol._call_callback = on_response
        try:
            await self.client.open_secure_channel()
        except MALFORMED:
            if not codes or not codes[-1] >> 31:
                raise
            raise ua.UaStatusCodeError(codes[-1]) from None
        finally:
            del protocol._call_callback

    def _ignore_strangers(self) -> None:
        """Drop answers to requests that we did not send; the library ends the connection over an unknown request id, and
        looks at no handle. Request id and handle count alike from the connection's beginning on, in the library and here.

        Source: OPC 10000-6 §6.7.2 (RequestId), OPC 10000-4 §7.34 (ResponseHeader). Handle 0 is of a server that could not
        read the request.
        """
        protocol = self.client.uaclient.protocol
        assert protocol is not None
        plain, waiting = protocol._call_callback, protocol._callbackmap

        def on_response(request_id: int, body: Any) -> None:
            if request_id not in waiting:
                return
            with contextlib.suppress(DecodeError, IndexError, struct.error, TypeError):
                handle = response_handle(bytes(body.copy()))
                if handle not in (0, request_id & 0xFFFFFFFF):
                    return
            plain(request_id, body)

        protocol._call_callback = on_response

    async def call(self, what: str, service: Callable[[], Awaitable[T]]) -> T:
        """Run a service of the library within the time-out.

        Args:
            what: For people, begins an error's message.
            service: Makes the awaitable, so that nothing is started on a dead link.

        Raises:
            DriverError: Scope by the server's answer; SESSION for everything else.
        """
        self._check_alive()
        try:
            async with asyncio.timeout(self.timeout_s):
                with self._door(what):
                    await self._renew()
                    return await service()
        except TimeoutError:
            raise self.lose(self._silence(what)) from None
        except ua.UaStatusCodeError as error:
            raise self._remember(status.service_error(error.code, what)) from None
        except (ua.UaError, *LOST) as error:
            raise self.lose(self._broken(what, error)) from None

    async def service(self, what: str, request: Any, response: type[T]) -> T:
        """Run a service that the library only offers with tasks of its own.

        Args:
            what: For people.
            request: The library's request.
            response: The class of its answer.

        Raises:
            DriverError: As `call`.
        """

        async def send() -> T:
            answer = struct_from_binary(response, await self.client.uaclient._send_request(request))
            answer.ResponseHeader.ServiceResult.check()
            return answer

        return await self.call(what, send)

    async def request(self, what: str, type_id: int, body: bytes) -> tuple[bytes, int]:
        """Send a prepared request and wait for its answer.

        Args:
            what: For people.
            type_id: Numeric id of the request's binary encoding.
            body: The encoded parameters.

        Returns:
            The answer's bytes and where its parameters begin.

        Raises:
            DriverError: As `call`.
        """
        self._check_alive()
        try:
            async with asyncio.timeout(self.timeout_s):
                with self._door(what):
                    await self._renew()
                    answer = await self.send(type_id, body, timeout_ms=int(self.timeout_s * 1000))
        except TimeoutError:
            raise self.lose(self._silence(what)) from None
        except ua.UaStatusCodeError as error:
            raise self._remember(status.service_error(error.code, what)) from None
        except (ua.UaError, *LOST) as error:
            raise self.lose(self._broken(what, error)) from None
        try:
            data = bytes(answer)
            code, at = response_header(data)
        except (DecodeError, IndexError, struct.error) as error:
            raise self.lose(self._broken(what, error)) from None
        if code >> 30:
            raise self._remember(status.service_error(code, what))
        return data, at

    def send(self, type_id: int, body: bytes, *, timeout_ms: int) -> asyncio.Future[Any]:
        """Put a prepared request on the wire; the future holds the answer's buffer.

        Raises:
            ConnectionError: The socket is closed.
        """
        protocol = self.client.uaclient.protocol
        if protocol is None or protocol.transport is None:
            raise ConnectionError("the connection is closed")
        protocol._request_handle += 1
        protocol._request_id += 1
        protocol.revolve_security_token()
        header = _HEADER.pack(
            int(time.time() * 10_000_000) + EPOCH_TICKS, protocol._request_handle & 0xFFFFFFFF, 0, -1, timeout_ms
        )
        message = b"".join((b"\x01\x00", struct.pack("<H", type_id), self._token, header, body))
        binary = protocol._connection.message_to_binary(
            message, message_type=ua.MessageType.SecureMessage, request_id=protocol._request_id
        )
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        protocol._callbackmap[protocol._request_id] = answer
        protocol.transport.write(binary)
        return answer

    async def close(self) -> None:
        """End the session and free the socket; never raises, and waits at most about a second."""
        protocol = self.client.uaclient.protocol
        if protocol is None:
            return
        if self.lost is None and protocol.transport is not None:
            with contextlib.suppress(TimeoutError, ua.UaError, *LOST):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    with Door(lambda error: ConnectionError(name_of(error))):
                        await self.services.close_session(True)
                        await self.client.close_secure_channel()
        self.lost = self.lost or DriverError("the session is closed", scope=Scope.SESSION, reason=Reason.LINK_LOST)
        transport = protocol.transport
        self.client.disconnect_socket()
        if transport is not None:
            transport.abort()  # a half-open peer would keep a closing transport for minutes
        for answer in list(protocol._callbackmap.values()):
            answer.cancel()
        protocol._callbackmap.clear()

    @property
    def lifetime_s(self) -> float:
        """How long the channel's token lives, in seconds."""
        return float(self.client.secure_channel_timeout / 1000)

    async def _renew(self) -> None:
        if time.monotonic() < self._renew_at_s:
            return
        self._schedule_renewal()
        await self.client.open_secure_channel(renew=True)
        self._schedule_renewal()

    def _schedule_renewal(self) -> None:
        # Source: OPC 10000-4 §5.6.2.1: clients renew after 75 % of the lifetime.
        self._renew_at_s = time.monotonic() + self.client.secure_channel_timeout / 1000 * 0.75

    def _door(self, what: str) -> Door:
        """The library waits by `wait_for2`, whose cancellation carries a result when a time-out meets the answer."""
        return Door(lambda error: self.lose(self._broken(what, error)))

    def _check_alive(self) -> None:
        if self.lost is not None:
            raise self.lost

    def _remember(self, error: DriverError) -> DriverError:
        return self.lose(error) if error.scope is Scope.SESSION else error

    def lose(self, error: DriverError) -> DriverError:
        """Take the session for over, and why: what is sent from now on fails with it. Returns it to be raised."""
        self.lost = self.lost or error
        return error

    def _silence(self, what: str) -> DriverError:
        return DriverError(
            f"{self.endpoint} did not answer within {self.timeout_s:g} s ({what})",
            scope=Scope.SESSION,
            reason=Reason.DEVICE_TIMEOUT,
        )

    def _broken(self, what: str, error: BaseException) -> DriverError:
        return DriverError(
            f"{self.endpoint}: the connection broke ({what}: {str(error) or type(error).__name__})",
            scope=Scope.SESSION,
            reason=Reason.LINK_LOST,
        )


def follow_endpoint(client: Client, netloc: str) -> None:
    """Connect to another address than the one that was asked for its endpoints."""
    client._server_url = client._server_url._replace(netloc=netloc)


def response_handle(data: bytes) -> int:
    """Handle of the request that an answer is to. Raises DecodeError, struct.error, IndexError: not a response."""
    _, at = read_node_id(data, 0)
    _, handle, _ = _RESULT.unpack_from(data, at)
    return int(handle)


def response_header(data: bytes) -> tuple[int, int]:
    """Service result of an answer, and where its parameters begin. A ServiceFault has no parameters.

    Raises:
        DecodeError: Not a response.
    """
    type_id, at = read_node_id(data, 0)
    _, _, code = _RESULT.unpack_from(data, at)
    at += _RESULT.size
    if data[at]:
        _, at = read_builtin(25, data, at)
    else:
        at += 1
    _, at = read_array(12, data, at)
    _, at = read_builtin(22, data, at)
    if type_id == SERVICE_FAULT and not code >> 30:
        raise DecodeError("a ServiceFault without a bad result")
    return code, at
