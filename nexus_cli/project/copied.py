"""Whose runtime a command means, where that may surprise: in a copied site folder, whose `.nexus` names the addresses of
the runtime that it was copied from, and in the folder of another site than the one that was named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import RUNTIME_FILE, home_folder, home_of_current_folder

CONTROL, BROKER, DATABASE = "NEXUS_CONTROL_URL", "NEXUS_BROKER_URL", "NEXUS_DATABASE_URL"


def original(address: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The folder that this one was copied from, while that folder's runtime runs here and this one's does not.

    Args:
        address: The variable that names the server in question; when it is set, that server is used. "" always checks.
        environ: Variables of this process.
    """
    by_hand = address and (address in environ or f"{address}_FILE" in environ)
    if by_hand or "NEXUS_PART" in environ:  # a supervisor starts its own roles
        return None
    folder = home_folder(environ)
    if not (folder / RUNTIME_FILE).is_file():
        return None

    from nexus_cli.local.instances import original_of, parts_of  # noqa: PLC0415 - processes are looked at beside a runtime alone
    from nexus_cli.local.layout import Home  # noqa: PLC0415 - the same

    home = Home(folder.resolve())
    found = original_of(home)
    return None if found is None or parts_of(home) else found


def refuse_copy(address: str) -> None:
    """Refuse a change to the original's runtime from a copy of its folder.

    Raises:
        NexusError: NX6518.
    """
    found = original(address)
    if found is not None:
        raise NexusError(
            f"This folder is a copy of {found.parent}, whose runtime runs; nothing was changed.",
            code="NX6518",
            hint=f"nexus --home {found} … means that runtime; nexus up --beside starts a second one here",
        )


def notice_of_copy(address: str) -> str:
    """The notice above an answer from the original's runtime; "" where this is no copy."""
    found = original(address)
    return (
        "" if found is None else f"this folder is a copy of {found.parent}: the answer is from the runtime of that one"
    )


def notice_of_other_folder(address: str, environ: Mapping[str, str] = os.environ) -> str:
    """What to say where the site that was named has a runtime and the current folder another one; "" elsewhere.

    Args:
        address: As for `original`.
        environ: Variables of this process.
    """
    if address and (address in environ or f"{address}_FILE" in environ):
        return ""
    used, here = home_folder(environ).resolve(), home_of_current_folder(environ)
    if here is None or here.resolve() == used:
        return ""
    return f"this is the runtime of {used.parent}, where the site is, not the one of {here.resolve().parent}"
