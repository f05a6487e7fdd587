"""Where things are and who we are: NEXUS_* variables over `.nexus/` files, frozen once at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from nexus_cli import setting_values as values
from nexus_cli.accounts import site_suffix
from nexus_cli.database_url import database_address, password_apart
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.exit_codes import Exit
from nexus_cli.setting_values import LIVE, environment, one_of, port, rate, text, wrong

LOG_FORMATS = ("text", "json")
ACCOUNTS = ("", "plain", "site")
LOG_LEVELS = ("debug", "info", "warning", "error")
RUNTIME_FILE = "runtime.json"
CREDENTIALS_FILE = "credentials.json"
_TAILS = {"postgresql": "/NAME"}


class EventLoop(StrEnum):
    """The event loop of a gateway and a historian (`NEXUS_EVENT_LOOP`).

    AUTO: uvloop where it is installed (`pip install 'nexus-cli[fast]'`), else asyncio's.
    ASYNCIO: asyncio's.
    """

    AUTO = "auto"
    ASYNCIO = "asyncio"


class I3xWrites(StrEnum):
    """What clients of i3X may change, each within its own rights (`NEXUS_I3X_WRITES`).

    OFF: Nothing.
    ON: Newest values, as commands.
    HISTORY: Stored values too: one is added or replaced, and the old one is in the audit trail.
    """

    OFF = "off"
    ON = "on"
    HISTORY = "history"


class ClockTrust(StrEnum):
    """How the machine's clock is verified (`NEXUS_CLOCK_SYNCHRONISED`).

    AUTO: The operating system where it reports its clock as synchronised; otherwise elapsed time without a step.
    REQUIRED: The operating system only: until it reports its clock as synchronised, every time is doubtful.
    YES: The site: the clock is right by other means, and every step of it is a correction.
    NO: Not trusted: every time is doubtful.
    """

    AUTO = "auto"
    REQUIRED = "required"
    YES = "1"
    NO = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every command and role needs to reach broker, control and database.

    Attributes:
        home: The `.nexus` folder: credentials, logs, process ids, outboxes, certificates.
        site: `enterprise/site` that a role serves.
        principal: User at the broker, e.g. `nexus.cli`, `nexus.gateway.gw-1`.
        control_url: Control's HTTP API.
        control_token: Bearer token; a secret.
        broker_url: `mqtt://`, `mqtts://`, `ws://` or `wss://host:port`, without credentials.
        broker_user: Broker user name: the principal's, with the site behind it when `NEXUS_BROKER_ACCOUNTS` is `site` (a
            broker that others use, too).
        broker_password: A secret.
        broker_ca: PEM file to trust for TLS, or None for the system's.
        broker_cert, broker_key: PEM files of our certificate for brokers that demand one, and of its key; "" shows none.
        database_url: `postgresql://user@host:port/name`, without the password.
        database_password: A secret.
        database_ca: PEM file to trust for TLS to the database; without `sslmode` in the URL it asks for verify-full.
        database_cert, database_key: PEM files of our certificate for a database that demands one, and of its key.
        http_host, listen: Where a role serves `/health`, `/metrics`, `/status`; where the parts of `nexus up` listen ("": loopback).
        http_port: 0 picks a free port.
        http_cert, http_key: PEM files of the certificate that a role shows, and of its key; "" serves without TLS.
        http_ca: PEM file to trust for control and the roles over https; "" for the system's.
        http_insecure: True lets a role serve other machines without TLS.
        listen: Where the parts of `nexus up` listen; "" for the loopback interface.
        log_format, log_level: `text` or `json`; `debug`, `info`, `warning`, `error`.
        live_rate_per_s: Most messages per second of a gateway's live view; above it older values are conflated. None, or 1 to
            1,000,000; the record (frames) has no such bound.
        historian_writers: Connections over which a historian stores, 1 to 16; all messages of a gateway go through one.
        worker_jobs: Jobs that a worker has in hand at most, 2 to 4000.
        worker_kinds: Globs of the kinds of jobs that a worker takes.
        exports: Where exports are, and how long.
        clock_synchronised: Who vouches for the machine's clock.
        event_loop: The event loop of a gateway and a historian.
        environment, environment_detail: `live`, `mock` or `replay`; a sentence about it, "" of the plant.
        i3x_writes: What clients of i3X may change.
        signing_key: What signs our commands, `ID:hmac-sha256:SECRET` or `ID:ed25519:BASE64`; "" is none; a secret.
        credentials: The whole credentials file (only control and `nexus up` read more than their own).
    """

    home: Path = Path(".nexus")
    site: str = ""
    principal: str = "nexus.cli"
    control_url: str = ""
    control_token: str = field(default="", repr=False)
    broker_url: str = ""
    broker_user: str = ""
    broker_password: str = field(default="", repr=False)
    broker_ca: str = ""
    broker_cert: str = ""
    broker_key: str = ""
    database_url: str = ""
    database_password: str = field(default="", repr=False)
    database_ca: str = ""
    database_cert: str = ""
    database_key: str = ""
    http_host: str = "127.0.0.1"
    http_port: int = 0
    http_cert: str = ""
    http_key: str = ""
    http_ca: str = ""
    http_insecure: bool = False
    listen: str = ""
    log_format: str = "text"
    log_level: str = "info"
    live_rate_per_s: float | None = None
    historian_writers: int = values.HISTORIAN_WRITERS
    worker_jobs: int = values.WORKER_JOBS
    worker_kinds: tuple[str, ...] = ("*",)
    exports: values.ExportPlace = values.EXPORTS
    clock_synchronised: ClockTrust = ClockTrust.AUTO
    event_loop: EventLoop = EventLoop.AUTO
    environment: str = LIVE
    environment_detail: str = ""
    i3x_writes: I3xWrites = I3xWrites.OFF
    signing_key: str = field(default="", repr=False)
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)


def load_settings(
    *, principal: str = "nexus.cli", environ: Mapping[str, str] | None = None, home: Path | None = None
) -> Settings:
    """Join defaults, `.nexus/runtime.json`, `.nexus/credentials.json` and NEXUS_* variables (the last wins).

    A variable `NEXUS_X_FILE` names a file that holds the value of `NEXUS_X` (for mounted secrets).

    Args:
        principal: Selects our own secrets in the credentials file.
        environ: Instead of the process environment.
        home: Instead of `home_folder`.

    Raises:
        NexusError: NX6001, a file is unreadable (exit code 6) or not JSON (1), or a variable is not possible (64).
    """
    env = os.environ if environ is None else environ
    folder = home or home_folder(env)
    runtime = _read_json(folder / RUNTIME_FILE, sections=("http_ports",))
    credentials = _read_json(
        folder / CREDENTIALS_FILE, sections=("api", "broker", "database", "signing", "signing_public")
    )

    def pick(name: str, fallback: object) -> str:
        if name in env:
            return text(name, env[name])
        if f"{name}_FILE" in env:
            return _read_secret(f"{name}_FILE", env[f"{name}_FILE"])
        return str(fallback or "")

    database_url, database_password = password_apart(
        database_address(pick("NEXUS_DATABASE_URL", runtime.get("database_url")))
    )
    site = _site(pick("NEXUS_SITE", runtime.get("site")))
    named = one_of("NEXUS_BROKER_ACCOUNTS", pick("NEXUS_BROKER_ACCOUNTS", runtime.get("broker_accounts")), ACCOUNTS)
    suffix = site_suffix(*site.split("/")) if named == "site" and site else ""
    return Settings(
        home=folder,
        site=site,
        principal=principal,
        control_url=_url("NEXUS_CONTROL_URL", pick("NEXUS_CONTROL_URL", runtime.get("control_url")), ("http", "https")),
        control_token=pick("NEXUS_CONTROL_TOKEN", credentials.get("api", {}).get(principal)),
        broker_url=pick("NEXUS_BROKER_URL", runtime.get("broker_url")),
        broker_user=pick("NEXUS_BROKER_USER", principal + suffix),
        broker_password=pick("NEXUS_BROKER_PASSWORD", credentials.get("broker", {}).get(principal)),
        broker_ca=pick("NEXUS_BROKER_CA", runtime.get("broker_ca")),
        broker_cert=pick("NEXUS_BROKER_CERT", runtime.get("broker_cert")),
        broker_key=pick("NEXUS_BROKER_KEY", runtime.get("broker_key")),
        database_url=database_url,
        database_password=pick(
            "NEXUS_DATABASE_PASSWORD", database_password or credentials.get("database", {}).get("nexus")
        ),
        database_ca=pick("NEXUS_DATABASE_CA", runtime.get("database_ca")),
        database_cert=pick("NEXUS_DATABASE_CERT", runtime.get("database_cert")),
        database_key=pick("NEXUS_DATABASE_KEY", runtime.get("database_key")),
        http_host=pick("NEXUS_HTTP_HOST", runtime.get("listen")) or "127.0.0.1",
        http_port=port(pick("NEXUS_HTTP_PORT", runtime.get("http_ports", {}).get(principal, 0))),
        http_cert=pick("NEXUS_HTTP_CERT", runtime.get("http_cert")),
        http_key=pick("NEXUS_HTTP_KEY", runtime.get("http_key")),
        http_ca=pick("NEXUS_HTTP_CA", runtime.get("http_ca")),
        http_insecure=one_of("NEXUS_HTTP_INSECURE", pick("NEXUS_HTTP_INSECURE", "0"), ("0", "1")) == "1",
        listen=str(runtime.get("listen") or ""),
        log_format=one_of("NEXUS_LOG_FORMAT", pick("NEXUS_LOG_FORMAT", "text"), LOG_FORMATS),
        log_level=one_of("NEXUS_LOG_LEVEL", pick("NEXUS_LOG_LEVEL", "info").lower(), LOG_LEVELS),
        live_rate_per_s=rate(pick("NEXUS_LIVE_RATE", "off")),
        historian_writers=values.writers(pick("NEXUS_HISTORIAN_WRITERS", values.HISTORIAN_WRITERS)),
        worker_jobs=values.jobs(pick("NEXUS_WORKER_JOBS", values.WORKER_JOBS)),
        worker_kinds=values.globs(pick("NEXUS_WORKER_KINDS", "*")),
        exports=values.export_place(pick),
        clock_synchronised=ClockTrust(
            one_of("NEXUS_CLOCK_SYNCHRONISED", pick("NEXUS_CLOCK_SYNCHRONISED", "") or "auto", tuple(ClockTrust))
        ),
        event_loop=EventLoop(one_of("NEXUS_EVENT_LOOP", pick("NEXUS_EVENT_LOOP", "auto"), tuple(EventLoop))),
        environment=environment(pick("NEXUS_ENVIRONMENT", ""), runtime.get("environment")),
        environment_detail=pick("NEXUS_ENVIRONMENT_DETAIL", runtime.get("environment_detail")),
        i3x_writes=I3xWrites(one_of("NEXUS_I3X_WRITES", pick("NEXUS_I3X_WRITES", "off"), tuple(I3xWrites))),
        signing_key=pick("NEXUS_SIGNING_KEY", credentials.get("signing", {}).get(principal)),
        credentials=credentials,
    )


look_from: ContextVar[Path | None] = ContextVar("look_from", default=None)
"""The folder of the site that a command was given: its `.nexus` is looked for from there upwards."""
HOME_NAME = ".nexus"


def home_folder(environ: Mapping[str, str]) -> Path:
    """The `.nexus` folder: the one that NEXUS_HOME names, else that of the site's folder or of one above it (as `git`
    finds its own), else that of the current folder or of one above it, else the one to be made here."""
    if "NEXUS_HOME" in environ:
        return Path(environ["NEXUS_HOME"])
    try:
        here = Path.cwd()
    except OSError:  # the current folder was removed
        return Path(HOME_NAME)
    site = look_from.get()
    found = (_above(site.absolute()) if site is not None else None) or _above(here)
    if found is None or found.parent == here:
        return Path(HOME_NAME)
    return found


def home_of_current_folder(environ: Mapping[str, str]) -> Path | None:
    """The `.nexus` folder of the current folder or of one above it; None where there is none, or NEXUS_HOME names one."""
    try:
        return None if "NEXUS_HOME" in environ else _above(Path.cwd())
    except OSError:  # the current folder was removed
        return None


def home_here(environ: Mapping[str, str]) -> Path:
    """The `.nexus` folder that a new runtime gets: the one that NEXUS_HOME names, else the current folder's."""
    return Path(environ.get("NEXUS_HOME", HOME_NAME))


def _above(start: Path) -> Path | None:
    """The nearest `.nexus` with a runtime in it. One that belongs to another user than the folder we begin in, and
    not to us, is not taken for ours: what it says is sent, and what it names is ended."""
    try:
        owners = {start.stat().st_uid, os.getuid() if hasattr(os, "getuid") else 0}
    except OSError:
        return None
    for folder in (start, *start.parents):
        home = folder / HOME_NAME
        try:
            ours = any((home / name).is_file() for name in (RUNTIME_FILE, CREDENTIALS_FILE))
            if ours and home.stat().st_uid in owners:
                return home
        except OSError:
            continue
    return None


def unreadable(path: Path, error: OSError) -> NexusError:
    """NX6001 with exit code 6, for a file of a `.nexus` folder that the machine does not let us read."""
    hint = "`--home` or NEXUS_HOME names the .nexus folder"
    if isinstance(error, PermissionError):
        hint = "only the user who ran `nexus up` may read it: be that user, or set NEXUS_* (docs/cli.md)"
    cause = error.strerror or str(error)
    return NexusError(f"The file {path} can't be read.", code="NX6001", cause=cause, hint=hint, exit_code=Exit.OUTSIDE)


def _url(name: str, value: str, schemes: tuple[str, ...]) -> str:
    """An address as it is; refused when it can't be one. Credentials in it are not repeated."""
    try:
        parts = urlsplit(value)
        possible = not value or (parts.scheme in schemes and (parts.port or 1) > 0)
    except ValueError:
        possible = False
    if not possible:
        raise wrong(f"{name} is not an address.", hint=f"write {schemes[0]}://HOST:PORT{_TAILS.get(schemes[0], '')}")
    if "@" in urlsplit(value).netloc and schemes[0] == "http":
        hint = "the token belongs in NEXUS_CONTROL_TOKEN (or NEXUS_CONTROL_TOKEN_FILE)"
        raise wrong(f"{name} holds credentials; they would show in messages and logs.", hint=hint)
    return value


def _site(value: str) -> str:
    if value and (value.count("/") != 1 or not all(value.split("/"))):
        raise wrong(f"NEXUS_SITE is '{value}'.", hint="write ENTERPRISE/SITE, as the site file names them")
    return value


def _read_json(path: Path, *, sections: tuple[str, ...]) -> dict[str, Any]:
    try:
        data = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError as error:
        raise _broken(path, str(error)) from None
    if not isinstance(data, dict):
        raise _broken(path, "it is not a JSON object")
    for name in sections:
        if not isinstance(data.get(name, {}), dict):
            raise _broken(path, f"'{name}' is not a JSON object")
    return data


def _broken(path: Path, cause: str) -> NexusError:
    hint = "remove it, and `nexus up` writes a new one: rows and credentials stay"
    if path.name == CREDENTIALS_FILE:
        hint = "restore it from a backup: the broker and the database know the secrets in it"
    return NexusError(
        f"The file {path} is not what nexus wrote.", code="NX6001", cause=cause, hint=hint, exit_code=Exit.FINDINGS
    )


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        cause = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise wrong(f"The secret file {path} can't be read.", cause=cause, hint=f"{variable} names it") from None
