"""Events from retained messages on NEXUS's own topics: alerts, and what changes from one health message to the next.

What a broker had kept is no event at the first sight of it; of what differs after a reconnect it is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.socket.happenings import Event, of_device, of_link, on_topic, to_everybody
from nexus_cli.wire.gateway_health import LinkHealth, SilentDevice
from nexus_cli.wire.topic import Topics

MOST_KNOWN = 20_000
"""Topics whose last message is remembered; the others give no events."""
GATEWAY = "gateway"


class _State(msgspec.Struct, frozen=True):
    """What is compared of a health message, of any version."""

    state: str = ""
    time: int = 0
    instance: str = ""
    detail: str = ""
    links: dict[str, LinkHealth] | msgspec.UnsetType = msgspec.UNSET
    silent: list[SilentDevice] | msgspec.UnsetType = msgspec.UNSET
    silent_left_out: int = 0


_state = msgspec.json.Decoder(_State)
_object = msgspec.json.Decoder(dict[str, object])


class ToldByBroker:
    """Listens to the cache."""

    def __init__(
        self, topics: Topics, cache: LiveCache, *, now_us: Callable[[], int], tell: Callable[[Event], None]
    ) -> None:
        """`tell` takes each event, on the loop."""
        self._cache, self._now_us, self._tell = cache, now_us, tell
        self._alerts, self._health = topics.alert(""), topics.health("", "")[:-1]
        self._platform = f"{topics.platform}/"
        self._last: dict[int, bytes] = {}
        self._states: dict[int, _State] = {}
        cache.when_new(self._new_topic)

    def _new_topic(self, slot: int) -> None:
        if self._cache.topic(slot).startswith(self._platform):
            self._cache.watch((slot,), self._heard)

    def _heard(self, slot: int) -> None:
        payload = self._cache.payload(slot) or b""
        before = self._last.get(slot)
        if payload == before or (before is None and len(self._last) >= MOST_KNOWN):
            return
        self._last[slot] = payload
        topic = self._cache.topic(slot)
        first = before is None and self._cache.retained(slot)
        try:
            for event in self._events(slot, topic, payload, first=first):
                self._tell(event)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # not one of our messages, so not an event

    def _events(self, slot: int, topic: str, payload: bytes, *, first: bool) -> Iterator[Event]:
        if topic.startswith(self._alerts):
            if payload and not first:
                facts: JsonObject = _object.decode(payload)
                yield Event("alert", self._time(facts.get("since")), facts, on_topic(topic))
        elif topic.startswith(self._health) and payload:
            role, _, name = topic[len(self._health) :].partition("/")
            found, before = _state.decode(payload), self._states.get(slot)
            if found.state == "lost" and before is not None:  # a last will says nothing of links and devices
                kept = msgspec.structs.replace(before, state="lost", time=found.time)
                self._states[slot] = kept
            else:
                self._states[slot] = found
            if not first:
                yield from self._health_events(role, name, before, found)

    def _health_events(self, role: str, name: str, before: _State | None, now: _State) -> Iterator[Event]:
        if before is None or (before.state, before.instance) != (now.state, now.instance or before.instance):
            facts = {"role": role, "name": name, "state": now.state, "instance": now.instance, "detail": now.detail}
            yield Event("role", self._time(now.time), facts, to_everybody)
        if role != GATEWAY or before is None or now.state == "lost":
            return
        if now.links is not msgspec.UNSET:
            yield from self._links(name, {} if before.links is msgspec.UNSET else before.links, now.links)
        if now.silent is not msgspec.UNSET:
            yield from self._devices(name, [] if before.silent is msgspec.UNSET else before.silent, now)

    def _links(self, gateway: str, before: Mapping[str, LinkHealth], now: Mapping[str, LinkHealth]) -> Iterator[Event]:
        for link, health in now.items():
            old = before.get(link)
            if old is None or (old.state, old.detail) == (health.state, health.detail):
                continue
            facts = {"link": link, "gateway": gateway, "state": health.state, "detail": health.detail}
            yield Event("link", self._time(health.since), {**facts, "since": health.since}, of_link)

    def _devices(self, gateway: str, before: list[SilentDevice], now: _State) -> Iterator[Event]:
        assert now.silent is not msgspec.UNSET  # looked at by the caller
        old = {one.path: one for one in before}
        for one in now.silent:
            was = old.pop(one.path, None)
            if was is not None and (was.reason, was.code, was.answers) == (one.reason, one.code, one.answers):
                continue
            facts = {"path": one.path, "gateway": gateway, "state": "silent", **msgspec.to_builtins(one)}
            yield Event("device", self._time(one.since if was is None else now.time), facts, of_device)
        if now.silent_left_out:  # who is not in the list may be silent all the same
            return
        for path in old:
            facts = {"path": path, "gateway": gateway, "state": "speaking"}
            yield Event("device", self._time(now.time), facts, of_device)

    def _time(self, said: object) -> int:
        return said if isinstance(said, int) and said > 0 else self._now_us()
