"""An open connection to one CPU: reads, writes and every failure sorted by how far it reaches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

from nexus_cli.drivers.base import (
    EVERYTHING,
    Browsed,
    BrowseOptions,
    DriverError,
    Effect,
    Fault,
    Point,
    ReadResult,
    Request,
    Scope,
    Sink,
    Subscription,
    Taken,
)
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.s7 import userdata
from nexus_cli.drivers.s7.browse import browse
from nexus_cli.drivers.s7.channel import Channel
from nexus_cli.drivers.s7.field import field_of
from nexus_cli.drivers.s7.groups import Block, Frame, frame_of, group_points
from nexus_cli.drivers.s7.pdu import (
    FRAME_HEADER,
    OK,
    Item,
    Malformed,
    error_of,
    read_items,
    write_codes,
    write_job,
)
from nexus_cli.drivers.s7.status import NO_OBJECT, NOT_ALLOWED, job_error, reason_of, refusal
from nexus_cli.drivers.s7.watch import SILENT_LATER_S, Silence, Watch
from nexus_cli.drivers.s7.writing import Write, heads_of, jobs_of, plan_write, with_heads
from nexus_cli.drivers.transport import ConnectionLost, Reply, RequestTimeout
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason, Value

_log = logging.getLogger("nexus.link")


class S7Session:
    """An open link. See `nexus_cli.drivers.base.Session`."""

    def __init__(self, channel: Channel, *, pause_s: float, silence: Silence | None = None) -> None:
        """Use an open channel.

        Args:
            channel: To the CPU.
            pause_s: Rest between two jobs.
            silence: Where it is kept that this CPU must not be asked for its state.
        """
        self._channel = channel
        self.watch = Watch()
        self._silence = silence or Silence()
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._free_at_s = self._loop.time() + pause_s
        self._turn = asyncio.Lock()
        self._smaller: dict[Block, tuple[tuple[Request, ...], tuple[tuple[int, ...], ...]]] = {}
        self._gone: set[tuple[str, int]] = set()
        self._refused: dict[Item, int] = {}
        self._heard = self._forgiven = False
        self._only_looked = False

    @property
    def pdu(self) -> int:
        """Bytes of a PDU as negotiated."""
        return self._channel.pdu

    @property
    def name(self) -> str:
        """The CPU's address, and the TSAP that distinguishes it from others at the same address."""
        return f"{self._channel.host}:{self._channel.port}/{self._channel.tsap:04x}"

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """Set the devices behind this link: their tags may have changed."""
        self._smaller.clear()
        self._gone.clear()

    async def read(self, request: Request) -> ReadResult:
        """Carry out one read. Raises DriverError.

        A refused item costs the tags in it; one of several tags raises scope REQUEST once, to be read tag by tag. What a
        CPU that does not run has is uncertain.
        """
        if self._loop.time() >= self.watch.due_s:
            await self.look()
        result = await self._read(request)
        if (stopped := self.watch.fault) is None:
            return result
        return result._replace(faults={**dict.fromkeys(range(len(request.points)), stopped), **result.faults})

    def send(self, request: Request, taken: Taken) -> Reply | None:
        """See `drivers.base.Prompt`. A reply in which an item was refused is asked for again, to be sorted out."""
        block: Block = request.detail
        if block.long or self._pause_s or self._turn.locked() or self._only_looked or not self._heard:
            return None
        if self.watch.fault is not None or self._refused or self._loop.time() >= self.watch.due_s:
            return None
        frame, decode = block.whole()
        if self._exceeds(block, frame):
            return None

        def done(reply: bytes | None, error: Exception | None) -> None:
            try:
                if reply is None:
                    self._unheard(error, request.text)
                plain = len(reply) == frame.reply_size and frame.heads(reply) == frame.good
                result = decode(reply) if plain else None
            except Exception as refused:  # noqa: BLE001 - as `read` would raise it: who asked is the boundary
                taken(refused)
            else:
                taken(result)

        try:
            return self._channel.post(frame.template, done)
        except ConnectionLost:
            return None

    def _exceeds(self, block: Block, frame: Frame) -> bool:
        """Whether a request was planned for longer PDUs than the CPU grants."""
        return block.pdu > self.pdu and max(len(frame.template), frame.reply_size) > self.pdu + FRAME_HEADER

    async def look(self) -> None:
        """Ask for the CPU's state. Raises DriverError, SESSION: it does not survive the question, and is not asked again
        for a while."""
        fresh = not self._heard
        try:
            reply = await self._ask(userdata.ask_szl(*userdata.STATE), "read the CPU's state")
        except DriverError:
            self._silence.keep(self.name, self._loop.time() + SILENT_LATER_S)
            raise
        self._only_looked = fresh
        try:
            answer = userdata.answer(reply)
        except Malformed:
            code = 0
        else:
            code = 0 if answer.error else userdata.state_code_of(answer.data)
        if changed := self.watch.see(code, self._loop.time()):
            level = logging.INFO if self.watch.fault is None else logging.WARNING
            _log.log(level, "CPU state", extra={"fields": {"cpu": self.name, "detail": changed}})

    async def _read(self, request: Request) -> ReadResult:
        block: Block = request.detail
        if block.long:
            return await self._read_long(request, block)
        frame, decode = block.whole()
        if self._exceeds(block, frame):
            return await self._read_smaller(request, block)
        reply = await self._ask(frame.template, request.text)
        if len(reply) == frame.reply_size and frame.heads(reply) == frame.good:
            if self._refused:
                self._accepted(block.items)
            return decode(reply)
        return await self._sort_out(request, block, reply)

    async def _sort_out(self, request: Request, block: Block, reply: bytes) -> ReadResult:
        """A reply that is not the plain one: some item was refused, or its bytes lie otherwise."""
        answers = self._items(reply, block.items, request.text)
        bad = {number: code for number, (code, _) in enumerate(answers) if code != OK}
        for number, code in bad.items():
            await self._judge(block, number, code)
        image = b"".join(data or bytes(item.size) for item, (_, data) in zip(block.items, answers, strict=True))
        values, faults = block.image()(image)
        faults = dict(faults)
        for place, span in enumerate(block.spans):
            if span in bad:
                values[place] = None
                faults[place] = Fault(reason_of(bad[span]), bad[span])
        self._accepted([item for number, item in enumerate(block.items) if number not in bad])
        return ReadResult(values, faults)

    async def _judge(self, block: Block, number: int, code: int) -> None:
        """Say it once; raise when it may be one tag of several that is wrong."""
        item = block.items[number]
        if not block.alone(number) and not await self._missing(item, code):
            raise DriverError(
                refusal(code, item), scope=Scope.REQUEST, retriable=False, reason=reason_of(code), code=code
            )
        if self._refused.get(item) != code:
            self._refused[item] = code
            self._tell("address refused", refusal(code, item))

    async def _missing(self, item: Item, code: int) -> bool:
        """Whether the whole block is refused: then its tags need not be asked for one by one."""
        place = (item.area, item.db)
        if code not in (NO_OBJECT, NOT_ALLOWED):
            return False
        if place not in self._gone:
            probe = Item(item.area, item.db, 0, 2 if item.area in ("T", "C") else 1)
            ((found, _),) = await self._fetch((probe,), f"read {probe.text}")
            if found != code:
                return False
            self._gone.add(place)
        return True

    def _accepted(self, items: Sequence[Item]) -> None:
        for item in items:
            self._gone.discard((item.area, item.db))
            if self._refused.pop(item, None) is not None:
                _log.info("address answers", extra={"fields": {"item": item.text}})

    def _tell(self, what: str, detail: str) -> None:
        _log.warning(what, extra={"fields": {"cpu": self.name, "detail": detail}})

    async def _read_long(self, request: Request, block: Block) -> ReadResult:
        """A value longer than a reply, in parts: it may be half old and half new, as the CPU gives no more."""
        data = []
        for part in block.parts(self.pdu):
            ((code, raw),) = await self._fetch((part,), request.text)
            if code != OK:
                await self._judge(block, 0, code)
                places = range(len(block.fields))
                return ReadResult([None] * len(places), {place: Fault(reason_of(code), code) for place in places})
            data.append(raw)
        self._accepted(block.items)
        values, faults = block.image()(b"".join(data))
        return ReadResult(values, faults)

    async def _read_smaller(self, request: Request, block: Block) -> ReadResult:
        """A request that was planned for longer PDUs than the CPU grants."""
        if block not in self._smaller:
            requests = group_points(request.device, request.points, pdu=self.pdu, gap=block.gap)
            where = {id(point): place for place, point in enumerate(request.points)}
            self._smaller[block] = (
                requests,
                tuple(tuple(where[id(point)] for point in one.points) for one in requests),
            )
        values: list[Value] = [None] * len(request.points)
        faults: dict[int, Fault] = {}
        requests, placed = self._smaller[block]
        for one, places in zip(requests, placed, strict=True):
            part = await self._read(one)
            for number, place in enumerate(places):
                values[place] = part.values[number]
                if number in part.faults:
                    faults[place] = part.faults[number]
        return ReadResult(values, faults)

    async def _fetch(self, items: Sequence[Item], text: str) -> list[tuple[int, bytes]]:
        """Return code and data of some items. Raises DriverError."""
        return self._items(await self._ask(frame_of(items).template, text), items, text)

    async def fetch(self, items: Sequence[Item]) -> list[tuple[int, bytes]]:
        """Return code and data of some items that fit one PDU. Raises DriverError."""
        return await self._fetch(items, f"read {len(items)} items")

    def _items(self, reply: bytes, items: Sequence[Item], text: str) -> list[tuple[int, bytes]]:
        try:
            if error := error_of(reply):
                raise job_error(error, text)
            return list(read_items(reply, items))
        except Malformed as error:
            self._lost(f"{text}: {error}")

    async def write(self, device: str, point: Point, value: Value) -> None:
        """Write one raw value. Raises DriverError; scope ITEM when the value does not fit or the CPU refuses it."""
        field = field_of(point)
        try:
            writes = plan_write(field, value)
            if heads := heads_of(field):
                writes = with_heads(field, writes, [await self._head(head, point) for head in heads])
        except EncodeError as error:
            raise error.refusal(point.name) from None
        except DriverError as error:
            error.effect = Effect.NONE
            raise
        begun = False
        for job in jobs_of(writes, self.pdu):
            try:
                await self._write_job(job, f"write {point.name} to {point.address}")
            except DriverError as error:
                if begun:  # a text or an array that takes several jobs
                    error.effect = Effect.MAYBE
                raise
            begun = True

    async def _head(self, head: Item, point: Point) -> int:
        """Maximum length of a text as the CPU has it. Raises DriverError."""
        ((code, raw),) = await self._fetch((head,), f"read the length of {point.name}")
        if code != OK:
            raise DriverError(refusal(code, head), scope=Scope.ITEM, retriable=False, reason=reason_of(code), code=code)
        return int.from_bytes(raw, "big")

    async def _write_job(self, job: Sequence[Write], text: str) -> None:
        items = [write.item for write in job]
        reply = await self._ask(write_job(items, [write.data for write in job]), text)
        try:
            error = error_of(reply)
            codes = b"" if error else write_codes(reply, len(items))
        except Malformed as malformed:
            self._lost(f"{text}: {malformed}")
        if error:
            refused = job_error(error, text)
            scope = Scope.ITEM if refused.scope is Scope.REQUEST else refused.scope
            raise DriverError(refused.message, scope=scope, reason=refused.reason, code=error, effect=Effect.REFUSED)
        for item, code in zip(items, codes, strict=True):
            if code != OK:
                raise DriverError(
                    f"{text}: {refusal(code, item)}",
                    scope=Scope.ITEM,
                    retriable=False,
                    reason=reason_of(code),
                    code=code,
                    effect=Effect.MAYBE if OK in codes else Effect.REFUSED,
                )

    async def inform(self, group: int, function: int, request: bytes) -> userdata.Answer:
        """The whole answer of an information function; its `error` says when the CPU has none. Raises DriverError."""
        text = f"information function {group}.{function}"
        answer = self._answer(await self._ask(request, text), text)
        data = answer.data
        for _ in range(256):
            if not answer.more or answer.error:
                break
            more = await self._ask(userdata.ask_more(group, function, answer.sequence), text)
            answer = self._answer(more, text)
            data += answer.data
        return answer._replace(data=data, more=False)

    def _answer(self, reply: bytes, text: str) -> userdata.Answer:
        try:
            return userdata.answer(reply)
        except Malformed as error:
            self._lost(f"{text}: {error}")

    async def _ask(self, template: bytes, text: str) -> bytes:
        """One job and its answer. Raises DriverError with scope SESSION: the connection is the CPU."""
        async with self._turn:
            if self._pause_s and (wait_s := self._free_at_s - self._loop.time()) > 0:
                await asyncio.sleep(wait_s)
            only_looked, self._only_looked = self._only_looked, False
            try:
                reply = await self._channel.ask(template)
            except (RequestTimeout, ConnectionLost) as error:
                if only_looked and isinstance(error, ConnectionLost):
                    # it gives one answer a connection: not to a question that another client has not
                    self._silence.keep(self.name, self._loop.time() + SILENT_LATER_S)
                self._unheard(error, text)
            finally:
                if self._pause_s:
                    self._free_at_s = self._loop.time() + self._pause_s
            self._heard = True
            return reply

    def _unheard(self, error: Exception | None, text: str) -> NoReturn:
        """What a job without an answer means. Raises DriverError."""
        if not isinstance(error, RequestTimeout):
            self._lost(f"{text}: {error}")
        if not (self._heard or self._forgiven):
            # some devices let the first question of a connection drop; a late answer has another reference
            self._forgiven = True
            raise DriverError(
                f"{text}: no answer in time",
                scope=Scope.DEVICE,
                reason=Reason.DEVICE_TIMEOUT,
                kind=FailureKind.NO_ANSWER,
            ) from None
        self._lost(f"{text}: no answer in time", reason=Reason.DEVICE_TIMEOUT, kind=FailureKind.NO_ANSWER)

    def _lost(
        self, message: str, *, reason: Reason = Reason.LINK_LOST, kind: FailureKind = FailureKind.OTHER
    ) -> NoReturn:
        self._channel.close()
        raise DriverError(message, scope=Scope.SESSION, reason=reason, kind=kind)

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> Subscription:
        """CPUs don't report to this protocol. Raises DriverError."""
        raise DriverError(f"{device}: S7 has no subscriptions; poll", scope=Scope.REQUEST, retriable=False)

    async def check(self) -> None:
        """Ask for the CPU's state, or read a marker where that is not answered; any answer proves the link. Raises
        DriverError."""
        if self._silence.asks(self.name, self._loop.time()):
            await self.look()
        else:
            await self.fetch((Item("M", 0, 0, 1),))

    def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        """The CPU's identity and its blocks; see `browse.browse`. Raises DriverError."""
        return browse(self, start=options.start)

    async def close(self) -> None:
        """Drop the connection."""
        self._channel.close()
