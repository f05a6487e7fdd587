"""From templates and defaults to complete devices: device tag > template tag > device > template > line > area > site.

Maps that come out equal for several devices are one object: read them, never change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_cli.diagnostics import ModelPath, Place
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.source.draft import Draft
from nexus_cli.source.known import KnownKeys
from nexus_cli.source.nodes import Map
from nexus_cli.source.templates import arguments, compile_templates, instantiate

_MERGED = ("connection", "labels")
"""Maps of a device whose keys are laid over the template's one by one."""
_HANDED_DOWN = ("classification", "on_change", "owner", "pii")
"""Keys that an area or a line says of everything below it."""
_OF_DEVICES = frozenset({"on_change"})
"""Keys that devices inherit and do not hand down to their tags."""
_LAID = ("quality",)
"""Inherited maps whose keys are laid over the outer level's one by one."""
NOTHING: Mapping[str, str] = {}
_NAMED = ("tags", "calculated")
"""Maps of named things whose own keys are laid over the template's one by one."""


class Expander:
    """Expands one tree in place.

    Attributes:
        template_of: Template name by device path, for devices that use one.
        given_of: The `with:` of those that have one, by device path.
        broken: Model paths of devices that could not be completed; findings below them would only repeat it.
        noisy: Paths of devices that gave a finding.
    """

    def __init__(
        self, draft: Draft, root: Map, *, inherited: frozenset[str], known: Mapping[str, KnownKeys] | None = None
    ) -> None:
        """Expand a tree.

        Args:
            draft: Takes the findings.
            root: The tree, with its overlay and variables.
            inherited: Keys that `defaults`, templates and devices hand down to their tags.
            known: Keys by protocol, "" for any other; without them every `null` is dropped.
        """
        self.draft = draft
        self.root = root
        self.inherited = inherited
        self.known = known or {}
        self.templates = compile_templates(draft, root)
        self.template_of: dict[str, str] = {}
        self.given_of: dict[str, Map] = {}
        self.broken: set[ModelPath] = set()
        self.noisy: set[str] = set()
        self._filled: dict[tuple[Any, ...], Map] = {}
        self._kept: list[Any] = []  # keeps the objects alive whose ids are cache keys

    def run(self, kept: Mapping[str, str] = NOTHING) -> None:
        """Complete every device below `areas`, and note which templates are not used.

        Args:
            kept: Template ("" for none) by path of devices that are left as they are; `complete` takes them later.
        """
        site = _defaults(self.root)
        for area_name, area in self._named(self.root, "areas"):
            for line_name, line in self._named(area, "lines"):
                devices = line.get("devices")
                if not isinstance(devices, Map):
                    continue
                levels = [*_levels(line), *_levels(area), *site]
                inherited = _join(levels, self.inherited | _OF_DEVICES)
                connection = _connection(levels)
                for name, _ in list(self._named(line, "devices")):
                    path = f"{area_name}/{line_name}/{name}"
                    name_of = kept.get(path)
                    if name_of is None:
                        where = ("areas", area_name, "lines", line_name, "devices", name)
                        self._complete(devices, path, where, inherited=inherited, connection=connection)
                    elif name_of:
                        self.templates[name_of].users += 1
                        self.template_of[path] = name_of
        for template in self.templates.values():
            if not template.users:
                self.draft.add("NX0065", f"no device uses the template '{template.name}'", place=template.place)

    def complete(self, where: ModelPath) -> None:
        """Complete one device that `run` left as it was."""
        area = self.root["areas"][where[1]]
        line = area["lines"][where[3]]
        levels = [*_levels(line), *_levels(area), *_defaults(self.root)]
        path = f"{where[1]}/{where[3]}/{where[5]}"
        inherited, connection = _join(levels, self.inherited | _OF_DEVICES), _connection(levels)
        self._complete(line["devices"], path, where, inherited=inherited, connection=connection)

    def _complete(self, devices: Map, path: str, where: ModelPath, *, inherited: Map, connection: Map) -> None:
        name, before = where[5], len(self.draft.findings)
        place = self.draft.place(devices.marks.get(name), on_key=True)
        devices[name] = self._device(
            devices[name], path=path, where=where, place=place, inherited=inherited, connection=connection
        )
        if len(self.draft.findings) > before:
            self.noisy.add(path)

    def _named(self, holder: Map, key: str) -> list[tuple[str, Map]]:
        """The maps below a key of names; names written as numbers are noted and taken as text."""
        named = holder.get(key)
        if not isinstance(named, Map):
            return []
        for name in [name for name in named if not isinstance(name, str)]:
            self._rename(named, name)
        return [(name, node) for name, node in named.items() if isinstance(node, Map)]

    def _rename(self, named: Map, name: Any) -> None:
        place = self.draft.place(named.marks.get(name), on_key=True)
        self.draft.add("NX0022", f"the name '{name}' is a number", place=place, hint=f"write it in quotes: '{name}'")
        value, mark = named.pop(name), named.marks.pop(name, None)
        if str(name) not in named:
            named[str(name)] = value
            if mark is not None:
                named.marks[str(name)] = mark

    def _device(
        self, device: Map, *, path: str, where: ModelPath, place: Place | None, inherited: Map, connection: Map
    ) -> Map:
        written = device
        device = self._templated(written, path=path, where=where, place=place)
        protocol = device.get("protocol")
        own = device.get("connection")
        if connection and protocol != "external" and (own is None or isinstance(own, Map)):
            merged = _over(connection, own) if own is not None else connection
            device["connection"] = merged
            device.marks.setdefault("connection", next(iter(connection.marks.values()), 0))
        known = self._known(protocol)
        if isinstance(laid := device.get("connection"), Map) and None in laid.values():
            device["connection"] = _without_nulls(laid, known.connection if known else None)
        if isinstance(laid := device.get("labels"), Map) and None in laid.values():
            device["labels"] = _without_nulls(laid, _names(laid))
        level = _join([device, inherited], self.inherited)
        if inherited.get("enabled") is False and "enabled" not in device:
            device["enabled"] = False
            device.marks["enabled"] = inherited.marks["enabled"]
        # Topics of an external device that are not declared tag by tag have the device's own class.
        own_keys = ("owner", "pii", "classification") if protocol == "external" else ("owner", "pii", "on_change")
        for key in own_keys:
            if key not in device and key in inherited:
                device[key] = inherited[key]
                device.marks[key] = inherited.marks[key]
        _drop_nulls(device, known.device if known else None)
        for key in _NAMED:
            tags = device.get(key)
            if isinstance(tags, Map):
                for name in [name for name in tags if not isinstance(name, str)]:
                    self._rename(tags, name)
                shared = "template" in written
                keys = None if known is None else known.tag if key == "tags" else known.calculated
                device[key] = self._tags(tags, level, keys) if shared else _fill_own(tags, level, keys)
        return device

    def _known(self, protocol: object) -> KnownKeys | None:
        known = self.known.get(protocol) if isinstance(protocol, str) else None
        return known or self.known.get("")

    def _tags(self, tags: Map, level: Map, known: frozenset[str] | None) -> Map:
        """The tags with what they inherit. Equal input objects give the same object."""
        inherited = (
            (key, id(value) if isinstance(value, (dict, list)) else (type(value), value))
            for key, value in level.items()
        )
        signature = (id(known), *inherited)
        key = (id(tags), signature)
        made = self._filled.get(key)
        if made is not None:
            return made
        result = Map()
        result.marks = tags.marks
        for name, tag in tags.items():
            result[name] = self._tag(tag, level, known, signature) if isinstance(tag, Map) else tag
        self._filled[key] = result
        self._kept.extend((tags, *level.values()))
        return result

    def _tag(self, tag: Map, level: Map, known: frozenset[str] | None, signature: tuple[Any, ...]) -> Map:
        key = (id(tag), signature)
        made = self._filled.get(key)
        if made is None:
            made = _inherit(tag, level, known)
            self._filled[key] = made
            self._kept.append(tag)
        return made

    def _templated(self, device: Map, *, path: str, where: ModelPath, place: Place | None) -> Map:
        """A new map: the device laid over its template."""
        name = device.get("template")
        if name is None:
            if "with" in device:
                inner = self.draft.place(device.marks.get("with"), on_key=True)
                self.draft.add("NX0068", f"'{path}' has 'with' but no template", place=inner, hint="template: NAME")
            return _plain(device)
        template = self.templates.get(name) if isinstance(name, str) else None
        if template is None:
            inner = self.draft.place(device.marks.get("template"), value=name)
            hint = did_you_mean(name, self.templates)
            self.draft.add("NX0060", f"there is no template '{name}'", place=inner, hint=hint)
            self.broken.add(where)
            return _plain(device)
        template.users += 1
        self.template_of[path] = template.name
        if isinstance(given := device.get("with"), Map):
            self.given_of[path] = given
        before = len(self.draft.findings)
        values = arguments(self.draft, template, device, name=path, place=place)
        if len(self.draft.findings) > before:
            self.broken.add(where)
        return _combine(instantiate(template, values), device)


def _plain(device: Map) -> Map:
    result = Map((key, value) for key, value in device.items() if key not in ("template", "with"))
    result.marks = dict(device.marks)
    return result


def _combine(template: Map, device: Map) -> Map:
    """The device over the template: `tags` and `calculated` key by key of each, `connection` and `labels` key by key."""
    result = Map(template)
    result.marks = dict(template.marks)
    for key, value in device.items():
        if key in ("template", "with"):
            continue
        below = template.get(key)
        if isinstance(value, Map) and isinstance(below, Map) and key in _NAMED:
            value = _over_named(below, value)
        elif isinstance(value, Map) and isinstance(below, Map) and key in _MERGED:
            value = _over(below, value)
        result[key] = value
        result.marks[key] = device.marks[key]
    return result


def _over_named(below: Map, above: Map) -> Map:
    """Name by name; a `null` above removes what is below, and stays where nothing is: binding reports it."""
    result = Map(below)
    result.marks = dict(below.marks)
    for name, value in above.items():
        if value is None and name in below:
            del result[name]
            continue
        lower = below.get(name)
        result[name] = _over(lower, value) if isinstance(lower, Map) and isinstance(value, Map) else value
        result.marks[name] = above.marks[name]
    return result


def _over(below: Map, above: Map) -> Map:
    """Key by key; a `null` above stays, so that nothing inherited fills it (it is dropped at the end)."""
    result = Map(below)
    result.update(above)
    result.marks = {**below.marks, **above.marks}
    return result


def _without_nulls(node: Map, known: frozenset[str] | None = None) -> Map:
    """As `_drop_nulls`, in a copy: the map may belong to several devices."""
    result = Map(node)
    result.marks = node.marks
    _drop_nulls(result, known)
    return result


def _names(labels: Map) -> frozenset[str]:
    """The keys of labels that can be names: `{cell 4}` is a colon that is missing."""
    return frozenset(key for key in labels if isinstance(key, str) and " " not in key)


def _fill_own(tags: Map, level: Map, known: frozenset[str] | None) -> Map:
    """As `_inherit`, in place: these tags were written for one device only."""
    filled = list(level.items())
    for tag in tags.values():
        if isinstance(tag, Map):
            marks = tag.marks
            for key, value in filled:
                if key not in tag:
                    tag[key] = value
                    marks[key] = level.marks[key]
                elif key in _LAID and isinstance(own := tag[key], Map) and isinstance(value, Map):
                    tag[key] = _over(value, own)
            _drop_tag_nulls(tag, known)
    return tags


def _inherit(tag: Map, level: Map, known: frozenset[str] | None) -> Map:
    """The tag with inherited keys filled in and its nulls dropped."""
    result = Map(tag)
    marks = result.marks = tag.marks.copy()
    for key, value in level.items():
        if key not in tag:
            result[key] = value
            marks[key] = level.marks[key]
        elif key in _LAID and isinstance(own := tag[key], Map) and isinstance(value, Map):
            result[key] = _over(value, own)
    _drop_tag_nulls(result, known)
    return result


def _drop_tag_nulls(tag: Map, known: frozenset[str] | None) -> None:
    """Remove the keys of a tag, of its labels and its rules of quality, that are `null`."""
    rules = tag.get("quality")
    if isinstance(rules, Map) and None in rules.values():
        tag["quality"] = _without_nulls(rules)
    labels = tag.get("labels")
    if isinstance(labels, Map) and None in labels.values():
        tag["labels"] = _without_nulls(labels, _names(labels))
    _drop_nulls(tag, known)


def _drop_nulls(node: Map, known: frozenset[str] | None) -> None:
    """Remove keys that are `null`: of those that are known, where that is given. Binding reports the others."""
    if None in node.values():
        for key in [key for key, value in node.items() if value is None and (known is None or key in known)]:
            del node[key]


def _defaults(holder: Map) -> list[Map]:
    defaults = holder.get("defaults")
    return [defaults] if isinstance(defaults, Map) else []


def _levels(holder: Map) -> list[Map]:
    """What an area or a line hands down: keys of its own, then its `defaults`."""
    own = Map((key, holder[key]) for key in _HANDED_DOWN if holder.get(key) is not None)
    own.marks = holder.marks
    return [own, *_defaults(holder)] if own else _defaults(holder)


def _join(levels: list[Map], keys: frozenset[str]) -> Map:
    """The inherited keys of these levels, the nearest first; a `null` hides what lies further out."""
    result = Map()
    result.marks = {}
    for level in levels:
        for key in level:
            if key in keys and key not in result:
                result[key] = level[key]
                result.marks[key] = level.marks.get(key, 0)
            elif key in keys and key in _LAID and isinstance(level[key], Map) and isinstance(result[key], Map):
                result[key] = _over(level[key], result[key])
    return result if None not in result.values() else _without_nulls(result)


def _connection(levels: list[Map]) -> Map:
    """The levels' `defaults.connection`, the nearest first."""
    result = Map()
    result.marks = {}
    for level in levels:
        connection = level.get("connection")
        if isinstance(connection, Map):
            for key, value in connection.items():
                if key not in result:
                    result[key] = value
                    result.marks[key] = connection.marks.get(key, 0)
    return result
