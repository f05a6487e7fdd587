"""`nexus access push`: what a running EMQX has, what it should have, and the difference. Only reads.

`access_push_run` carries it out. See docs/decisions/0069.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.database_rule import read_rules
from nexus_cli.access.brokers.emqx.difference import Difference, difference, largest
from nexus_cli.access.brokers.emqx.hashing import Algorithm, UserHash, algorithm_of
from nexus_cli.access.brokers.emqx.present import (
    DATABASE,
    MOST_RULES,
    Doubt,
    Present,
    Setting,
    Source,
    doubts,
    remedied,
)
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.access_push_memory import PushMemory
from nexus_cli.project.access_push_wanted import Wanted
from nexus_cli.settings import Settings
from nexus_cli.wire.emqx import AUTHENTICATOR, Emqx
from nexus_cli.wire.emqx_request import RATE_PER_S, EmqxRequests, Pace
from nexus_cli.wire.emqx_settings import load_emqx

FIRST = (Setting.AUTHENTICATOR, Setting.SOURCE, Setting.LARGER, Setting.FRONT)
"""The settings that are made before anything else, in order; `no_match` is among the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A push that is ready to be carried out.

    Attributes:
        url: Of the API.
        accounts: Of the site.
        present: What is there now.
        difference: What is to do.
        settings: The settings that are made first; they concern every tenant.
        most: Rules of the largest entry.
        doubts: What is not as it should be, and stays so.
    """

    url: str
    accounts: Accounts
    present: Present
    difference: Difference
    settings: tuple[Setting, ...] = ()
    most: int = 0
    doubts: tuple[Doubt, ...] = ()

    @property
    def nothing(self) -> bool:
        """True when everything is as it should be."""
        return not self.difference.steps and not self.settings

    @property
    def algorithm(self) -> Algorithm | None:
        """How the authenticator hashes once the settings are made."""
        return remedied(self.present, self.settings, most=self.most).algorithm


def open_emqx(settings: Settings, *, rate_per_s: float = RATE_PER_S) -> Emqx:
    """The API that NEXUS_EMQX_* names. Raises NexusError NX7033."""
    return Emqx(EmqxRequests(load_emqx(broker_ca=settings.broker_ca), pace=Pace(rate_per_s)))


async def prepare(emqx: Emqx, wanted: Wanted, memory: PushMemory, *, settings: bool = False) -> Push:
    """Read what is there, and compare.

    Args:
        emqx: The API.
        wanted: What should be there.
        memory: What was pushed last.
        settings: Whether settings that concern every tenant may be changed.

    Raises:
        NexusError: As `Emqx`.
    """
    present = await look(emqx, wanted.accounts, memory.pushed)
    rules = wanted.rules(present.version)
    most = largest(rules, closing=True)
    found = doubts(present, most=most)
    remedies = tuple(doubt.remedy for doubt in found if doubt.remedy is not None) if settings else ()
    then = remedied(present, remedies, most=most)
    passwords: dict[str, UserHash] = {}
    if then.algorithm is not None:
        passwords = wanted.hashed(then.algorithm, memory.pushed)
    return Push(
        url=emqx.url,
        accounts=wanted.accounts,
        present=present,
        difference=difference(
            wanted.accounts,
            then,
            rules=rules,
            passwords=passwords,
            deny=Setting.NO_MATCH in remedies,
        ),
        settings=tuple(one for one in FIRST if one in remedies),
        most=most,
        doubts=tuple(doubt for doubt in found if doubt.remedy is None or doubt.remedy not in remedies),
    )


def refuse_blocked(push: Push) -> None:
    """Raise NexusError (NX7030, NX7032) when a doubt lets nothing be pushed."""
    for doubt in push.doubts:
        if doubt.blocks:
            raise NexusError(doubt.text, code=doubt.code, hint=doubt.hint)


async def look(emqx: Emqx, accounts: Accounts, pushed: Mapping[str, str]) -> Present:
    """Read a cluster: its settings, and of users and rules those of this site."""
    version = await emqx.version()
    authenticators = await emqx.authenticators()
    login = next((one for one in authenticators if one.get("id") == AUTHENTICATOR), None)
    sources = await emqx.sources()
    database = next((one for one in sources if one.get("type") == DATABASE), None)
    users = await emqx.users(accounts.suffix) if login is not None else {}
    rules = await emqx.rules(accounts.suffix) if database is not None else {}
    for_all = await emqx.rules_for_all() if database is not None else []
    settings = await emqx.settings()
    return Present(
        version=version,
        users=frozenset(name for name in users if accounts.principal(name) is not None),
        superusers=frozenset(name for name, every in users.items() if every and accounts.principal(name) is not None),
        rules={name: read_rules(each) for name, each in rules.items() if accounts.principal(name) is not None},
        sources=[Source(type=str(one.get("type")), enable=one.get("enable") is not False) for one in sources],
        max_rules=int((database or {}).get("max_rules") or MOST_RULES),
        no_match=str(settings.get("no_match", "allow")),
        deny_action=str(settings.get("deny_action", "ignore")),
        for_all=bool(for_all),
        authenticators=[str(one.get("id")) for one in authenticators],
        password_checks=_checks_passwords(login),
        algorithm=algorithm_of((login or {}).get("password_hash_algorithm") or {}),
        pushed=pushed,
    )


def _checks_passwords(login: Mapping[str, Any] | None) -> bool:
    return (
        login is not None and login.get("enable") is not False and login.get("user_id_type", "username") == "username"
    )


def principal_of(push: Push, account: str) -> str:
    """The site's own name of an account."""
    return push.accounts.principal(account) or account


def settings_in_words(settings: Sequence[Setting], *, most: int) -> list[str]:
    """What `--settings` changes, one sentence each."""
    words = {
        Setting.AUTHENTICATOR: "make an authenticator for passwords in the built-in database",
        Setting.SOURCE: "make the built-in database an authorization source, in front of all others",
        Setting.FRONT: "move the built-in database in front of the other authorization sources",
        Setting.LARGER: f"let an entry of the built-in database have {most:,} rules",
        Setting.NO_MATCH: "set no_match = deny: who has no rule is refused",
    }
    return [words[one] for one in settings]
