"""Signing: keys from files, and what a plan file, an approval and a digest hold of secrets."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.effect import effect_digest
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.planfile import write_planfile
from nexus_cli.plan.text import plan_text
from nexus_cli.project.approve import approve, ci_run, of_planfile, read_approvals, signer_from, write_approval
from nexus_cli.project.text import load
from nexus_cli.wire.approval import verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
SECRETS = {"OPC_PASSWORD": "hunter-two", "MAIL_PASSWORD": "correct-horse", "STORE_SECRET": "battery-staple"}
SITE = """\
nexus: 1
enterprise: acme
site: chicago
policies: {units: {for: tag, require: "unit != ''"}}
approvals: {keys: {ann: "%s"}}
notifications:
  channels:
    shift: {mail: {to: [shift@acme.example], server: "mail.acme.example:587", user: nexus, password: "${env:MAIL_PASSWORD}"}}
areas:
  a:
    lines:
      l:
        devices:
          d:
            protocol: opcua
            connection: {endpoint: "opc.tcp://10.0.0.9:4840", user: nexus, password: "${env:OPC_PASSWORD}"}
            tags: {t: {node: "ns=2;s=t", type: float64, unit: kWh}}
"""


def pem(key: Ed25519PrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_a_key_is_pem_named_as_its_file_or_a_line_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "ann.pem").write_bytes(pem(KEY))
    (tmp_path / "key").write_text("bob:ed25519:" + base64.b64encode(bytes(range(32))).decode() + "\n")
    one, two = signer_from(str(tmp_path / "ann.pem")), signer_from(str(tmp_path / "key"))
    assert (one.name, two.name) == ("ann", "bob")
    assert one.sign(b"data") == two.sign(b"data") == KEY.sign(b"data")
    assert signer_from(str(tmp_path / "ann.pem"), name="ann-2026").name == "ann-2026"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        pem(KEY)[:60],
        pem(KEY, BestAvailableEncryption(b"pw")),
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        b"ann:hmac-sha256:" + b"x" * 40,
        b"ann:ed25519:c2VjcmV0",
    ],
)
def test_a_file_without_a_usable_key_is_a_plain_sentence_that_does_not_show_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ann.pem"
    path.write_bytes(content)
    with pytest.raises(NexusError) as refused:
        signer_from(str(path))
    said = f"{refused.value.message} {refused.value.cause} {refused.value.hint}"
    assert refused.value.code == "NX4036" and "c2VjcmV0" not in said and "xxxx" not in said


def test_plan_file_approval_and_effect_hold_references_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The effect is a digest of digests: it is the same whatever the secret is."""
    site = tmp_path / "site.yaml"
    site.write_text(SITE % PUBLIC)
    effects = set()
    for suffix in ("", "-rotated"):
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value + suffix)
        loaded = load(site)
        assert loaded.value is not None, loaded.findings
        plan = make_plan(Base(deployment=0, digest="", digests={}, resources={}), loaded.value.snapshot).unwrap()
        document = plan_document(plan)
        saved = tmp_path / "one.plan"
        write_planfile(
            saved, document=document, changed=plan.desired, source={"path": str(site), "env": None, "variables": {}}
        )
        (tmp_path / "ann.pem").write_bytes(pem(KEY))
        signer = signer_from(str(tmp_path / "ann.pem"))
        write_approval(str(tmp_path / "one.json"), approve(of_planfile(str(saved)), signer, expires="1d", now_us=5))
        approval = (tmp_path / "one.json").read_bytes()
        payload = base64.b64decode(msgspec.json.decode(approval)["dsseEnvelope"]["payload"])
        text = plan_text(document, style=lambda part, _: part).encode()
        for output in (saved.read_bytes(), approval, payload, text):
            assert not any(value.encode() in output for value in SECRETS.values())
        assert b"${env:OPC_PASSWORD}" in saved.read_bytes() and b"OPC_PASSWORD" not in payload
        assert effect_digest("acme/chicago", plan.changes, plan.hazards) == plan.effect
        effects.add(plan.effect)
        (read,) = read_approvals([str(tmp_path / "one.json")])
        assert verify(read, {"ann": PUBLIC}, site="acme/chicago", effect=plan.effect, now_us=6).key == "ann"
    assert len(effects) == 1


def test_the_run_of_a_ci_job_is_linked() -> None:
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/plant",
        "GITHUB_RUN_ID": "7",
    }
    assert ci_run(github) == "https://github.com/acme/plant/actions/runs/7"
    assert ci_run({"CI_JOB_URL": "https://gitlab.example/job/7"}) == "https://gitlab.example/job/7"
    assert ci_run({}) == ""
