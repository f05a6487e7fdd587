"""Telegraf's `inputs.opcua` and `inputs.opcua_listener`.

Source: Telegraf, plugins/inputs/opcua and opcua_listener (README, plugins/common/opcua).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.discover.importers.settings import Settings
from nexus_cli.discover.site_keys import TagKeys
from nexus_cli.drivers.opcua.address import escape_uri
from nexus_cli.drivers.opcua.kind import Security

POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
NO_USE = {
    "locales": "texts come in the server's own language",
    "read_retry_timeout": "a link backs off by itself",
    "read_retry_count": "a link backs off by itself",
    "reconnect_error_threshold": "a link backs off by itself",
    "connect_fail_behavior": "a link backs off by itself",
    "timestamp": "gateway time and source time are both kept",
    "timestamp_format": "times are integers",
    "client_trace": "NEXUS logs changes of state",
    "optional_fields": "the type is in the configuration",
    "workarounds": "limits are found by themselves, or set in the connection",
    "request_workarounds": "limits are found by themselves, or set in the connection",
    "events": "events have no counterpart",
    "browse": "run a discovery of the server instead",
}
UNKNOWN_TYPE = "json"
"""Telegraf does not say what type a node has; this one takes whatever comes."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """Settings of a group for its nodes."""

    namespace: str = ""
    namespace_uri: str = ""
    identifier_type: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def read_opcua(settings: Settings) -> None:
    """One `[[inputs.opcua]]`: polled."""
    _read(settings, mode=None)


def read_listener(settings: Settings) -> None:
    """One `[[inputs.opcua_listener]]`: subscribed."""
    _read(settings, mode="subscribe")


def _read(settings: Settings, *, mode: str | None) -> None:
    _connection(settings)
    poll = settings.duration("interval" if mode is None else "subscription_interval")
    measurement = settings.text("name")
    common: TagKeys = {"mode": mode, "poll": poll}
    for node in settings.tables("nodes"):
        _node(settings, node, _Defaults(), measurement, common)
    for group in settings.tables("group"):
        inner = Settings(group, where=f"{settings.where}.group", collector=settings.collector)
        name = inner.text("name") or measurement
        defaults = _Defaults(
            namespace=inner.text("namespace"),
            namespace_uri=inner.text("namespace_uri"),
            identifier_type=inner.text("identifier_type"),
            labels=inner.labels("default_tags"),
        )
        sampling = inner.duration("sampling_interval")
        for node in inner.tables("nodes"):
            _node(inner, node, defaults, name, {**common, "sampling": sampling})
        inner.rest()
    if settings.collector.options.format != "" or settings.has("nodes") or settings.has("group"):
        settings.collector.note(
            f"{settings.where}: types",
            "Telegraf names no types; the tags are json until a discovery of the server says more",
        )
    settings.without_use(NO_USE)


def _node(
    settings: Settings,
    written: Mapping[str, Any],
    defaults: _Defaults,
    measurement: str,
    common: TagKeys,
) -> None:
    collector = settings.collector
    inner = Settings(written, where=str(written.get("name") or "a node without a name"), collector=collector)
    with collector.entry(inner.where):
        name = inner.text("name")
        identifier = _identifier(inner, defaults)
        labels = {**defaults.labels, **inner.labels("default_tags")}
        tag: TagKeys = {"node": identifier, "type": UNKNOWN_TYPE, **common, "labels": labels or None}
        for parameters in inner.tables("monitoring_params"):
            _monitoring(inner, parameters, tag)
        inner.rest()
        if not name or not identifier:
            collector.skip(inner.where, "it has no name" if identifier else "it has no node id")
            return
        path = (measurement, name) if measurement not in ("", "opcua", "opcua_listener") else (name,)
        collector.take(path, tag)


def _identifier(inner: Settings, defaults: _Defaults) -> str:
    """`id`, or namespace, type and identifier put together; "" when there is none."""
    whole = inner.text("id")
    uri = inner.text("namespace_uri") or defaults.namespace_uri
    index = inner.text("namespace") or ("" if uri else defaults.namespace)
    kind = inner.text("identifier_type") or defaults.identifier_type
    identifier = inner.text("identifier")
    if whole:
        return whole
    if not identifier:
        return ""
    space = f"nsu={escape_uri(str(uri))};" if uri else f"ns={index};" if index else ""
    return f"{space}{kind or 's'}={identifier}"


def _monitoring(inner: Settings, parameters: Mapping[str, Any], tag: TagKeys) -> None:
    settings = Settings(parameters, where=f"{inner.where}: monitoring_params", collector=inner.collector)
    tag["sampling"] = settings.duration("sampling_interval") or tag.get("sampling")
    tag["queue"] = settings.number("queue_size") or None
    tag["discard_oldest"] = settings.get("discard_oldest", bool)
    for table in settings.tables("data_change_filter"):
        change = Settings(table, where=f"{settings.where}.data_change_filter", collector=inner.collector)
        tag["trigger"] = change.text("trigger") or None
        kind = change.text("deadband_type", "None")
        value = change.get("deadband_value", (int, float))
        if kind != "None" and value:
            change.note(
                "deadband_type", f"a deadband ({kind} {value}) needs a number; set `device_deadband` with the type"
            )
        change.rest()
    settings.rest()


def _connection(settings: Settings) -> None:
    connection = settings.collector.connection
    if endpoint := settings.text("endpoint"):
        connection["endpoint"] = endpoint
    for key, ours in (
        ("connect_timeout", "connect_timeout"),
        ("request_timeout", "timeout"),
        ("session_timeout", "session_timeout"),
    ):
        if duration := settings.duration(key):
            connection[ours] = duration
    policy, mode = settings.text("security_policy", "auto"), settings.text("security_mode", "auto")
    if policy in POLICIES and mode in ("Sign", "SignAndEncrypt"):
        connection["security"] = f"{policy}/{mode}"
    elif policy == "None" and mode in ("None", "auto"):
        connection["security"] = "None"
    elif settings.has("security_policy") or settings.has("security_mode"):
        known = ", ".join(item for item in Security.__args__ if item != "None")  # type: ignore[attr-defined]
        settings.note("security_policy", f"'{policy}' with '{mode}' has no counterpart; write security: one of {known}")
    method = settings.text("auth_method", "Anonymous")
    user = settings.text("username")
    if user and method == "UserName":
        connection["user"] = user
    if method not in ("Anonymous", "UserName"):
        settings.note("auth_method", f"'{method}' has no counterpart")
    if settings.has("password"):
        settings.note("password", "secrets are not taken over; write password: '${env:NAME}'")
    certificate, key = settings.text("certificate"), settings.text("private_key")
    if certificate and key:
        connection.update(certificate=certificate, private_key=key)
    if trust := settings.text("remote_certificate"):
        if connection.get("security", "None") != "None":
            connection["trust"] = trust
        else:
            settings.note("remote_certificate", "without security no certificate is checked")
