"""Signatures: keys that can be used, of principals that exist, for what is to be signed."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.access.globs import overlap
from nexus_cli.access.grants import CLI, CONTROL, WEB
from nexus_cli.checks.access_rights import place_of
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.secrets import is_reference
from nexus_cli.model.signature_rules import moment_us
from nexus_cli.wire.signature import COMMAND, ED25519, EXTERNAL, HMAC, MESSAGE, SignatureError, public_key

OWN = (CONTROL, WEB, CLI)
"""Principals of NEXUS that send commands: steps of sequences, people at the page, `nexus write`."""
SHORTEST_MS, LONGEST_MS = 1_000, 600_000


def key_material(view: View) -> Iterator[Diagnostic]:
    """NX2770, NX2771. A secret is not repeated."""
    for name, key in view.model.site.signatures.keys.items():
        where = ("signatures", "keys", name)
        if key.secret is not None and not is_reference(key.secret):
            hint = "secret: '${env:NAME}' or '${file:PATH}', with nothing around it"
            yield finding("NX2770", f"the secret of '{name}' is in plain text", where=(*where, "secret"), hint=hint)
        needed, other = ("secret", "public") if key.algorithm == HMAC else ("public", "secret")
        if getattr(key, needed) is None:
            message = f"'{name}' is a key of {key.algorithm} without '{needed}'"
            yield finding("NX2771", message, where=where, on_key=True, hint=f"add '{needed}'")
        elif getattr(key, other) is not None:
            message = f"'{name}' is a key of {key.algorithm}, which has no '{other}'"
            yield finding("NX2771", message, where=(*where, other), on_key=True, hint=f"remove '{other}'")
        elif key.algorithm == ED25519:
            try:
                public_key(key.public or "")
            except SignatureError as error:
                yield finding(
                    "NX2771", f"'{name}': {error}", where=(*where, "public"), hint="32 bytes in base64, or PEM"
                )


def key_principals(view: View) -> Iterator[Diagnostic]:
    """NX2772."""
    site = view.model.site
    known = {*site.access.users, *site.access.applications, *OWN}
    for name, key in site.signatures.keys.items():
        for position, principal in enumerate(key.principals):
            if principal not in known:
                where = ("signatures", "keys", name, "principals", position)
                hint = (
                    did_you_mean(principal, known)
                    or "a user or application of `access`, nexus.control, nexus.web or nexus.cli"
                )
                yield finding("NX2772", f"there is no principal '{principal}'", where=where, hint=hint)


def required_without_key(view: View) -> Iterator[Diagnostic]:
    """NX2773."""
    rules = view.model.site.signatures
    if not rules.require:
        return
    have = {principal for key in rules.keys.values() for principal in key.principals}
    senders = OWN if COMMAND in rules.require else (CONTROL,) if MESSAGE in rules.require else ()
    missing = [name for name in senders if name not in have]
    if missing:
        names = ", ".join(missing[:-1]) + (" and " if missing[:-1] else "") + missing[-1]
        what = "commands" if COMMAND in rules.require else "messages"
        message = f"{what} must be signed, and no key is declared of {names}"
        hint = "`nexus up` makes keys for what it runs; elsewhere declare one, and give its secret to these processes as NEXUS_SIGNING_KEY"
        yield finding("NX2773", message, where=("signatures", "require"), on_key=True, hint=hint)


def external_keys(view: View) -> Iterator[Diagnostic]:
    """NX2776, NX2777."""
    rules = view.model.site.signatures
    if EXTERNAL not in rules.require and not any(key.topics for key in rules.keys.values()):
        return
    places = (place_of(view, device) for device in view.model.devices.values())
    paths = [place.path for place in places if place.external]
    covered: set[str] = set()
    for name, key in rules.keys.items():
        for position, glob in enumerate(key.topics):
            found = [path for path in paths if overlap(f"{path}/**", glob)]
            covered.update(found)
            if not found:
                where = ("signatures", "keys", name, "topics", position)
                hint = "area/line/device/** of a device with `protocol: external`"
                yield finding("NX2777", f"'{glob}' covers no topic of an external device", where=where, hint=hint)
    if EXTERNAL in rules.require:
        for path in (path for path in paths if path not in covered):
            message = f"messages of external devices must be signed, and no key covers {path}: each of them is refused"
            yield finding(
                "NX2776", message, where=("signatures", "require"), on_key=True, hint=f"topics: ['{path}/**'] at a key"
            )


def window(view: View) -> Iterator[Diagnostic]:
    """NX2774."""
    rules = view.model.site.signatures
    if not SHORTEST_MS <= rules.window <= LONGEST_MS:
        message = f"a window of {rules.window / 1000:g} s"
        hint = "1s to 10m: clocks differ by some 100 ms, and every nonce is kept for as long as the window"
        yield finding("NX2774", message, where=("signatures", "window"), hint=hint)


def validity(view: View) -> Iterator[Diagnostic]:
    """NX2775."""
    site = view.model.site
    for name, key in site.signatures.keys.items():
        begin, end = moment_us(key.from_, zone=site.time_zone), moment_us(key.until, zone=site.time_zone)
        if begin is not None and end is not None and begin >= end:
            message = f"the key '{name}' ends before it begins"
            yield finding("NX2775", message, where=("signatures", "keys", name, "until"), hint="a moment after 'from'")


CHECKS = (key_material, key_principals, required_without_key, external_keys, window, validity)
