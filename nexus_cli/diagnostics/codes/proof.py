"""The audit trail's digest chain, and signed messages: NX277x and NX646x."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX2770",
        slug="signing-secret-in-plain-text",
        summary="The secret of a signing key is in plain text.",
        why="Who can read the site's files could sign as its principals.",
        bad=yaml(
            """
signatures:
  keys:
    scada: {algorithm: hmac-sha256, secret: my-secret, principals: [nexus.cli]}
"""
        ),
        good=yaml(
            """
signatures:
  keys:
    scada: {algorithm: hmac-sha256, secret: "${env:SCADA_KEY}", principals: [nexus.cli]}
"""
        ),
    ),
    Code(
        id="NX2771",
        slug="signing-key-incomplete",
        summary="A signing key lacks what its algorithm needs, or it can't be read.",
        why="An HMAC has a secret that both sides know; Ed25519 has a public key here and a private one at the sender.",
        bad=yaml(
            """
signatures:
  keys:
    mes: {algorithm: ed25519, principals: [nexus.cli]}
"""
        ),
        good=yaml(
            """
signatures:
  keys:
    mes: {algorithm: ed25519, public: "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", principals: [nexus.cli]}
"""
        ),
    ),
    Code(
        id="NX2772",
        slug="signing-principal-unknown",
        summary="A signing key belongs to somebody who does not exist.",
        why="Its messages would be refused, or those of a name that is given to somebody else later would be believed.",
        bad=yaml(
            """
signatures:
  keys:
    scada: {algorithm: hmac-sha256, secret: "${env:SCADA_KEY}", principals: [scda]}
"""
        ),
        good=yaml(
            """
signatures:
  keys:
    scada: {algorithm: hmac-sha256, secret: "${env:SCADA_KEY}", principals: [nexus.cli]}
"""
        ),
    ),
    Code(
        id="NX2773",
        slug="signing-key-missing",
        summary="Commands must be signed, and a part of NEXUS that sends some has no key.",
        why="Gateways refuse what control sends for sequences, web for people and the command line, as they refuse everybody's unsigned "
        "commands. `nexus up` makes keys for the processes that it starts; in a fleet nobody does.",
        severity=Severity.WARNING,
        bad=yaml(
            """
signatures:
  require: [command]
"""
        ),
        good=yaml(
            """
signatures:
  require: [command]
  keys:
    own: {algorithm: hmac-sha256, secret: "${env:OWN_KEY}", principals: [nexus.control, nexus.web, nexus.cli]}
"""
        ),
    ),
    Code(
        id="NX2774",
        slug="signing-window",
        summary="The time window of signed messages is too short or too long.",
        why="Clocks of machines differ, and a message takes its time; a nonce is remembered for as long as the window.",
        bad=yaml(
            """
signatures:
  window: 50ms
"""
        ),
        good=yaml(
            """
signatures:
  window: 30s
"""
        ),
    ),
    Code(
        id="NX2775",
        slug="signing-key-ends-first",
        summary="A signing key ends before it begins.",
        why="It would never be valid.",
        bad=yaml(
            """
signatures:
  keys:
    scada: {algorithm: hmac-sha256, secret: "${env:SCADA_KEY}", principals: [nexus.cli], from: 2027-01-01, until: 2026-01-01}
"""
        ),
        good=yaml(
            """
signatures:
  keys:
    scada: {algorithm: hmac-sha256, secret: "${env:SCADA_KEY}", principals: [nexus.cli], from: 2026-01-01, until: 2027-01-01}
"""
        ),
    ),
    Code(
        id="NX2776",
        slug="external-device-without-key",
        summary="Messages of external devices must be signed, and no key covers a device.",
        why="Historian, control and web refuse everything that it sends.",
        severity=Severity.WARNING,
        bad=yaml(
            """
signatures:
  require: [external]
"""
        ),
        good=yaml(
            """
signatures:
  require: [external]
  keys:
    scales: {algorithm: hmac-sha256, secret: "${env:SCALES_KEY}", principals: [scales], topics: ["packaging/line-1/scale-7/**"]}
"""
        ),
    ),
    Code(
        id="NX2777",
        slug="signing-topics-match-nothing",
        summary="A signing key names topics that no external device has.",
        why="The key signs no message; often a device was renamed.",
        severity=Severity.WARNING,
        bad=yaml(
            """
signatures:
  keys:
    scales: {algorithm: hmac-sha256, secret: "${env:SCALES_KEY}", principals: [nexus.cli], topics: ["packaging/line-9/**"]}
"""
        ),
        good=yaml(
            """
signatures:
  keys:
    scales: {algorithm: hmac-sha256, secret: "${env:SCALES_KEY}", principals: [nexus.cli], topics: ["packaging/line-1/scale-7/**"]}
"""
        ),
    ),
    Code(
        id="NX6461",
        slug="anchor-unreadable",
        summary="The anchor of the audit trail can't be read.",
        why="An anchor is the number and digest of a link, kept where the database's administrator can't change it. Without one "
        "that can be read nothing would be compared.",
        bad=console("nexus audit verify --anchor 1234"),
        good=console("nexus audit verify --anchor /mnt/safe/audit-anchors.log"),
        exit=Exit.FINDINGS,
    ),
    Code(
        id="NX6462",
        slug="command-unsigned",
        summary="A command is not signed, and the site wants commands signed.",
        why="`signatures:` has `require: [command]`. Nothing was written; the refusal is in the audit trail.",
        bad=text("a program publishes the bare JSON of a command"),
        good=text("publish it in the envelope that docs/signatures.md describes, signed with a key of the site"),
    ),
    Code(
        id="NX6463",
        slug="signature-wrong",
        summary="The signature of a command is wrong.",
        why="Topic, payload, time or nonce is not what was signed, or another secret signed it. Nothing was written.",
        good=text("compare your program with the test vector of docs/signatures.md"),
    ),
    Code(
        id="NX6464",
        slug="signed-at-another-time",
        summary="A command was signed too long ago, or in the future, by the gateway's clock.",
        why="Within `window` of the gateway's clock a nonce distinguishes a repetition from a new command; beyond it nothing does. A "
        "gateway that was started refuses what was signed before, as it knows no nonces of then. Nothing was written.",
        good=text("synchronise the sender's clock, sign right before sending, and sign again for another try"),
    ),
    Code(
        id="NX6465",
        slug="command-replayed",
        summary="A signed command was sent again.",
        why="A program that reads a message could send it once more. Nothing was written for the repetition.",
        good=text("sign each command with a fresh nonce; send with QoS 2, which delivers it once"),
    ),
    Code(
        id="NX6466",
        slug="key-not-valid",
        summary="A command was signed with a key that is not valid for its sender now.",
        why="Keys belong to principals and have a beginning and an end. Nothing was written.",
        good=yaml(
            """
signatures:
  keys:
    mes-2027: {algorithm: hmac-sha256, secret: "${env:MES_KEY}", principals: [mes], from: 2026-12-01}
"""
        ),
    ),
    Code(
        id="NX6467",
        slug="nonces-full",
        summary="The gateway remembers as many nonces as it can.",
        why="It refuses commands rather than forget a nonce that could be used again.",
        good=text("try again when the window of the site has passed"),
    ),
    Code(
        id="NX6469",
        slug="message-unsigned",
        summary="A declared message is to be signed, and control has no key.",
        why="`signatures:` has `require: [message]`, so the readers of declared messages refuse what is not signed. Nothing was published.",
        good=text("give control a key of nexus.control as NEXUS_SIGNING_KEY, and start it again"),
    ),
    Code(
        id="NX6468",
        slug="signing-key-unusable",
        summary="NEXUS_SIGNING_KEY can't be used.",
        why="A role or command that has a signing key signs each command with it.",
        bad=console("NEXUS_SIGNING_KEY=secret nexus write packaging/line-1/filler/setpoint 42"),
        good=console("NEXUS_SIGNING_KEY_FILE=/run/secrets/signing nexus write packaging/line-1/filler/setpoint 42"),
        exit=Exit.USAGE,
    ),
)
