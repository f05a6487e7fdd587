"""Keys of NEXUS's own principals: made where a site wants signatures, never over a declared or given one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec

from nexus_cli.local.credentials import ensure_credentials, read_credentials, write_private
from nexus_cli.local.signing import ensure_signing
from nexus_cli.runtime.gateway.commands.admission import Clocks, Rejection
from nexus_cli.runtime.gateway.commands.signed import SignatureGuard
from nexus_cli.settings import load_settings
from nexus_cli.wire.signature import SignatureRules, seal, signer_of
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

OWN = {"nexus.control", "nexus.web", "nexus.cli"}
TOPICS = Topics("acme", "chicago")


def site(*require: str, **keys: Any) -> dict[str, Any]:
    return {"site": {"signatures": {"require": list(require), "keys": keys}}}


def declared(*principals: str) -> dict[str, Any]:
    return {"algorithm": "hmac-sha256", "secret": "${env:OWN}", "principals": list(principals)}


def test_a_site_without_signatures_has_no_keys(tmp_path: Path) -> None:
    ensure_credentials(tmp_path, broker=["nexus.web"])
    before = (tmp_path / "credentials.json").read_bytes()
    ensure_signing(tmp_path, {})
    ensure_signing(tmp_path, site("external"))
    assert (tmp_path / "credentials.json").read_bytes() == before


def test_keys_are_made_once_and_go_with_the_wish(tmp_path: Path) -> None:
    ensure_credentials(tmp_path, broker=["nexus.web"])
    ensure_signing(tmp_path, site("command"))
    made = read_credentials(tmp_path)
    assert set(made["signing"]) == set(made["signing_public"]) == OWN
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    ensure_signing(tmp_path, site("command"))
    assert read_credentials(tmp_path) == made
    ensure_signing(tmp_path, site("command", own=declared("nexus.web")))
    assert set(read_credentials(tmp_path)["signing"]) == OWN - {"nexus.web"}
    ensure_signing(tmp_path, site())
    after = read_credentials(tmp_path)
    assert (after["signing"], after["signing_public"]) == ({}, {}) and after["broker"] == made["broker"]


def test_a_key_that_was_given_stays(tmp_path: Path) -> None:
    write_private(tmp_path / "credentials.json", b'{"signing": {"nexus.web": "own:hmac-sha256:secret"}}')
    ensure_signing(tmp_path, site("command"))
    found = read_credentials(tmp_path)
    assert found["signing"]["nexus.web"] == "own:hmac-sha256:secret" and "nexus.web" not in found["signing_public"]
    ensure_signing(tmp_path, site())
    assert read_credentials(tmp_path)["signing"] == {"nexus.web": "own:hmac-sha256:secret"}


def test_a_gateway_of_the_folder_believes_each_one_for_itself_and_a_declared_key_instead(tmp_path: Path) -> None:
    ensure_signing(tmp_path, site("command"))
    clock = FakeClock()
    own = load_settings(home=tmp_path, environ={}, principal="nexus.gateway.gw-1").credentials["signing_public"]
    guard = SignatureGuard(Clocks(clock.wall_us), own=own)
    guard.took(["a/l/d"])
    clock.advance(1)

    def code(principal: str, sender: str) -> str:
        signer = signer_of(load_settings(home=tmp_path, environ={}, principal=principal))
        assert signer is not None
        key, sign = signer
        topic = TOPICS.command("a/l/d/t", sender)
        payload = seal(key=key, sign=sign, topic=topic, payload=b"{}", time_us=clock.now_us())
        found = guard.open(topic, sender, payload, device="a/l/d")
        return found.code if isinstance(found, Rejection) else ""

    rules = SignatureRules(require=["command"])
    for each in (SignatureRules(), rules):
        guard.configured(each)
        assert [code(principal, principal) for principal in sorted(OWN)] == [""] * 3
        assert code("nexus.cli", "nexus.web") == "NX6466"
    guard.configured(SignatureRules(require=["command"], keys=_decoded(own=declared("nexus.web"))))
    assert (code("nexus.web", "nexus.web"), code("nexus.cli", "nexus.cli")) == ("NX6466", "")


def _decoded(**keys: dict[str, Any]) -> dict[str, Any]:
    return dict(msgspec.convert({"keys": keys}, SignatureRules).keys)
