"""One node of the simulator: its type, its signals, and what it held at a moment."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import Server, ua

from nexus_cli.drivers.opcua.values import KIND_OF_BASE
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Value

Now = tuple[float, datetime]
Signal = Callable[[float], Value]
DURATION = 290
_FLOAT = struct.Struct("<f")


def beat_ms(tag: TagConfig) -> int:
    """How often a simulated value changes: at each poll, or at each sample where the server is to look more often."""
    return max(1, min(tag.poll_ms, int(tag.options.get("sampling") or tag.poll_ms)))


class SimulatedNode:
    """A variable; several tags may read it, each an element of its array.

    Attributes:
        identifier: Node id on the server.
        interval_ms: Beat at which the value changes.
        status: Status code that it answers with.
        pushed: Last beat that was pushed to subscribers.
    """

    def __init__(self, identifier: ua.NodeId, tag: TagConfig) -> None:
        kind = parse_type(tag.type)
        self.identifier = identifier
        self.base = kind.base
        self.variant = ua.VariantType(KIND_OF_BASE.get(kind.base, 12))
        self.interval_ms = beat_ms(tag)
        self.is_array = bool(kind.count)
        self.writable = tag.writable
        self.status = 0
        self.pushed = -1
        self._elements: dict[str, tuple[int, int, Signal]] = {}
        self._held: dict[str, Value] = {}
        self._size = kind.count
        self._cached: tuple[int, int, ua.DataValue] | None = None
        self._attribute: Any = None

    def add(self, path: str, tag: TagConfig, signal: Signal, index: str) -> None:
        """Let a tag read this node, or an element or slice of it."""
        self.writable = self.writable or tag.writable
        self.interval_ms = min(self.interval_ms, beat_ms(tag))
        if not index or "," in index:
            self._elements[path] = (-1, -1, signal)
            return
        first, _, last = index.partition(":")
        self.is_array = True
        self._size = max(self._size, int(last or first) + 1)
        self._elements[path] = (int(first), int(last) if last else -1, signal)

    async def publish(self, server: Server, folder: Any, name: str, now: Callable[[], Now]) -> None:
        """Create the variable (once); reads compute its value from then on, and a client's write stops its signal."""
        if self._attribute is not None:
            return
        data_type = ua.NodeId(DURATION) if self.base == "duration" else None
        variant = self._data_value(now()).Value
        node = await folder.add_variable(
            self.identifier, ua.QualifiedName(name, self.identifier.NamespaceIndex), variant, datatype=data_type
        )
        if self.writable:
            await node.set_writable()
        space = server.iserver.aspace
        value_id = ua.AttributeIds.Value
        self._attribute = space._nodes[self.identifier].attributes[value_id]
        # The declared value stays beside the callback: the server checks the type of a write against it.
        self._attribute.value_callback = lambda _node, _attribute: self._data_value(now())
        self._attribute.value_setter = lambda _node, _attribute, written: self._written(written, now())

    def value(self, path: str, *, t_s: float) -> Value:
        """What the tag reads at this moment, raw."""
        first, last, _ = self._elements[path]
        whole = self._whole(self._beat(t_s))
        if first < 0 or not isinstance(whole, list):
            return whole
        return whole[first] if last < 0 else whole[first : last + 1]

    def hold(self, path: str, value: Value, *, now: Now) -> None:
        """Keep a value; the signal of this tag stops."""
        self._held[path] = value
        self._cached = None
        self.pushed = -2

    async def push(self, now: Now) -> None:
        """Notify the subscribers, if there are any and the beat is a new one."""
        beat = self._beat(now[0])
        if beat == self.pushed or self._attribute is None or not self._attribute.datachange_callbacks:
            return
        before = self._attribute.value
        found = self._data_value(now)
        self.pushed = beat
        if before is not None and found.Value.Value == before.Value.Value and not self.status:
            return
        self._attribute.value = found
        for handle, report in list(self._attribute.datachange_callbacks.items()):
            await report(handle, found)

    def _beat(self, t_s: float) -> int:
        return int(t_s * 1000) // self.interval_ms

    def _data_value(self, now: Now) -> ua.DataValue:
        t_s, moment = now
        beat = self._beat(t_s)
        if self._cached is not None and self._cached[0] == beat and self._cached[1] == self.status:
            return self._cached[2]
        value = self._typed(self._whole(beat))
        changed = moment - timedelta(seconds=t_s - beat * self.interval_ms / 1000)
        found = ua.DataValue(
            ua.Variant(value, self.variant, is_array=self.is_array),
            StatusCode=ua.StatusCode(self.status),
            SourceTimestamp=changed,
        )
        self._cached = (beat, self.status, found)
        return found

    def _whole(self, beat: int) -> Value:
        t_s = beat * self.interval_ms / 1000
        if not self.is_array:
            for path, (_, _, signal) in self._elements.items():
                return self._exact(self._held[path] if path in self._held else signal(t_s))
            return None
        whole: list[Value] = [_zero(self.base)] * self._size
        for path, (first, last, signal) in self._elements.items():
            value = self._held[path] if path in self._held else signal(t_s)
            if first < 0:
                whole = list(value) if isinstance(value, list) else whole
            elif last < 0:
                whole[first] = value
            elif isinstance(value, list):
                whole[first : last + 1] = value
        return self._exact(whole)

    def _exact(self, value: Value) -> Value:
        """As the node's type holds it: a Float has fewer digits than the signal."""
        if isinstance(value, list) and self.base != "json":
            return [self._exact(item) for item in value]
        if self.variant == ua.VariantType.Float and isinstance(value, (int, float)):
            found: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
            return found
        if self.variant == ua.VariantType.Double and isinstance(value, (int, float)):
            return float(value)
        if self.base == "json" and not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        return value

    def _typed(self, value: Value) -> Any:
        if isinstance(value, list) and self.base != "json":
            return [self._typed(item) for item in value]
        if self.base == "datetime" and isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
        if self.variant in (ua.VariantType.Double, ua.VariantType.Float):
            return float(value) if isinstance(value, (int, float)) else 0.0
        return value

    def _written(self, written: ua.DataValue, now: Now) -> None:
        value = written.Value.Value
        if isinstance(value, datetime):
            value = value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        for path, (first, last, _) in self._elements.items():
            if first < 0 or not isinstance(value, list):
                self.hold(path, value, now=now)
            elif first < len(value):
                self.hold(path, value[first] if last < 0 else value[first : last + 1], now=now)
        self._attribute.value = written
        self.pushed = self._beat(now[0])


def _zero(base: str) -> Value:
    if base == "bool":
        return False
    return "" if base in ("string", "datetime", "json") else 0
