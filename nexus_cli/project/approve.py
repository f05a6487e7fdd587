"""The verb `approve`: sign what a plan does; and the approvals that `apply` sends along."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_cli.atomic import replace_file
from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.json_value import JsonObject
from nexus_cli.model.spelling import parse_duration
from nexus_cli.plan.planfile import read_planfile
from nexus_cli.wire.approval import LONGEST_US, Approval, ApprovalError, Predicate, make_approval, read_approval
from nexus_cli.wire.signature import ED25519, Signature, SignatureError, ed25519_signature

EFFECT = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LARGEST_KEY = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvable:
    """What is approved: `enterprise/site`, the effect digest, and the digest of the recorded state ("" when not known)."""

    site: str
    effect: str
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key and its name in `approvals.keys`."""

    name: str
    sign: Signature


def of_planfile(path: str) -> Approvable:
    """What a saved plan does. Raises NexusError NX4003, NX4006."""
    saved = read_planfile(Path(path))
    effect = saved.document.get("effect", "")
    if not EFFECT.match(effect):
        raise NexusError(f"The plan '{path}' has no effect digest.", code="NX4006")
    return Approvable(site=saved.site, effect=effect, base=saved.base_digest)


def signer_from(path: str, *, name: str = "") -> Signer:
    """A signing key from a file: PEM (PKCS #8), whose name is `name` or that of the file; or `NAME:ed25519:BASE64`.

    Raises:
        NexusError: NX4036, it is not there, or no Ed25519 private key. The message holds nothing of it.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_KEY)
    except OSError as error:
        hint = hint_of_missing(path) if isinstance(error, FileNotFoundError) else ""
        raise _unusable(path, error.strerror or "it can't be read", hint=hint) from None
    if data.lstrip().startswith(b"-----BEGIN"):
        return Signer(name=name or Path(path).name.partition(".")[0], sign=_pem(path, data))
    key, _, rest = data.decode("utf-8", "replace").strip().partition(":")
    algorithm, _, secret = rest.partition(":")
    try:
        if not key or algorithm != ED25519:
            raise SignatureError(f"it is neither PEM nor NAME:{ED25519}:BASE64")
        return Signer(name=name or key, sign=ed25519_signature(secret))
    except SignatureError as error:
        raise _unusable(path, str(error)) from None


def approve(about: Approvable, signer: Signer, *, expires: str, who: str = "", now_us: int | None = None) -> Approval:
    """Sign an effect.

    Args:
        about: What is approved.
        signer: Who signs.
        expires: How long it is valid, such as `7d`; 90 days at most.
        who: A person's name or mail address, for the audit trail.
        now_us: µs since 1970 UTC; None is now.

    Raises:
        NexusError: NX4036, `expires` can't be.
    """
    try:
        lasts_us = parse_duration(expires) * 1000
    except ValueError as error:
        raise NexusError(f"The approval can't be valid for '{expires}'.", code="NX4036", cause=str(error)) from None
    if not 0 < lasts_us <= LONGEST_US:
        raise NexusError(f"An approval is valid for 90d at most, not for {expires}.", code="NX4036")
    created = time.time_ns() // 1000 if now_us is None else now_us
    predicate = Predicate(
        site=about.site,
        base=about.base,
        created_us=created,
        expires_us=created + lasts_us,
        who=who,
        run=ci_run(os.environ),
        nonce=secrets.token_hex(16),
    )
    return make_approval(effect=about.effect, predicate=predicate, key=signer.name, sign=signer.sign)


def approval_document(approval: Approval) -> JsonObject:
    """An approval as JSON values."""
    document: JsonObject = msgspec.to_builtins(approval)
    return document


def write_approval(path: str, approval: Approval) -> None:
    """Write an approval beside and rename it into place. Raises NexusError NX4036."""
    try:
        replace_file(Path(path), msgspec.json.format(msgspec.json.encode(approval)) + b"\n", mode=0o644)
    except OSError as error:
        raise NexusError(f"The approval can't be written to '{path}'.", code="NX4036", cause=str(error)) from None


def read_approvals(paths: Sequence[str]) -> list[Approval]:
    """Approvals from files. Raises NexusError NX4036, one is no approval. Whether they count, control says."""
    found = []
    for path in paths:
        try:
            found.append(read_approval(Path(path).read_bytes()))
        except OSError as error:
            hint = hint_of_missing(path) if isinstance(error, FileNotFoundError) else ""
            cause = error.strerror or "it can't be read"
            raise NexusError(f"The approval '{path}' can't be used.", code="NX4036", cause=cause, hint=hint) from None
        except ApprovalError as error:
            raise NexusError(f"The approval '{path}' can't be used.", code="NX4036", cause=str(error)) from None
    return found


def ci_run(environment: Mapping[str, str]) -> str:
    """Link to the run of GitHub Actions or GitLab CI that this is; "" elsewhere."""
    if environment.get("GITHUB_ACTIONS") == "true":
        server, repository = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_REPOSITORY", "")
        return f"{server}/{repository}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}"[:1000]
    return environment.get("CI_JOB_URL", "")[:1000]


def _pem(path: str, data: bytes) -> Signature:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - 20 ms, as in wire.signature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        raise _unusable(path, "it is no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "it is not an Ed25519 key")
    return key.sign


def _unusable(path: str, cause: str, *, hint: str = "") -> NexusError:
    return NexusError(
        f"The signing key '{path}' can't be used.",
        code="NX4036",
        cause=cause,
        hint=hint or "openssl genpkey -algorithm ed25519 -out FILE",
    )
