"""Who has which roles, through what, and whether it is their time; NEXUS's own principals, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, WORKER, gateway_principal
from nexus_cli.access.people import ANY_TIME, Held, Moment, Person, people
from nexus_cli.model.access_config import GroupConfig, UserConfig
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot

_NONE = UserConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Has:
    """One role of a principal.

    Attributes:
        role: Its name.
        via: `role`, `group NAME` or `elevated`.
        not_now: Why it does not count at the moment that was asked about; "" when it does.
    """

    role: str
    via: str = "role"
    not_now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A principal and the roles that it has.

    Attributes:
        name: As the broker of `nexus up` knows it.
        kind: `user`, `application`, or `nexus` for NEXUS's own.
        has: Its roles, those that count first.
        config: As recorded; of NEXUS's own empty.
        description: For people.
    """

    name: str
    kind: str
    has: tuple[Has, ...] = ()
    config: UserConfig = _NONE
    description: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the roles that count at that moment."""
        return tuple(each.role for each in self.has if not each.not_now)

    @property
    def valid(self) -> str:
        """`from 2026-01-01 until 2026-12-31`; "" without bounds."""
        begins = f"from {self.config.valid_from}" if self.config.valid_from else ""
        ends = f"until {self.config.valid_until}" if self.config.valid_until else ""
        return " ".join(filter(None, (begins, ends)))


def holders(snapshot: Snapshot, when: Moment = ANY_TIME) -> tuple[Holder, ...]:
    """Every declared user and application with its roles, by name, and NEXUS's own behind them."""
    users = dict(every(snapshot, "user", UserConfig))
    now = {person.name: person for person in people(snapshot, when)}
    ever = people(snapshot, Moment(elevated=when.elevated))
    hours = {name: group.hours for name, group in every(snapshot, "group", GroupConfig)}
    return (*(_holder(one, now[one.name], users[one.name], hours) for one in ever), *_own(snapshot))


def _own(snapshot: Snapshot) -> Iterator[Holder]:
    for name, text in (
        (CONTROL, "control"),
        (HISTORIAN, "the historian"),
        (WEB, "the pages"),
        (WORKER, "the worker of jobs"),
        (CLI, "the command line of this machine"),
    ):
        yield Holder(name=name, kind="nexus", description=text)
    for gateway, _ in snapshot.of_kind("gateway"):
        yield Holder(name=gateway_principal(gateway), kind="nexus", description=f"the gateway {gateway}")


def _holder(ever: Person, now: Person, config: UserConfig, hours: Mapping[str, list[str]]) -> Holder:
    counts = {held.name: Has(role=held.name, via=held.via) for held in now.roles}
    later = [
        Has(role=held.name, via=held.via, not_now=_why(now, held, config.hours, hours))
        for held in ever.roles
        if held.name not in counts
    ]
    return Holder(
        name=ever.name,
        kind=ever.kind,
        has=(*counts.values(), *later),
        config=config,
        description=config.description,
    )


def _why(now: Person, held: Held, own: list[str], groups: Mapping[str, list[str]]) -> str:
    """Why a role does not count now: `Person.idle` has it behind the role's name; with the hours at which it does."""
    for text in now.idle:
        name, _, why = text.partition(": ")
        if name.split(" ")[0] == held.name:
            times = [*own, *groups.get(held.via.removeprefix("group "), ())] if "hour" in why else []
            return f"{why} ({', '.join(times)})" if times else why
    return "elevation is over" if held.via == "elevated" else "not now"
