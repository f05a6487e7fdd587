"""Stage 2, bind: the expanded tree becomes the typed model, each device read by its protocol's kind.

Nothing stops at the first mistake: what has errors is left out of the model, and the rest is bound, so that
one run shows everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.outcome import Outcome
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.model.bound import BoundDevice, BoundTag, Model
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.model.external import EXTERNAL, ExternalDevice, ExternalTag
from nexus_cli.model.foreign_keys import of_another_protocol
from nexus_cli.model.gateways import taken
from nexus_cli.model.kept import KeptDevice
from nexus_cli.model.problems import findings_of, locations_of, unknown_key
from nexus_cli.model.site import Connection, Device, Inherited, Site

__all__ = ["BoundDevice", "BoundTag", "Model", "bind", "collection_paused"]

_SKELETON: JsonObject = {"nexus": 1, "enterprise": "", "site": ""}
_ROUNDS = 50
NOTHING: Mapping[str, str] = {}
NONE_KEPT: Mapping[str, KeptDevice] = {}


def bind(
    root: object,
    kinds: Mapping[str, DriverKind],
    *,
    broken: Mapping[str, str] = NOTHING,
    kept: Mapping[str, KeptDevice] = NONE_KEPT,
) -> Outcome[Model]:
    """Bind an expanded tree to the protocols.

    Args:
        root: The tree of `source`: includes, overlays, variables, templates and inheritance resolved.
        kinds: The protocols by name, `external` apart.
        broken: What is wrong with installed drivers that can't be used, by protocol.
        kept: Devices that are known without their text, by path; they are bound when more is asked of them.

    Returns:
        The model of everything that has no errors, and every error. None when the text is not a map at all.
    """
    if not isinstance(root, Mapping):
        return Outcome(None, (finding("NX1011", "the site file must be a map", hint="begin with 'nexus: 1'"),))
    found: list[Diagnostic] = []
    with collection_paused():
        site = _lenient(_adapter(Site), dict(root), base=(), shape=Site, found=found, skeleton=_SKELETON)
        if site is None:
            return Outcome(None, tuple(found))
        found.extend(_strange_defaults(site))
        devices: dict[str, BoundDevice] = {}
        declared: list[str] = []
        read: _Read = {}
        for path, where, raw in _devices(site):
            if (known := kept.get(path)) is not None:
                devices[path] = known
                declared.extend(known.paths())
                continue
            declared.extend(_declared(path, raw))
            if isinstance(protocol := raw.get("protocol"), str) and protocol in broken:
                hint = "repair or remove that package"
                found.append(finding("NX1009", broken[protocol], where=(*where, "protocol"), hint=hint))
                continue
            device = _bind_device(path, where, raw, kinds, found, read)
            if device is not None:
                devices[path] = device
    model = Model(site=site, devices=devices, declared=frozenset(declared), faulty=_faulty(root, site))
    return Outcome(_with_gateways(model), tuple(found))


def bind_device(
    raw: Mapping[str, Any], path: str, where: ModelPath, kinds: Mapping[str, DriverKind]
) -> BoundDevice | None:
    """One expanded device, without its gateway; None when it has errors that leave nothing of it."""
    return _bind_device(path, where, raw, kinds, [], {})


_Read = dict[tuple[int, str], Mapping[str, Any]]
"""Tags already validated, by the id of their map and protocol: devices of one template share one map."""


def _devices(site: Site) -> Iterator[tuple[str, ModelPath, Mapping[str, Any]]]:
    for area_name, area in site.areas.items():
        for line_name, line in area.lines.items():
            for name, raw in line.devices.items():
                where = ("areas", area_name, "lines", line_name, "devices", name)
                yield f"{area_name}/{line_name}/{name}", where, raw


def _strange_defaults(site: Site) -> Iterator[Diagnostic]:
    """Unknown keys of `defaults`: nothing inherits them, so no device would report them."""
    levels: list[tuple[ModelPath, Mapping[str, Any]]] = [((), site.defaults)]
    for area_name, area in site.areas.items():
        levels.append((("areas", area_name), area.defaults))
        levels.extend((("areas", area_name, "lines", name), line.defaults) for name, line in area.lines.items())
    known = [*Inherited.model_fields, "connection"]
    for where, defaults in levels:
        for key, value in defaults.items():
            if key not in known:
                yield unknown_key(str(key), value, known, where=(*where, "defaults", key))


def _declared(path: str, raw: Mapping[str, Any]) -> Iterator[str]:
    for section in ("tags", "calculated"):
        names = raw.get(section)
        if isinstance(names, Mapping):
            yield from (f"{path}/{name}" for name in names)


def _faulty(root: Mapping[str, Any], site: Site) -> dict[str, frozenset[str]]:
    """Names of the text that the bound site lacks: a reference to one is not wrong itself."""
    access = root.get("access")
    inner = access if isinstance(access, Mapping) else {}
    sections: dict[str, tuple[object, Iterable[str]]] = {
        "retention": (root.get("retention"), site.retention),
        "messages": (root.get("messages"), site.messages),
        "sequences": (root.get("sequences"), site.sequences),
        "alerts": (root.get("alerts"), site.alerts),
        "gateways": (root.get("gateways"), site.gateways),
        "views": (root.get("views"), site.views),
        "access.roles": (inner.get("roles"), site.access.roles),
        "access.users": (inner.get("users"), site.access.users),
        "access.applications": (inner.get("applications"), site.access.applications),
        "access.groups": (inner.get("groups"), site.access.groups),
    }
    return {
        name: frozenset(str(one) for one in written if one not in sound)
        for name, (written, sound) in sections.items()
        if isinstance(written, Mapping)
    }


def _with_gateways(model: Model) -> Model:
    home = {
        device.path: each.gateways[0]
        for each in taken(model.site, model.devices.values())
        if each.gateways
        for device in each.devices
    }
    devices = {path: device.at(home[path]) if path in home else device for path, device in model.devices.items()}
    return replace(model, devices=devices)


def _bind_device(
    path: str,
    where: ModelPath,
    raw: Mapping[str, Any],
    kinds: Mapping[str, DriverKind],
    found: list[Diagnostic],
    read: _Read,
) -> BoundDevice | None:
    protocol = raw.get("protocol")
    kind = kinds.get(protocol) if isinstance(protocol, str) else None
    known = kind is not None or protocol == EXTERNAL
    if isinstance(protocol, str) and not known:
        hint = did_you_mean(protocol, [*kinds, EXTERNAL])
        found.append(finding("NX1009", f"unknown protocol '{protocol}'", where=(*where, "protocol"), hint=hint))
    elif protocol is None and "protocol" not in raw:
        hint = f"add 'protocol: {' | '.join([*kinds, EXTERNAL])}', or a template that has one"
        found.append(finding("NX1002", f"'{where[-1]}' lacks the key 'protocol'", where=where, hint=hint))
    shell = {key: value for key, value in raw.items() if key not in ("tags", "connection")}
    if not isinstance(protocol, str):
        shell.setdefault("protocol", "")
    shape = ExternalDevice if protocol == EXTERNAL else Device
    device = _lenient(_adapter(shape), shell, base=where, shape=shape, found=found, skeleton={"protocol": ""})
    if device is None:
        return None
    connection = _connection(raw, where, kind, kinds, found) if kind else None
    link = _link(kind, connection, where, found) if kind and connection is not None else ""
    if protocol == EXTERNAL and raw.get("connection"):
        found.append(
            finding(
                "NX1016",
                "an external device has no connection: others publish it",
                where=(*where, "connection"),
                on_key=True,
                hint="remove it, or name the protocol that NEXUS should use",
            )
        )
    tags = _tags(raw.get("tags", {}), where, kind, connection, found, read) if known else {}
    return BoundDevice(path=path, where=where, device=device, kind=kind, connection=connection, tags=tags, link=link)


def _connection(
    raw: Mapping[str, Any],
    where: ModelPath,
    kind: DriverKind,
    kinds: Mapping[str, DriverKind],
    found: list[Diagnostic],
) -> Connection | None:
    value = raw.get("connection", {})
    base = (*where, "connection") if "connection" in raw else where
    try:
        return _adapter(kind.connection).validate_python(value)  # type: ignore[no-any-return]
    except ValidationError as error:
        foreign = of_another_protocol(value, kind, kinds, where=base)
        found.extend([foreign] if foreign else findings_of(error, base=base, raw=value, shape=kind.connection))
        return None


def _link(kind: DriverKind, connection: Connection, where: ModelPath, found: list[Diagnostic]) -> str:
    try:
        return kind.link_of(connection)
    except AddressError as error:
        found.append(finding(error.code, str(error), where=(*where, "connection", error.key), hint=error.hint))
        return ""


def _tags(
    raw: object,
    where: ModelPath,
    kind: DriverKind | None,
    connection: Connection | None,
    found: list[Diagnostic],
    read: _Read,
) -> dict[str, BoundTag]:
    shape: Any = kind.tag if kind else ExternalTag
    base = (*where, "tags")
    key = (id(raw), kind.name if kind else EXTERNAL)
    tags = read.get(key)
    if tags is None:
        before = len(found)
        tags = _lenient(_tag_adapter(shape), raw, base=base, shape=dict[str, shape], found=found, skeleton={})
        if tags and len(found) == before:
            read[key] = tags  # with errors, each device gets findings of its own
    if not tags:
        return {}
    if kind is None or connection is None:
        return {name: BoundTag(tag, None, (*base, name)) for name, tag in tags.items()}
    address_of = kind.address_of
    bound: dict[str, BoundTag] = {}
    for name, tag in tags.items():
        place = (*base, name)
        address: Address | None = None
        try:
            address = address_of(connection, tag)
        except AddressError as error:
            at = (*place, error.key) if _written(raw, name, error.key) else place
            found.append(finding(error.code, str(error), where=at, hint=error.hint))
        bound[name] = BoundTag(tag, address, place)
    return bound


def _written(raw: object, name: str, key: str) -> bool:
    tag = raw.get(name) if isinstance(raw, Mapping) else None
    return isinstance(tag, Mapping) and key in tag


@lru_cache(maxsize=64)
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


@lru_cache(maxsize=64)
def _tag_adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(dict[str, shape])


def _lenient(
    adapter: TypeAdapter[Any], raw: object, *, base: ModelPath, shape: Any, found: list[Diagnostic], skeleton: object
) -> Any:
    """Validate; on errors report them all, cut out what has them, and validate the rest.

    `skeleton` gives placeholders for keys that the top lacks (or has wrong) and can't do without.
    """
    value = raw
    for attempt in range(_ROUNDS):
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            if attempt == 0:
                found.extend(findings_of(error, base=base, raw=value, shape=shape))
            value = _without(value, _tree(locations_of(error, value)))
            if not isinstance(value, Mapping):
                return None
            value = {**skeleton, **value} if isinstance(skeleton, Mapping) else value
    return None


def _tree(cuts: Iterable[ModelPath]) -> dict[Any, Any] | None:
    """Places as a tree by their steps; None is a whole node, and takes precedence over what is below it."""
    root: dict[Any, Any] = {}
    for cut in cuts:
        if not cut:
            return None
        node = root
        for step in cut[:-1]:
            inner = node.setdefault(step, {})
            if inner is None:
                break
            node = inner
        else:
            node[cut[-1]] = None
    return root


def _without(node: Any, cuts: dict[Any, Any] | None) -> Any:
    """A copy without the nodes of a tree of places, each map and list copied once; the top itself becomes an empty map."""
    if cuts is None:
        return dict(node) if isinstance(node, Mapping) else {}
    if isinstance(node, Mapping):
        pairs: Iterable[tuple[Any, Any]] = node.items()
    elif isinstance(node, list):
        pairs = enumerate(node)
    else:
        return node
    whole = object()
    kept = [
        (key, value if inner is whole else _without(value, inner))
        for key, value in pairs
        if (inner := cuts.get(key, whole)) is not None
    ]
    return dict(kept) if isinstance(node, Mapping) else [value for _, value in kept]
