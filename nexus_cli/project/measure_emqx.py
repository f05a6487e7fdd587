"""Ask an EMQX which clients subscribe to topics that a plan ends, and which sessions keep a right that it takes away.

It is asked only where NEXUS_EMQX_* names one, reads alone, and has a bound of time and size: what it does not answer is
named as not known, and costs no plan. See docs/decisions/0112.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.grants import RESERVED
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.live_clients import LiveClients, ending_paths, live_clients, losers
from nexus_cli.plan.plan import Plan
from nexus_cli.settings import Settings
from nexus_cli.wire.emqx import Emqx, Session
from nexus_cli.wire.emqx_request import EmqxRequests
from nexus_cli.wire.emqx_settings import load_emqx, names_emqx
from nexus_cli.wire.topic import Topics

BUDGET_S = 10.0
"""For all questions together."""
MOST_ROWS = 50_000
"""Clients, and subscriptions, that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The answer: the clients, or why they are not known; both empty where there was nothing to ask."""

    live: LiveClients | None = None
    why: str = ""


async def ask_emqx(plan: Plan, settings: Settings, *, local: bool, budget_s: float = BUDGET_S) -> Asked:
    """Who is concerned by a plan. Never raises for an EMQX that can't answer.

    Args:
        plan: It is asked only where topics end, or a user loses a right.
        settings: For the CA of the broker.
        local: The broker is one of `nexus up`: no EMQX.
        budget_s: How long it may take.
    """
    if local or not names_emqx():
        return Asked()
    site = Topics(plan.enterprise, plan.site)
    topics = frozenset(site.tag(path) for path in ending_paths(plan.changes))
    losing = losers(plan.sessions)
    if not (topics or losing):
        return Asked()
    try:
        async with asyncio.timeout(budget_s), Emqx(EmqxRequests(load_emqx(broker_ca=settings.broker_ca))) as emqx:
            clients = await emqx.clients(most=MOST_ROWS)
            subscriptions = await emqx.subscriptions(most=MOST_ROWS) if topics else []
    except TimeoutError:
        return Asked(why=f"EMQX did not give them within {budget_s:g} s")
    except NexusError as error:
        return Asked(why=error.message.rstrip("."))
    accounts = _accounts(plan, clients)
    return Asked(live=live_clients(clients, subscriptions, topics=topics, losing=losing, accounts=accounts))


def _accounts(plan: Plan, clients: list[Session]) -> Accounts:
    """How principals are called there: with the site behind the name, but where NEXUS itself is there without it."""
    accounts = Accounts(plan.enterprise, plan.site)
    users = {each.username for each in clients if each.username}
    ours = any(accounts.principal(user) is not None for user in users)
    plain = any(user.startswith(RESERVED) and "@" not in user for user in users)
    return Accounts(plan.enterprise, plan.site, shared=ours or not plain)
