"""Secrets: referred to, not written down, and not sent in the open."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic

_REFERENCE = re.compile(r"\$\{(env|file):[^}]+\}")
_SECRET_KEYS = ("password", "secret", "token", "passphrase", "api_key")


def secret_in_plain_text(view: View) -> Iterator[Diagnostic]:
    """NX3005."""
    for device in view.model.devices.values():
        if device.connection is None:
            continue
        for key, value in device.connection:
            if (
                isinstance(value, str)
                and value
                and any(word in key for word in _SECRET_KEYS)
                and not _REFERENCE.search(value)
            ):
                message = f"'{key}' stands in plain text"
                hint = f"{key}: '${{env:NAME}}' or '${{file:PATH}}'"
                yield finding("NX3005", message, where=(*device.where, "connection", key), hint=hint)
        for key, value in device.connection:
            if isinstance(value, str) and re.search(r"://[^/@\s:]+:[^/@\s]+@", value) and not _REFERENCE.search(value):
                message = f"'{key}' has a password in plain text"
                where = (*device.where, "connection", key)
                yield finding("NX3005", message, where=where, hint="give user and password as keys of their own")


def password_unprotected(view: View) -> Iterator[Diagnostic]:
    """NX3006."""
    for device in view.model.devices.values():
        connection = device.connection
        if getattr(connection, "password", None) and getattr(connection, "security", "") == "None":
            yield finding(
                "NX3006",
                "with security None the password can be read on the network",
                where=(*device.where, "connection", "password"),
                on_key=True,
                hint="security: Basic256Sha256/SignAndEncrypt",
            )


CHECKS = (secret_in_plain_text, password_unprotected)
