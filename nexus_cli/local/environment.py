"""The environment of a process that `nexus up` starts: the variables that it needs, and no others.

A variable can be read with access to the process (`/proc/PID/environ`, crash dumps, a debugger). So the password of a
device is passed to the gateway that connects to the device, and to no other role.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from nexus_cli.access.grants import CONTROL, HISTORIAN, WEB, WORKER, gateway_principal
from nexus_cli.model.snapshot import Snapshot

SYSTEM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TMP", "TEMP"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV", "PYTHON*", "LD_LIBRARY_PATH", "DYLD_*", "XDG_*"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
)
"""Variables that programs expect from an operating system; none has a secret."""
ROLE = (
    *(
        "NEXUS_BROKER_URL",
        "NEXUS_BROKER_USER",
        "NEXUS_BROKER_ACCOUNTS",
        "NEXUS_BROKER_PASSWORD",
        "NEXUS_BROKER_CA",
        "NEXUS_BROKER_CERT",
        "NEXUS_BROKER_KEY",
    ),
    *("NEXUS_HTTP_HOST", "NEXUS_HTTP_INSECURE"),
    *("NEXUS_LOG_FORMAT", "NEXUS_LOG_LEVEL", "NEXUS_CLOCK_SYNCHRONISED", "NEXUS_LIVE_RATE"),
    "NEXUS_HISTORIAN_WRITERS",
    *("NEXUS_WORKER_JOBS", "NEXUS_WORKER_KINDS"),
    *("NEXUS_EXPORTS_TO", "NEXUS_EXPORTS_KEEP_DAYS"),
    "NEXUS_EVENT_LOOP",
    "NEXUS_I3X_WRITES",
)
"""Settings of every role (`settings.load_settings`). Its token for control is that of `credentials.json`; one in a shell is
a person's."""
DATABASE = (
    *("NEXUS_DATABASE_URL", "NEXUS_DATABASE_PASSWORD", "PG*"),
    *("NEXUS_DATABASE_CA", "NEXUS_DATABASE_CERT", "NEXUS_DATABASE_KEY"),
)
"""Settings of the roles that use the database; `PG…` are PostgreSQL's (`PGPASSFILE`, `PGSSLROOTCERT`)."""
EXPORTS = ("NEXUS_EXPORTS_ENDPOINT", "NEXUS_EXPORTS_REGION", "NEXUS_EXPORTS_USER", "NEXUS_EXPORTS_PASSWORD")
"""Settings of the roles that write and read exports."""
LOCKS = "NEXUS_LOCKS"
"""The folder of the supervisor's lock (`local.lock`)."""
EXTRA = "NEXUS_PASS_ENVIRONMENT"
"""Comma-separated names of variables that each process gets in addition."""
_REFERENCE = re.compile(r"\$\{env:([^}]+)\}")


def environment_of(
    principal: str, environ: Mapping[str, str], *, references: Mapping[str, Iterable[str]]
) -> dict[str, str]:
    """The environment of one role.

    Args:
        principal: The role; "" for the supervisor, which passes on what the roles need.
        environ: The environment of the process that starts it.
        references: Names in `${env:…}`, by the principal that reads them.
    """
    patterns = [*SYSTEM, *_with_files(ROLE), EXTRA, *_names(environ.get(EXTRA, ""))]
    if principal in ("", CONTROL, HISTORIAN, WORKER):
        patterns += _with_files(DATABASE)
    if principal in ("", WEB, WORKER):
        patterns += _with_files(EXPORTS)
    if not principal:
        patterns.append(LOCKS)
    wanted = references.values() if not principal else [references.get(principal, ())]
    exact = {name for names in wanted for name in names}
    return {
        name: value
        for name, value in environ.items()
        if name in exact or any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def references_of(snapshot: Snapshot) -> dict[str, list[str]]:
    """The variables that each gateway's devices refer to (`${env:NAME}`), sorted, by gateway."""
    found: dict[str, set[str]] = {}
    for _, device in snapshot.of_kind("device"):
        names = set(_referred(device.get("connection")))
        if names:
            found.setdefault(str(device.get("gateway") or ""), set()).update(names)
    return {gateway: sorted(names) for gateway, names in sorted(found.items())}


def password_references_of(snapshot: Snapshot) -> list[str]:
    """The variables that passwords of users and applications refer to, sorted: control reads them."""
    return sorted({name for _, user in snapshot.of_kind("user") for name in _referred(user.get("password"))})


def notification_references_of(snapshot: Snapshot) -> list[str]:
    """The variables that channels and the archive refer to, sorted: the worker reads them."""
    kinds = ("channel", "archive")
    return sorted({name for kind in kinds for _, one in snapshot.of_kind(kind) for name in _referred(one)})


def signing_references_of(snapshot: Snapshot, *, gateways: Iterable[str]) -> dict[str, list[str]]:
    """The variables of signing keys by the principal that reads them, sorted.

    Gateways check with all keys; control, historian and web with those of external devices. Control and web sign with
    `NEXUS_SIGNING_KEY` where the site declares a key of theirs: without one `nexus up` makes it.
    """
    declared = (snapshot.resources.get("site") or {}).get("signatures")
    keys = (declared.get("keys") or {}).values() if isinstance(declared, Mapping) else ()
    found = {gateway_principal(name): {*_secrets(keys)} for name in gateways}
    of_devices = {*_secrets([key for key in keys if key.get("topics")])}
    signers = {name for key in keys for name in key.get("principals") or ()}
    for role in (CONTROL, HISTORIAN, WEB):
        found[role] = of_devices | (
            {*_with_files(["NEXUS_SIGNING_KEY"])} if role in signers & {CONTROL, WEB} else set()
        )
    return {name: sorted(names) for name, names in sorted(found.items()) if names}


def _secrets(keys: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    return (name for key in keys for name in _referred(key.get("secret")))


def _referred(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield from (name.strip() for name in _REFERENCE.findall(value))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _referred(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _referred(one)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _with_files(names: Iterable[str]) -> list[str]:
    """The names, each also with `_FILE` (the path of a file with the value)."""
    return [each for name in names for each in (name, f"{name}_FILE")]
