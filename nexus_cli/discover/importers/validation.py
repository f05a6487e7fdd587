"""Checks what an importer proposes with the models and address readers that read a site file.

A tag that can't be read is refused with the reason; a key that does not fit is left out with a note, when the tag is
right without it. A scale is never left out: the value would be wrong.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from nexus_cli.discover.found import Found, Skipped
from nexus_cli.discover.importers.units import problem_of, unit_of
from nexus_cli.discover.placement import Identity, identity
from nexus_cli.discover.site_keys import ConnectionKeys, TagKeys
from nexus_cli.drivers.registry import kinds
from nexus_cli.json_value import JsonObject
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.model.driver_kind import AddressError

OPTIONAL = frozenset({"description", "labels", "range", "values", "unit", "poll", "mode", "deadband", "heartbeat"})
"""Keys without which a tag still reads the right value."""
CONNECTION_ROUNDS = 12


class Validator:
    """One discovery's tags against its protocol.

    Attributes:
        connection: The connection without the keys that do not fit.
        refused: Tags that can't be taken.
        notes: Keys that were left out.
    """

    def __init__(self, protocol: str, connection: ConnectionKeys) -> None:
        self.kind = kinds()[protocol]
        self.refused: list[Skipped] = []
        self.notes: list[Skipped] = []
        self.connection = dict(connection)
        self._bound = self._bind()
        self._seen: dict[Identity, str] = {}

    def _bind(self) -> Any:
        stand_ins = self.kind.stand_in
        for key in [key for key, value in self.connection.items() if "${" in str(value)]:
            self.connection.pop(key)
            self.notes.append(Skipped(f"connection: {key}", "a reference of another tool is not taken over"))
        for _ in range(CONNECTION_ROUNDS):
            try:
                return self.kind.connection.model_validate({**stand_ins, **self.connection})
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                key = str(problem["loc"][0]) if problem["loc"] else ""
                if key not in self.connection:
                    break
                self.connection.pop(key)
                self.notes.append(Skipped(f"connection: {key}", _said(problem)))
        self.notes.extend(Skipped(f"connection: {key}", "does not go with the others") for key in self.connection)
        self.connection = {}
        return self.kind.connection.model_validate(stand_ins)

    def validated(self, proposed: Found) -> Found | None:
        """The tag as the site language takes it, or None when it was refused."""
        what = "/".join(proposed.name)
        tag: JsonObject = dict(proposed.tag)
        if any("${" in str(value) for value in tag.values()):
            self._refuse(what, "its address holds '${', which a site file reads as a reference")
            return None
        self.kind.imported(tag)
        kind = self._type(what, tag)
        if kind is None or not self._scaled(what, tag, kind):
            return None
        self._unit(what, tag)
        self._named(what, tag, kind)
        self._ranged(what, tag, kind)
        if tag.get("unit_id") == getattr(self._bound, "unit_id", None):
            tag.pop("unit_id", None)
        bound = self._bound_tag(what, tag)
        if bound is None:
            return None
        try:
            address = self.kind.address_of(self._bound, bound)
        except AddressError as error:
            self._refuse(what, f"{error}" + (f" ({error.hint})" if error.hint else ""))
            return None
        if "order" in tag and "order" not in address.options and getattr(self._bound, "order", None) is None:
            tag.pop("order")  # the default anyway
        key = (proposed.device, *identity(address))
        first = self._seen.setdefault(key, what)
        if first is not what:
            self._refuse(f"{what} (as {first})", "another name of an address that is taken already")
            return None
        return Found(device=proposed.device, name=proposed.name, tag=cast("TagKeys", tag))

    def _refuse(self, what: str, reason: str) -> None:
        self.refused.append(Skipped(what, reason))

    def _leave_out(self, what: str, tag: JsonObject, key: str, reason: str) -> None:
        self.notes.append(Skipped(f"{what}: {key}", reason))
        tag.pop(key, None)

    def _type(self, what: str, tag: JsonObject) -> DataType | None:
        try:
            kind = parse_type(str(tag.get("type", "")))
        except ValueError as error:
            self._refuse(what, str(error))
            return None
        tag["type"] = str(kind)
        return kind

    def _scaled(self, what: str, tag: JsonObject, kind: DataType) -> bool:
        for key, neutral in (("scale", 1), ("offset", 0)):
            if key not in tag:
                continue
            number = tag[key]
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < float("inf"):
                self._refuse(what, f"its {key} '{number}' is not a number")
                return False
            if number == neutral:
                tag.pop(key)
            elif not kind.numeric:
                self._refuse(what, f"its {key} can't be applied to {kind}")
                return False
            elif key == "scale" and not number:
                self._refuse(what, "its scale is 0")
                return False
        return True

    def _unit(self, what: str, tag: JsonObject) -> None:
        written = str(tag.get("unit", ""))
        unit = unit_of(written)
        if unit:
            tag["unit"] = unit
        elif "unit" in tag:
            self._leave_out(what, tag, "unit", problem_of(written))

    def _named(self, what: str, tag: JsonObject, kind: DataType) -> None:
        values = tag.get("values")
        if values is None:
            return
        if not kind.integer:
            self._leave_out(what, tag, "values", f"{kind} can't have value names")
        elif "scale" in tag or "offset" in tag:
            self._leave_out(what, tag, "values", "value names and a scale do not go together")
        else:
            low, high = INTEGER_BOUNDS[kind.base]
            beyond = [code for code in values if not low <= code <= high]
            if beyond:
                self.notes.append(Skipped(f"{what}: values", f"{kind} can't hold {', '.join(map(str, beyond[:8]))}"))
            tag["values"] = {code: str(label) for code, label in values.items() if code not in beyond}
            if not tag["values"]:
                tag.pop("values")

    def _ranged(self, what: str, tag: JsonObject, kind: DataType) -> None:
        given = tag.get("range")
        if given is None:
            return
        low, high = given
        if not kind.numeric:
            self._leave_out(what, tag, "range", f"{kind} has no range")
        elif low is not None and high is not None and not low < high:
            self._leave_out(what, tag, "range", f"[{low}, {high}] is not a range")

    def _bound_tag(self, what: str, tag: JsonObject) -> Any:
        for _ in range(len(tag) + 1):
            try:
                return self.kind.tag.model_validate(tag)
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                key = str(problem["loc"][0]) if problem["loc"] else ""
                if key not in OPTIONAL or key not in tag:
                    self._refuse(what, f"{key}: {_said(problem)}" if key else _said(problem))
                    return None
                self._leave_out(what, tag, key, _said(problem))
        return None


def _said(problem: Any) -> str:
    context = problem.get("ctx", {}).get("error")
    return str(context) if context is not None else f"{problem['msg']} ('{str(problem['input'])[:60]}')"
