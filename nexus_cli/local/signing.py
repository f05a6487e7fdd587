"""Signing keys of NEXUS's own principals, made where a site wants commands signed and declares no key for them.

They are beside the passwords in `credentials.json` (mode 0600), so they prove a sender to what runs under this folder and to
nothing else. A fleet's keys are declared in the site. See docs/decisions/0097.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nexus_cli.access.grants import CLI, CONTROL, WEB
from nexus_cli.local.credentials import change_credentials
from nexus_cli.model.snapshot import Attributes
from nexus_cli.wire.signature import COMMAND, ED25519, MESSAGE, SignatureRules

SENDERS = (CONTROL, WEB, CLI)
KEY = "{}.local"
"""Id of the key of a principal."""


def ensure_signing(home: Path, resources: Mapping[str, Attributes]) -> None:
    """Make the missing keys; remove those that the site declares itself or does not want any more.

    A key that an administrator has put into `signing` stays.
    """
    rules = msgspec.convert(resources.get("site", {}).get("signatures") or {}, SignatureRules)
    declared = {principal for key in rules.keys.values() for principal in key.principals}
    wanted = {one for one in SENDERS if one not in declared} if {COMMAND, MESSAGE} & set(rules.require) else set()
    with change_credentials(home) as have:
        private, public = have["signing"], have["signing_public"]
        for principal in SENDERS:
            ours = private.get(principal, "").startswith(f"{KEY.format(principal)}:")
            if principal not in wanted:
                public.pop(principal, None)
                if ours:
                    del private[principal]
            elif principal not in private or (ours and principal not in public):
                private[principal], public[principal] = _made(KEY.format(principal))


def _made(name: str) -> tuple[str, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 20 ms, few sites

    key = Ed25519PrivateKey.generate()
    private, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    return f"{name}:{ED25519}:{base64.b64encode(private).decode()}", base64.b64encode(public).decode()
