"""Secrets: referred to, not written down, and not sent in the open."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.secrets import is_reference, is_secret_key, password_in_url, references


def secret_in_plain_text(view: View) -> Iterator[Diagnostic]:
    """NX3005."""
    for device in view.devices:
        for key, value in device.connection or ():
            if not isinstance(value, str) or not value:
                continue
            where = (*device.where, "connection", key)
            if is_secret_key(key) and not is_reference(value):
                partly = "is partly written" if references(value) else "is"
                hint = f"{key}: '${{env:NAME}}' or '${{file:PATH}}', with nothing around it"
                yield finding("NX3005", f"'{key}' {partly} in plain text", where=where, hint=hint)
            elif password_in_url(value):
                hint = "give user and password as keys of their own"
                yield finding("NX3005", f"'{key}' has a password in plain text", where=where, hint=hint)


def reference_not_resolved(view: View) -> Iterator[Diagnostic]:
    """NX0054 in a connection; `source` finds it everywhere else."""
    for device in view.devices:
        resolved = device.kind.resolved_keys if device.kind is not None else frozenset()
        for key, value in device.connection or ():
            if isinstance(value, str) and key not in resolved and (found := references(value)):
                message = f"'{key}' is used as it is written: {found[0]} is not replaced there"
                hint = f"references are resolved in {', '.join(sorted(resolved))}; use ${{var:NAME}} here"
                yield finding("NX0054", message, where=(*device.where, "connection", key), hint=hint)


def password_unprotected(view: View) -> Iterator[Diagnostic]:
    """NX3006."""
    for device in view.devices:
        connection = device.connection
        if getattr(connection, "password", None) and getattr(connection, "security", "") == "None":
            yield finding(
                "NX3006",
                "with security None the password can be read on the network",
                where=(*device.where, "connection", "password"),
                on_key=True,
                hint="security: Basic256Sha256/SignAndEncrypt",
            )


CHECKS = (secret_in_plain_text, reference_not_resolved, password_unprotected)
