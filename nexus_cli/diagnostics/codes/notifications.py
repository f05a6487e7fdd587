"""Codes of notifications (NX2730 to NX2749) and of jobs (NX6440 to NX6459)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

_MAIL = 'shift: {mail: {to: [shift@acme.example], server: "mail.acme.example:587"}}'
CODES: tuple[Code, ...] = (
    Code(
        id="NX2730",
        slug="unknown-channel",
        summary="A route leads to a channel that is not declared.",
        why="No one would be notified, and no one would notice.",
        bad=yaml("routes: {night: {to: [phnoe]}}"),
        good=yaml("routes: {night: {to: [phone]}}"),
    ),
    Code(
        id="NX2731",
        slug="channel-kind",
        summary="A channel needs exactly one of mail, webhook and url.",
        why="A channel is one way to reach someone; a route may name several.",
        bad=yaml("channels: {shift: {description: The shift}}"),
        good=yaml(f"channels: {{{_MAIL}}}"),
    ),
    Code(
        id="NX2732",
        slug="channel-address",
        summary="An address of a channel can't be one.",
        why="What is sent there would fail at the first alarm.",
        bad=yaml("mail: {to: [shift@acme.example], server: mail.acme.example}"),
        good=yaml('mail: {to: [shift@acme.example], server: "mail.acme.example:587"}'),
    ),
    Code(
        id="NX2733",
        slug="channel-secret",
        summary="A channel holds a secret in plain text.",
        why="A reader of the site file, its repository or a plan could send in the plant's name.",
        bad=yaml('url: "tgram://123456:AAE/42"'),
        good=yaml('url: "${env:SMS_URL}"'),
    ),
    Code(
        id="NX2734",
        slug="route-never",
        summary="No declared alarm takes this route.",
        why="Its people believe that they are notified.",
        severity=Severity.WARNING,
        bad=yaml("routes: {night: {groups: [oven], to: [phone]}}   # the alarms are of group ovens"),
        good=yaml("routes: {night: {groups: [ovens], to: [phone]}}"),
    ),
    Code(
        id="NX2735",
        slug="route-hours-utc",
        summary="A route has hours, and the site has no time_zone.",
        why="The night shift would be called by the clock of Greenwich.",
        severity=Severity.WARNING,
        bad=yaml("notifications: {routes: {night: {hours: [mon-fri 22:00-06:00], to: [phone]}}}"),
        good=yaml("time_zone: America/Chicago"),
    ),
    Code(
        id="NX2736",
        slug="digest-never-ends",
        summary="A flood would end as it begins.",
        why="`above` and `below` are a hysteresis: between them a flood that began continues.",
        bad=yaml("digest: {above: 5, below: 10}"),
        good=yaml("digest: {above: 10, below: 5}"),
    ),
    Code(
        id="NX6440",
        slug="which-jobs",
        summary="Nothing says which jobs or dead letters are meant.",
        why="Retrying or discarding all of them by accident can't be undone.",
        bad=console("nexus jobs discard"),
        good=console("nexus jobs discard 4711, or nexus jobs discard --all"),
        exit=Exit.USAGE,
    ),
    Code(
        id="NX6450",
        slug="apprise-missing",
        summary="A channel has a `url`, and Apprise is not installed where the worker runs.",
        why="Mail and webhooks need nothing more; every other service is reached through Apprise.",
        bad=yaml('channels: {phone: {url: "${env:SMS_URL}"}}'),
        good=text(
            "pip install 'nexus-cli[notify]', then start the worker again; `nexus jobs retry --all` sends what failed"
        ),
        hint="pip install 'nexus-cli[notify]' where the worker runs, then start it again",
    ),
)
