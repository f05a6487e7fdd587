"""Limits the HTTP connections of a role: closes half-open and slow ones, and bounds their number and their heads.

uvicorn times only the pause between two requests. A connection that never completes its first request, or reads no
response, would stay open as long as its client wants; a thousand of them use up the process's file descriptors. The head of a
request and its trailers are not bounded there either, and trailers are taken for headers.

See docs/decisions/0079.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

HEAD_S = 10.0
"""Time for a request's head, after the connect or its first byte, in seconds."""
ANSWER_S = 30.0
"""A client must continue to read its response within this time, in seconds."""
MOST_CONNECTIONS = 400
"""Limit of open connections; above it the oldest without a complete request is closed, else the one that has not read
its response for longest, else the newest."""
LINGER_S = 2.0
"""How long data of a refused client is read and discarded, in seconds."""
BACKLOG = 100
"""Connections accepted per iteration of the event loop; the rest wait in the kernel."""
LARGEST_HEAD = 32 * 1024
"""Limit of a request's head, in bytes."""
LARGEST_JOINED = 64 * 1024
"""What is larger is written by itself, in bytes: joining would copy it."""
OTHER_FILES = 100
"""Files that a role has open beside its connections: broker, database, logs."""


class HeadTooLargeError(Exception):
    """A head beyond the limit; the parser ends with it, and the request is answered with 400."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with a deadline and a limit for each request head, and a deadline for each response.

    Attributes:
        most: Limit of open connections of the server; 0 for `MOST_CONNECTIONS`.
    """

    most = 0
    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = _raw_bytes = 0
    _fed = b""
    _declined = False

    def connection_made(self, transport: Any) -> None:
        """Count it, and wait for its first request."""
        self._guarded = _Lingering(transport, self)
        super().connection_made(self._guarded)  # type: ignore[arg-type]
        if len(self.connections) > self._most():
            self._make_room()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove it from the count."""
        self._stop_waiting()
        self._resumed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle data; a complete head ends its deadline."""
        if self.transport.is_closing():
            return  # the rest of a body that was refused
        if self._head_timer is None and self._idle():
            self._await_head()  # the next request on a kept-alive connection
        continued = self._in_head
        self._fed = data
        super().data_received(data)
        if continued and self._in_head:  # a line that does not end is with the parser, uncounted
            self._raw_bytes += len(data)
            if self._raw_bytes > LARGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes, self._raw_bytes = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. A trailer is not one: rights were checked before it arrived."""
        self._count(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: its deadline ends."""
        self._in_head, self._head_bytes = False, 0
        self._stop_waiting()
        self._declined = self._offers_other()
        if not self._declined:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is complete."""
        if not self._declined:
            super().on_message_complete()

    def _offers_other(self) -> bool:
        """Whether the request offers a protocol that is not spoken here, as Java's client offers HTTP/2."""
        parser = self.parser
        return bool(parser.should_upgrade() and parser.get_method() != b"CONNECT") and not self._should_upgrade()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > LARGEST_HEAD:
            raise HeadTooLargeError

    def handle_websocket_upgrade(self) -> None:
        """The connection is a WebSocket's from here on, and its protocol's (`socket_guard`)."""
        self._stop_waiting()
        self._resumed()
        self._guarded.write_at_once()
        super().handle_websocket_upgrade()

    def _should_upgrade(self) -> bool:
        # The WebSocket library fails on a handshake that is not a GET of HTTP/1.1, instead of refusing it.
        return bool(self.parser.get_method() == b"GET" and self.parser.get_http_version() == "1.1") and bool(
            super()._should_upgrade()
        )

    def _unsupported_upgrade_warning(self) -> None:
        """The parser stops at the head of a request that offers another protocol, and would leave out its body.

        Such an offer is not taken (RFC 9110 §7.8): the request is read once more, without the offer.
        """
        stopped = sys.exc_info()[1]
        if not self._declined or not isinstance(stopped, httptools.HttpParserUpgrade):
            return
        self._declined = False
        rest = self._fed[stopped.args[0] :]
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        head = [method + b" " + self.url + b" HTTP/" + version]
        head += [name + b": " + value for name, value in _without_offer(self.headers)]
        self.parser = httptools.HttpRequestParser(self)
        with contextlib.suppress(AttributeError):  # as uvicorn sets it; httptools 0.6.4 has none
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join([*head, b"", rest]))

    def pause_writing(self) -> None:
        """The client reads more slowly than the server writes."""
        super().pause_writing()
        if self._answer_timer is None:
            self._answer_timer = self.loop.call_later(ANSWER_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client continues to read."""
        self._resumed()
        super().resume_writing()

    @property
    def has_request(self) -> bool:
        """True while a request is answered."""
        return not self._idle()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _resumed(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._idle():
            self.transport.abort()

    def _most(self) -> int:
        return self.most or MOST_CONNECTIONS

    def _make_room(self) -> None:
        """Close the connection that has waited longest for its head, else the slowest reader, else the newest."""
        open_ = [each for each in self.connections if each is not self and not each.transport.is_closing()]
        if len(open_) < self._most():
            return  # some were closed in this iteration already
        others = [each for each in open_ if isinstance(each, GuardedProtocol)]
        waiting = [each for each in others if not each.has_request] or [each for each in others if each.is_slow]
        min(waiting, key=lambda each: each._deadline(), default=self).transport.abort()

    @property
    def has_unread(self) -> bool:
        """True while the client still sends a request that was already answered."""
        return self.cycle is not None and bool(self.cycle.more_body)

    @property
    def is_slow(self) -> bool:
        """True while its client does not read the response."""
        return self._answer_timer is not None

    def _deadline(self) -> float:
        timer = self._head_timer or self._answer_timer
        return float("inf") if timer is None else timer.when()


def _without_offer(headers: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"connection":
            kept = [each.strip() for each in value.split(b",") if each.strip().lower() != b"upgrade"]
            if kept:
                yield name, b", ".join(kept)
        elif name != b"upgrade":
            yield name, value


def limited(most: int) -> type[GuardedProtocol]:
    """The protocol of a server with a limit of its own."""

    class Limited(GuardedProtocol):
        pass

    Limited.most = most
    return Limited


def allow_files(count: int) -> int:
    """Let this process have so many more connections than other files, as far as it may; gives how many it can have."""
    if resource is None:
        return count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return count if soft == resource.RLIM_INFINITY else min(count, max(1, soft - OTHER_FILES))


class _Lingering:
    """A transport that delays its close while a request is still being sent, so that the response can arrive.

    Closing a socket with unread data resets the connection, and the client may lose the response (RFC 9112 §9.6).

    It also writes the head of an answer and its body together: each write is a call of the kernel, which costs a small answer
    more than all else.
    """

    def __init__(self, inner: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._inner, self._protocol, self._lingers = inner, protocol, False
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Write it; what is small waits for what the same turn of the loop writes next."""
        if self._held:
            held, self._held = self._held, b""
            self._inner.write(held + data if len(data) <= LARGEST_JOINED else held)
            if len(data) <= LARGEST_JOINED:
                return
        elif data and len(data) <= LARGEST_JOINED:
            self._held = bytes(data)
            self._protocol.loop.call_soon(self.flush)
            return
        self._inner.write(data)

    def flush(self) -> None:
        """Write what waits."""
        if self._held:
            held, self._held = self._held, b""
            self._inner.write(held)

    def write_at_once(self) -> None:
        """From here on nothing waits: a WebSocket's messages are whole."""
        self.flush()
        self.write = self._inner.write  # type: ignore[method-assign]

    def is_closing(self) -> bool:
        """True once it is closed on this side."""
        return self._lingers or self._inner.is_closing()

    def close(self) -> None:
        """Close it; while the client still sends, only half-close it and discard the rest."""
        if self.is_closing():
            return
        self.flush()
        if not self._protocol.has_unread or not self._inner.can_write_eof():
            self._inner.close()
            if self._inner.get_write_buffer_size():  # else its client keeps it open for as long as it does not read
                self._protocol.loop.call_later(ANSWER_S, self._inner.abort)
            return
        self._lingers = True
        self._inner.write_eof()
        self._inner.resume_reading()
        self._protocol.loop.call_later(LINGER_S, self._inner.abort)

    def abort(self) -> None:
        """Close it at once."""
        self._inner.abort()
