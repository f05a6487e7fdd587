"""Where EMQX's REST API is, and the API key: from NEXUS_EMQX_* alone, never from an argument."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from nexus_cli.diagnostics.errors import NexusError

_HINT = "set NEXUS_EMQX_URL, NEXUS_EMQX_KEY and NEXUS_EMQX_SECRET_FILE (docs/emqx.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmqxSettings:
    """How to reach the API.

    Attributes:
        url: `https://host:18084`, without path and credentials; `http://` for loopback addresses alone.
        key: Name of the API key.
        secret: Its secret.
        ca: PEM file of the CA to trust; "" for the system's.
    """

    url: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    ca: str = ""


def names_emqx(environ: Mapping[str, str] | None = None) -> bool:
    """Whether NEXUS_EMQX_URL names an EMQX, rightly or not."""
    env = os.environ if environ is None else environ
    return bool(env.get("NEXUS_EMQX_URL") or env.get("NEXUS_EMQX_URL_FILE"))


def load_emqx(*, broker_ca: str = "", environ: Mapping[str, str] | None = None) -> EmqxSettings:
    """Read NEXUS_EMQX_URL, NEXUS_EMQX_KEY, NEXUS_EMQX_SECRET and NEXUS_EMQX_CA; `NAME_FILE` names a file with the value.

    Args:
        broker_ca: Used where NEXUS_EMQX_CA is not set.
        environ: Instead of the process environment.

    Raises:
        NexusError: NX7033, one is missing or not possible. No secret is repeated.
    """
    env = os.environ if environ is None else environ
    url, key, secret = (_pick(env, name) for name in ("NEXUS_EMQX_URL", "NEXUS_EMQX_KEY", "NEXUS_EMQX_SECRET"))
    for name, value in (("NEXUS_EMQX_URL", url), ("NEXUS_EMQX_KEY", key), ("NEXUS_EMQX_SECRET", secret)):
        if not value:
            raise _wrong(f"{name} is not set.")
    if not key.isascii() or ":" in key or not secret.isascii():
        raise _wrong("NEXUS_EMQX_KEY and NEXUS_EMQX_SECRET are not a key and a secret that EMQX gave.")
    return EmqxSettings(url=_address(url), key=key, secret=secret, ca=_pick(env, "NEXUS_EMQX_CA") or broker_ca)


def _pick(env: Mapping[str, str], name: str) -> str:
    if name in env:
        return env[name].strip()
    file = env.get(f"{name}_FILE")
    if file is None:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        cause = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _wrong(f"The file {file} that {name}_FILE names can't be read.", cause=cause) from None


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        possible = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        possible = False
    if not possible:
        raise _wrong("NEXUS_EMQX_URL is not an address.", hint="write https://HOST:18084")
    if "@" in parts.netloc:
        raise _wrong("NEXUS_EMQX_URL holds credentials; they would show in messages and logs.")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise _wrong(
            "NEXUS_EMQX_URL is not encrypted: everybody on the way could read the API key.",
            hint="write https://, with EMQX's dashboard listener for TLS; or a tunnel that ends at 127.0.0.1",
        )
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """True for an address of this machine, and for `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(message: str, *, hint: str = _HINT, cause: str = "") -> NexusError:
    return NexusError(message, code="NX7033", hint=hint, cause=cause)
