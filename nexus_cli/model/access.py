"""`access:` of the site language: roles, who has them, and how people log in."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from nexus_cli.model.spelling import Duration, SpellingError, Strict

Classification = Literal["public", "internal", "confidential", "restricted"]
CLASSES: tuple[Classification, ...] = ("public", "internal", "confidential", "restricted")
"""Classes of data, the most open first."""
DEFAULT_CLASS: Classification = "internal"
"""Of data that names none, and of a role's clearance."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(?=.)(?:([a-z]{3})(?:-([a-z]{3}))?(?:\s+(?=\d)|\Z))?(?:(\d\d):(\d\d)-(\d\d):(\d\d))?\Z", re.ASCII)
_HOURS_HINT = "write days, a time of day or both: mon-fri 06:00-22:00, sun, 22:00-06:00"
LAST_MINUTE = 24 * 60


def parse_hours(text: str) -> tuple[frozenset[int], int, int]:
    """`mon-fri 06:00-22:00` as weekdays (Monday is 0), first minute and minute after the last, of the day.

    No days are all days. A time of day that ends before it begins runs past midnight; both alike, and no time at all, are
    the whole day.

    Raises:
        SpellingError: NX1018, it is not written so.
    """
    match = _HOURS.match(text)
    from_, to = (match[1] or "mon", match[2] or match[1] or "sun") if match is not None else ("", "")
    if match is None or from_ not in _DAYS or to not in _DAYS:
        raise SpellingError(f"'{text}' is not a time of the week", code="NX1018", hint=_HOURS_HINT)
    first, last = _DAYS.index(from_), _DAYS.index(to)
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    if match[3] is None:
        return days, 0, LAST_MINUTE
    begin, end = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
    if max(int(match[4]), int(match[6])) > 59 or begin >= LAST_MINUTE or end > LAST_MINUTE:
        raise SpellingError(f"'{text}' is not a time of the week", code="NX1018", hint=_HOURS_HINT)
    return (days, begin, end) if begin != end else (days, 0, LAST_MINUTE)


def _hours(text: str) -> str:
    parse_hours(text)
    return text


_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].+)?\Z", re.ASCII)
_MOMENT_HINT = "write a day (2026-12-31) or a moment with its offset (2026-12-31T22:00:00+01:00)"


def _moment(value: object) -> object:
    """A day, or a moment with an offset, as text: days begin where the site's do (`time_zone`)."""
    if isinstance(value, (datetime, date)):
        value = value.isoformat()
    if not isinstance(value, str):
        return value
    try:
        if not _DAY.match(value):  # a week, too, is ISO 8601: its one day would be the Monday
            raise ValueError(value)
        found = datetime.fromisoformat(value)
    except ValueError:
        raise SpellingError(f"'{value}' is not a moment", code="NX1019", hint=_MOMENT_HINT) from None
    if len(value) > len("2026-12-31") and found.tzinfo is None:
        raise SpellingError(f"'{value}' says no offset", code="NX1019", hint=_MOMENT_HINT)
    return value


Hours = Annotated[str, AfterValidator(_hours), WithJsonSchema({"type": "string", "examples": ["mon-fri 06:00-22:00"]})]
"""A time of the week, such as `mon-fri 06:00-22:00`, where the site is (`time_zone`)."""
Moment = Annotated[str, BeforeValidator(_moment), WithJsonSchema({"type": "string", "examples": ["2026-12-31"]})]
"""A day, or a moment with an offset."""


class Scope(Strict):
    """Tags by path and by what is said of their device; all of it must be so."""

    path: str = Field(default="**", description="A path glob, e.g. packaging/line-*/**.")
    protocol: str | None = Field(default=None, description="Of devices with this protocol.")
    gateway: str | None = Field(default=None, description="Of devices that this gateway reads: a name, or a glob.")
    labels: dict[str, str] | None = Field(
        default=None, description="Of devices with all these labels (their own, and those of their line and area)."
    )
    classification: Classification | None = Field(
        default=None, description="At most of this class of data; in `deny`: of this class and those above."
    )


Right = str | Scope
"""What a role's `read` and `write` list: a path glob, or more of it."""


class Deny(Strict):
    """What a role's users may not do, whatever this role or another one allows."""

    read: list[Right] = Field(default_factory=list, description="What its users never see.")
    write: list[Right] = Field(default_factory=list, description="What its users never send commands to.")
    publish: list[str] = Field(default_factory=list, description="Messages and topics that they never publish.")
    subscribe: list[str] = Field(default_factory=list, description="Messages and topics that they never receive.")
    run: list[str] = Field(default_factory=list, description="Sequences that they never run.")
    acknowledge: list[str] = Field(default_factory=list, description="Alerts that they never acknowledge.")
    alerts: list[str] = Field(default_factory=list, description="Alerts that they never see.")


class Role(Strict):
    """What its users may see and write, as path globs (`*` one level, `**` the rest), and publish, receive or run, by name."""

    read: list[Right] = Field(default_factory=list, description="What its users see, e.g. packaging/**.")
    write: list[Right] = Field(default_factory=list, description="What its users may send commands to.")
    publish: list[str] = Field(
        default_factory=list,
        description="Messages whose topics its users may publish on: names, or globs as line-*; with a / in it, a path glob of topics of external devices.",
    )
    subscribe: list[str] = Field(
        default_factory=list,
        description="Messages that its users may subscribe to: names, or globs as line-*; with a / in it, a path glob of topics of external devices.",
    )
    run: list[str] = Field(
        default_factory=list, description="Sequences that its users may run and abort: names, or globs as line-*."
    )
    acknowledge: list[str] = Field(
        default_factory=list,
        description="Alerts that its users may acknowledge and subscribe to: names, or globs as line-*.",
    )
    alerts: list[str] = Field(
        default_factory=list, description="Alerts whose topics its users may subscribe to: names, or globs as line-*."
    )
    apply: list[str] = Field(
        default_factory=list,
        description="What its users may change with `nexus apply`: path globs of devices and tags; ** is the whole site.",
    )
    admin: bool = Field(
        default=False, description="true: passwords, tokens, elevation and the lock, and everything that control shows."
    )
    clearance: Classification = Field(
        default=DEFAULT_CLASS, description="Highest class of data that its users see and write."
    )
    deny: Deny | None = Field(default=None, description="What its users may not do, whatever else allows it.")
    description: str | None = Field(default=None, description="For people.")


class Valid(Strict):
    """When rights begin and end."""

    from_: Moment | None = Field(default=None, alias="from", description="First day, or moment; none: at once.")
    until: Moment | None = Field(default=None, description="Last day (with it), or moment; none: for good.")


class Member(Strict):
    """What users, applications and groups have in common."""

    role: str | None = Field(default=None, description="One role.")
    roles: list[str] = Field(default_factory=list, description="Several roles.")
    valid: Valid | None = Field(default=None, description="From when, until when.")
    hours: list[Hours] = Field(
        default_factory=list, description="Times of the week, in the site's time_zone, e.g. mon-fri 06:00-22:00."
    )
    description: str | None = Field(default=None, description="For people.")


class Group(Member):
    """Roles that several users have."""


class User(Member):
    """A person, or a panel: connects to the broker, and logs in to the API."""

    groups: list[str] = Field(default_factory=list, description="Groups whose roles it has, too.")
    password: str | None = Field(
        default=None,
        description="A reference, ${env:NAME} or ${file:PATH}; none: `nexus access rotate NAME` makes one and shows it once.",
    )


class Application(User):
    """A program: connects to the broker, and calls the API with tokens; it has no login."""


class Oidc(Strict):
    """Logins with the accounts of an OpenID provider (Keycloak, Entra ID, …)."""

    issuer: str = Field(description="Its address, e.g. https://login.example.com/realms/plant.")
    audience: str = Field(description="What its tokens must be for: the client id of NEXUS there.")
    user_claim: str = Field(default="preferred_username", description="Claim that names the user.")
    groups_claim: str = Field(default="groups", description="Claim that lists the user's groups (a.b reaches inside).")
    groups: dict[str, str] = Field(default_factory=dict, description="Role by name of a group there.")
    leeway: Duration = Field(
        default=60_000, description="How far its clock may be off, e.g. 60s.", validate_default=False
    )


class Login(Strict):
    """How people log in to the API."""

    session: Duration = Field(
        default=28_800_000, description="How long a login holds, e.g. 8h.", validate_default=False
    )
    oidc: Oidc | None = Field(default=None, description="Accounts of an OpenID provider beside the site's own.")


class Access(Strict):
    """Who may do what."""

    roles: dict[str, Role] = Field(
        default_factory=dict,
        description="Roles by name; admin, engineer, operator and viewer are there unless written otherwise.",
    )
    users: dict[str, User] = Field(default_factory=dict, description="Users by name, as the broker knows them.")
    applications: dict[str, Application] = Field(default_factory=dict, description="Programs by name.")
    groups: dict[str, Group] = Field(default_factory=dict, description="Groups of users by name.")
    login: Login | None = Field(default=None, description="How people log in to the API.")
