"""`notifications:` of the site language: whom an alarm reaches, and what happens when no one answers.

notifications:
  channels:
    shift: {mail: {to: [shift@acme.example], server: "mail.acme.example:587", user: nexus, password: "${env:MAIL_PASSWORD}"}}
    board: {webhook: {url: "https://ops.acme.example/alarms", key: "${env:BOARD_KEY}"}}
    phone: {url: "${env:SMS_URL}"}
  routes:
    night:
      priorities: [high, critical]
      hours: [mon-fri 22:00-06:00, sat, sun]
      to: [phone]
      escalate: [{after: 5m, to: [board]}, {after: 15m, to: [shift]}]
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nexus_cli.model.access import Hours
from nexus_cli.model.alarms import Priority
from nexus_cli.model.spelling import Duration, Strict, within


class Mail(Strict):
    """Mail over SMTP."""

    to: list[str] = Field(min_length=1, description="Addresses.")
    from_: str | None = Field(default=None, alias="from", description="Sender (default nexus@ the server's host).")
    server: str = Field(description="host:port, e.g. mail.acme.example:587.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is secured."
    )
    user: str | None = Field(default=None, description="Login name.")
    password: str | None = Field(default=None, description="A reference: ${env:NAME} or ${file:PATH}.")


class Webhook(Strict):
    """A JSON document by POST."""

    url: str = Field(description="http:// or https://, or a reference where it holds a secret.")
    key: str | None = Field(
        default=None, description="A reference; the body's HMAC-SHA-256 with it goes along in a header."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers; values may be references.")


class Channel(Strict):
    """One way to reach someone: exactly one of mail, webhook and url."""

    mail: Mail | None = Field(default=None, description="Mail over SMTP.")
    webhook: Webhook | None = Field(default=None, description="A JSON document by POST.")
    url: str | None = Field(
        default=None, description="An address as Apprise writes it (Teams, Slack, SMS, …), or a reference to one."
    )
    description: str | None = Field(default=None, description="For people.")


class Escalation(Strict):
    """What happens when no one acknowledged."""

    after: Annotated[Duration, within("1s", "30d")] = Field(
        description="Since the alarm became active, from 1s to 30d."
    )
    to: list[str] = Field(min_length=1, description="Channels.")


class Route(Strict):
    """Which alarms go where. Every route that matches counts; an alarm reaches a channel once."""

    to: list[str] = Field(min_length=1, description="Channels, at once.")
    priorities: list[Priority] = Field(default_factory=list, description="Of these priorities (default: all alarms).")
    groups: list[str] = Field(default_factory=list, description="Of these groups, or globs of them (default: all).")
    alerts: list[str] = Field(default_factory=list, description="Of these names, or globs of them (default: all).")
    hours: list[Hours] = Field(
        default_factory=list, description="At these times of the week, where the site is (default: always)."
    )
    returned: bool = Field(default=False, description="Says also when the condition is over.")
    escalate: list[Escalation] = Field(default_factory=list, description="Further steps while no one acknowledges.")


class Digest(Strict):
    """One message for many alarms while there is a flood."""

    above: int = Field(default=10, ge=1, description="A flood begins above so many alarms in 10 minutes (default 10).")
    below: int = Field(default=5, ge=0, description="It ends below so many in 10 minutes (default 5).")
    every: Annotated[Duration, within("10s", "1d")] = Field(
        default=300_000, description="A digest so often while it lasts, from 10s to 1d (default 5m)."
    )


class Notifications(Strict):
    """Whom alarms reach."""

    channels: dict[str, Channel] = Field(default_factory=dict, description="Ways to reach someone, by name.")
    routes: dict[str, Route] = Field(default_factory=dict, description="Which alarms go where, by name.")
    digest: Digest = Field(default_factory=Digest, description="What happens in a flood.")
