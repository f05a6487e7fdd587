"""Decodes and checks messages of gateways: is the device assigned to the gateway, and is the time possible.

An item that must not be stored is refused, and its number counts as stored, since its gateway would only send the same
again. What can't be decided yet, because a deployment may have just changed it, is returned as unknown names: load them
and try again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from datetime import UTC

import msgspec

from nexus_cli.database.committed import OutboxKey
from nexus_cli.database.loss import moment
from nexus_cli.database.series import device_of
from nexus_cli.runtime.historian.assignments import Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.batch_reading import BatchReader, Taken
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.custody_numbers import check_numbers
from nexus_cli.runtime.historian.dead_letters import Refusal, shown
from nexus_cli.runtime.historian.mapping import NO_PLAN, SeriesMap
from nexus_cli.runtime.historian.pending import PendingFrame, PendingGap, PendingReport
from nexus_cli.runtime.historian.time_bounds import EARLIEST_US, TimeBounds, Verdict
from nexus_cli.runtime.logging import event
from nexus_cli.wire.command import Report, decode_report
from nexus_cli.wire.frame import Frame, FrameError, Letter, decode_frame, decode_gap
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics, is_slug

_log = logging.getLogger("nexus.historian.reading")
MOST_TOPICS = 50_000
MOST_TOLD = 1_000
"""Pairs of gateway and device that are logged, once each; further ones are only counted."""
LONGEST_PRINCIPAL = 128
PATH_LEVELS = 4
TAKEN: Sequence[str] = ()


class Reader:
    """Decodes frames, gaps and reports, and puts them into a batch."""

    def __init__(
        self, *, topics: Topics, series: SeriesMap, assignments: Assignments, bounds: TimeBounds, counters: Counters
    ) -> None:
        """Join the parts; it does no I/O."""
        self._topics, self._series, self._counters = topics, series, counters
        self._assignments, self._bounds = assignments, bounds
        self._data = f"{topics.platform}/data/"
        self._gap = f"{topics.platform}/gap/"
        self._audit = f"{topics.platform}/audit/"
        self._senders: dict[str, tuple[str, str]] = {}
        self._told: set[tuple[str, str]] = set()
        self._batches = BatchReader(
            series=series, assignments=assignments, bounds=bounds, take_frame=self._take_decoded
        )

    def take(self, batch: Batch, message: Message, *, final: bool, only: Collection[int] | None = None) -> Taken | None:
        """Put a message of a gateway into a batch.

        Args:
            batch: Takes the item.
            message: From any topic.
            final: The state is up to date: nothing is left for another try.
            only: Of a frame batch, the indices of the frames to take; None for all.

        Returns:
            Unknown names: with `final` for information, else a single item was not taken, or the frames of a batch that
                are named as left, and they are to be tried again after a load. None when the message is not a gateway's.
        """
        topic = message.topic
        if topic.startswith(self._data):
            gateway = topic[len(self._data) :]
            if gateway and "/" not in gateway:
                return self._batches.take(batch, message, gateway, final=final, only=only)
            return Taken(self._take_frame(batch, message, final=final))
        if topic.startswith(self._gap):
            return Taken(self._take_gap(batch, message, final=final))
        if topic.startswith(self._audit):
            return Taken(self._take_report(batch, message, final=final))
        return None

    def _take_frame(self, batch: Batch, message: Message, *, final: bool) -> Sequence[str]:
        topic, payload = message.topic, message.payload
        sender = self._senders.get(topic) or self._sender(topic)
        if sender is None:
            batch.letters.add(topic, "not_a_frame", detail="no device in the topic", payload=payload)
            return TAKEN
        gateway, device = sender
        try:
            frame = decode_frame(payload)
            check_numbers(frame.epoch, frame.seq)
        except FrameError as error:
            # If at least the number can be read, custody is taken: sending it again would not help.
            known = _identity(payload)
            if known is None:
                batch.letters.add(topic, "not_a_frame", detail=str(error), payload=payload)
            else:
                self._set_aside(batch, gateway, known, Refusal("not_a_frame", str(error), topic, payload))
            return TAKEN
        return self._take_decoded(batch, gateway, device, topic, frame, payload, final=final)

    def _take_decoded(
        self, batch: Batch, gateway: str, device: str, topic: str, frame: Frame, payload: bytes | None, *, final: bool
    ) -> Sequence[str]:
        until_us = self._assignments.until_us(gateway, device)
        verdict = self._bounds.classify(gateway, frame.time)
        if verdict is Verdict.HELD:
            self._counters.held_frames += 1
            return TAKEN
        if verdict is not Verdict.GOOD:
            hole = device if until_us > 0 else ""
            detail = f"time {frame.time} is {_said(frame.time)}, our clock says {_said(self._bounds.now_us())}"
            count = max(1, len(frame.samples))
            said = shown(frame) if payload is None else payload
            self._set_aside(batch, gateway, frame, Refusal(verdict.value, detail, topic, said, count, hole))
            return TAKEN
        if frame.time > until_us:
            if not final:
                return (f"{gateway} {device}",)
            said = shown(frame) if payload is None else payload
            refusal = self._not_assigned(gateway, device, topic, said, count=max(1, len(frame.samples)))
            self._set_aside(batch, gateway, frame, refusal)
            return (f"{gateway} {device}",)
        plan = self._series.plan(device, frame.samples)
        if plan.former and not all(
            self._assignments.may_feed(gateway, home, time_us=frame.time) for home in plan.former
        ):
            plan = self._series.plan(device, frame.samples, former=False)
        unknown = [f"{device}/{tag}" for tag in plan.unknown] if plan.unknown else TAKEN
        if final or not unknown:
            size = len(shown(frame)) if payload is None else len(payload)
            batch.frames.append(PendingFrame(OutboxKey(gateway, frame.epoch), topic, frame, plan, size_bytes=size))
            batch.points += max(1, len(plan.tags))
        return unknown

    def _sender(self, topic: str) -> tuple[str, str] | None:
        split = self._topics.split_data(topic)
        if split is not None:
            if len(self._senders) >= MOST_TOPICS:
                self._senders.clear()
            self._senders[topic] = split
        return split

    def _set_aside(self, batch: Batch, gateway: str, frame: Frame, refusal: Refusal) -> None:
        empty = Frame(epoch=frame.epoch, seq=frame.seq, time=frame.time, samples={})
        size = len(refusal.payload)
        batch.frames.append(PendingFrame(OutboxKey(gateway, frame.epoch), refusal.topic, empty, NO_PLAN, refusal, size))
        batch.points += 1

    def _take_gap(self, batch: Batch, message: Message, *, final: bool) -> Sequence[str]:
        topic, payload = message.topic, message.payload
        gateway = topic[len(self._gap) :]
        try:
            gap = decode_gap(payload)
            check_numbers(gap.epoch, gap.seq)
        except FrameError as error:
            batch.letters.add(topic, "not_a_gap", detail=str(error), payload=payload)
            return TAKEN
        refusal, unknown = None, TAKEN
        if gap.device and self._bounds.bounded(gap.start) > self._assignments.until_us(gateway, gap.device):
            unknown = (f"{gateway} {gap.device}",)
            if not final:
                return unknown
            refusal = self._not_assigned(gateway, gap.device, topic, payload)
        elif gap.letter is not None:
            refusal = self._rejected(gap.device, gap.letter)
        bounds, claimed_us = self._bounds, None
        if not (bounds.usable(gap.start) and bounds.usable(gap.end) and gap.start <= gap.end):
            self._counters.bounded_times += 1
            start, end = sorted((bounds.bounded(gap.start), bounds.bounded(gap.end)))
            claimed_us, gap = gap.end, msgspec.structs.replace(gap, start=start, end=end)
        batch.gaps.append(PendingGap(OutboxKey(gateway, gap.epoch), gap, refusal, claimed_us))
        batch.points += 1
        return unknown

    def _rejected(self, device: str, letter: Letter) -> Refusal:
        """Values that a rule of quality rejected in the gateway: a dead letter of their tag."""
        topic = self._topics.tag(f"{device}/{letter.tag}")
        return Refusal(f"quality_{letter.rule}", letter.detail, topic, shown(letter.value), letter.count)

    def _take_report(self, batch: Batch, message: Message, *, final: bool) -> Sequence[str]:
        topic, payload = message.topic, message.payload
        gateway = topic[len(self._audit) :]
        try:
            report = decode_report(payload)
            check_numbers(report.epoch, report.seq)
        except FrameError as error:
            batch.letters.add(topic, "not_a_report", detail=str(error), payload=payload)
            return TAKEN
        unknown = TAKEN
        device = device_of(report.response.path)
        refusal = _wrong(report, gateway, topic, payload)
        # A command that a gateway received before a move may be reported later: the earlier of the two times counts.
        if refusal is None and min(report.received, report.response.time) > self._assignments.until_us(gateway, device):
            unknown = (f"{gateway} {device}",)
            if not final:
                return unknown
            refusal = self._not_assigned(gateway, device, topic, payload)
        claimed_us = None
        if not (self._bounds.usable(report.response.time) and self._bounds.usable(report.received)):
            self._counters.bounded_times += 1
            claimed_us, report = report.response.time, self._bounded(report)
        batch.reports.append(PendingReport(OutboxKey(gateway, report.epoch), report, refusal, claimed_us))
        batch.points += 1
        return unknown

    def _bounded(self, report: Report) -> Report:
        """The report of a gateway with a wrong clock, with a usable time; the claimed one is kept in the detail."""
        said, bounded = report.response, self._bounds.bounded
        detail = f"{said.detail} (the gateway's clock said {_said(said.time)})".strip()
        response = msgspec.structs.replace(said, time=bounded(said.time), detail=detail)
        return msgspec.structs.replace(report, received=bounded(report.received), response=response)

    def _not_assigned(self, gateway: str, device: str, topic: str, payload: bytes, *, count: int = 1) -> Refusal:
        if (gateway, device) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((gateway, device))
            event(
                _log,
                "a gateway sent data of a device that is not assigned to it; it is set aside",
                level=logging.WARNING,
                gateway=gateway,
                device=device[:200],
            )
        detail = f"gateway '{gateway}' is not assigned to '{device}' at this time"
        return Refusal("not_assigned", detail, topic, payload, count)


class _Identity(msgspec.Struct):
    """The fields of a frame that custody needs."""

    epoch: str
    seq: int


_BEGIN = re.compile(rb'\s*\{\s*"epoch"\s*:\s*"([A-Za-z0-9._-]{1,64})"\s*,\s*"seq"\s*:\s*(\d{1,16})\s*,')
_identity_decoder = msgspec.json.Decoder(_Identity)


def _identity(payload: bytes) -> Frame | None:
    """An empty frame with the number of an unreadable one; None when the number is unreadable too."""
    try:
        found = _identity_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        begin = _BEGIN.match(payload)  # not JSON, or nested too deeply; but the number is at the start
        if begin is None:
            return None
        found = _Identity(begin[1].decode(), int(begin[2]))
    try:
        check_numbers(found.epoch, found.seq)
    except FrameError:
        return None
    return Frame(epoch=found.epoch, seq=found.seq, time=EARLIEST_US, samples={})


def _wrong(report: Report, gateway: str, topic: str, payload: bytes) -> Refusal | None:
    """The refusal of an impossible report, from any sender. Only its gateway knows who sent the command."""
    if report.gateway != gateway:
        return Refusal("not_assigned", f"it names gateway '{report.gateway}'", topic, payload)
    levels = report.response.path.split("/")
    if len(levels) != PATH_LEVELS or not all(map(is_slug, levels)):
        return Refusal("not_a_report", "the path is not area/line/device/tag", topic, payload)
    who = report.principal
    if not 0 < len(who) <= LONGEST_PRINCIPAL or not who.isprintable() or any(sign in who for sign in "/+#"):
        return Refusal("not_a_report", "the principal is not a level of a topic", topic, payload)
    return None


def _said(time_us: int) -> str:
    """A time for people; limited to what a date can represent."""
    return moment(time_us).astimezone(UTC).isoformat(timespec="milliseconds")


__all__ = ["TAKEN", "Reader"]
