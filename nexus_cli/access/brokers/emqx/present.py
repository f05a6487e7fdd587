"""What a cluster of EMQX has before a push, and what its settings mean for us. Pure.

Settings, the order of the sources and rules for all users concern every tenant of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nexus_cli.access.brokers.emqx.database_rule import Rule
from nexus_cli.access.brokers.emqx.hashing import OURS, Algorithm

DATABASE = "built_in_database"
MOST_RULES = 100
"""EMQX's default of `max_rules`: rules in one entry."""
_NAME = f"authorization source '{DATABASE}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An authorization source.

    Attributes:
        type: As EMQX calls it.
        enable: False for one that EMQX passes over.
    """

    type: str
    enable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is there; of users and entries only those of this site.

    Attributes:
        version: Of the nodes, e.g. `5.8.9`; the oldest one.
        users: Accounts in the built-in database.
        superusers: Those of them for which no rule holds.
        rules: Entry of each account, as read, marks included.
        sources: In the order in which EMQX asks them.
        max_rules: Most rules of one entry.
        no_match: What EMQX does when no source decides: `allow` or `deny`.
        deny_action: What happens to a client that is refused something: `ignore` or `disconnect`.
        for_all: True when the built-in database has rules for all users.
        authenticators: Ids, in order.
        password_checks: False when the authenticator of the built-in database is missing, off, or goes by client ids.
        algorithm: How it hashes; None when it does it as we can't.
        pushed: Kept form of the password that was pushed last, by account, as far as this machine knows.
    """

    version: str = ""
    users: frozenset[str] = frozenset()
    superusers: frozenset[str] = frozenset()
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    sources: Sequence[Source] = (Source(type=DATABASE),)
    max_rules: int = MOST_RULES
    no_match: str = "deny"
    deny_action: str = "ignore"
    for_all: bool = False
    authenticators: Sequence[str] = (f"password_based:{DATABASE}",)
    password_checks: bool = True
    algorithm: Algorithm | None = OURS
    pushed: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Source | None:
        """The source of the built-in database."""
        return next((one for one in self.sources if one.type == DATABASE), None)

    @property
    def before(self) -> tuple[str, ...]:
        """Enabled sources that EMQX asks before the built-in database."""
        types = [one.type for one in self.sources if one.enable or one.type == DATABASE]
        return tuple(types[: types.index(DATABASE)]) if DATABASE in types else ()

    @property
    def open_behind(self) -> str:
        """What could allow what our rules don't, once they have not decided; "" for nothing."""
        types = [one.type for one in self.sources if one.enable or one.type == DATABASE]
        behind = types[types.index(DATABASE) + 1 :] if DATABASE in types else types
        if self.for_all:
            return "the built-in database has rules for all users"
        if behind:
            return f"the source '{behind[0]}' is asked behind the built-in database"
        return "no_match is allow" if self.no_match != "deny" else ""


class Setting(StrEnum):
    """A change that concerns every tenant; only `--settings` makes it."""

    AUTHENTICATOR = "authenticator"
    SOURCE = "source"
    FRONT = "front"
    LARGER = "larger"
    NO_MATCH = "no-match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A setting that is not as it should be.

    Attributes:
        code: NX7032 when nothing can be pushed with it, NX7034 when rights are wider than ours, NX7030 when the push does not fit.
        text: A sentence.
        hint: What to do.
        remedy: What `--settings` changes; None when it changes nothing.
    """

    code: str
    text: str
    hint: str
    remedy: Setting | None = None

    @property
    def blocks(self) -> bool:
        """True when nothing can be pushed before it is changed."""
        return self.code != "NX7034"


def doubts(present: Present, *, most: int) -> tuple[Doubt, ...]:
    """What is not as it should be, the settings to make first in front.

    Args:
        present: What is there.
        most: Rules of the largest entry that will be written.
    """
    return (*_login(present), *_sources(present), *_room(present, most), *_default(present))


def _login(present: Present) -> Iterator[Doubt]:
    if not present.password_checks:
        first = "" if present.authenticators else " It is the first one: clients without an account are refused then."
        yield Doubt(
            code="NX7032",
            text="EMQX has no enabled authenticator for passwords of user names in its built-in database.",
            hint=f"--settings makes it.{first}",
            remedy=Setting.AUTHENTICATOR,
        )
    elif present.algorithm is None:
        yield Doubt(
            code="NX7030",
            text="The authenticator of the built-in database hashes passwords in a way that takes no hash of ours.",
            hint="it takes pbkdf2, sha256 or sha512 with a salt: that is its administrator's to change",
        )


def _sources(present: Present) -> Iterator[Doubt]:
    if present.source is None:
        yield Doubt(
            code="NX7032",
            text=f"EMQX has no {_NAME}.",
            hint="--settings makes it, in front of all others",
            remedy=Setting.SOURCE,
        )
    elif not present.source.enable:
        yield Doubt(
            code="NX7032",
            text=f"The {_NAME} is off.",
            hint="its administrator switches it on: its rules may be others', too",
        )
    elif present.before:
        yield Doubt(
            code="NX7034",
            text=f"EMQX asks the source '{present.before[0]}' before the built-in database: what it allows, our rules can't refuse.",
            hint="--settings moves the built-in database to the front; the canary tries what it can",
            remedy=Setting.FRONT,
        )


def _room(present: Present, most: int) -> Iterator[Doubt]:
    if present.source is not None and most > present.max_rules:
        yield Doubt(
            code="NX7030",
            text=f"An account needs {most:,} rules, and EMQX takes {present.max_rules:,} in one entry.",
            hint="--settings raises max_rules; or give that user a token (`nexus access token`)",
            remedy=Setting.LARGER,
        )


def _default(present: Present) -> Iterator[Doubt]:
    if present.no_match != "deny":
        yield Doubt(
            code="NX7034",
            text="EMQX allows what no rule decides (no_match is allow): each of our accounts gets refusals behind its rules.",
            hint="topics that begin with $, other than $SYS, $events and $file, stay open to our accounts; "
            "--settings sets no_match = deny for every tenant",
            remedy=Setting.NO_MATCH,
        )


def remedied(present: Present, remedies: Sequence[Setting], *, most: int) -> Present:
    """What will be there once these settings are made; `most` as for `doubts`."""
    for remedy in remedies:
        if remedy is Setting.AUTHENTICATOR:
            present = replace(present, password_checks=True, algorithm=OURS)
        elif remedy in (Setting.SOURCE, Setting.FRONT):
            others = [one for one in present.sources if one.type != DATABASE]
            present = replace(present, sources=(Source(type=DATABASE), *others))
        elif remedy is Setting.LARGER:
            present = replace(present, max_rules=enough(most))
        else:
            present = replace(present, no_match="deny")
    return present


def enough(most: int) -> int:
    """A `max_rules` for so many rules, in whole hundreds."""
    return -(-most // MOST_RULES) * MOST_RULES
