"""Secrets never enter a plan: references stay references, plain text is masked and found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nexus_cli.json_value import JsonObject
from nexus_cli.model.secrets import is_reference, is_secret_key

MASK = "(sensitive)"


def plain_secrets(attributes: Mapping[str, Any] | None) -> Iterator[tuple[str, ...]]:
    """Where secrets are plain text in a device's attributes, e.g. `("connection", "password")`."""
    yield from _plain((attributes or {}).get("connection") or {}, ("connection",))


def _plain(value: object, where: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            here = (*where, str(key))
            if is_secret_key(str(key)) and isinstance(inner, str):
                if inner and not is_reference(inner):
                    yield here
            else:
                yield from _plain(inner, here)


def masked(attributes: Mapping[str, Any] | None) -> JsonObject | None:
    """The attributes as a plan shows them; shares what needs no masking."""
    if attributes is None:
        return None
    shown = dict(attributes)
    for where in plain_secrets(attributes):
        _replace(shown, where, MASK)
    return shown


def sensitive(attributes: Mapping[str, Any] | None) -> JsonObject:
    """Terraform's `before_sensitive`/`after_sensitive`: true at every place that was masked."""
    marks: JsonObject = {}
    for where in plain_secrets(attributes):
        _replace(marks, where, True)
    return marks


def _replace(root: JsonObject, where: tuple[str, ...], value: object) -> None:
    node = root
    for key in where[:-1]:
        node[key] = dict(node.get(key) or {})
        node = node[key]
    node[where[-1]] = value
