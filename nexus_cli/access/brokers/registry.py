"""The brokers that rules can be written for: a literal table, each module loaded when it is asked for.

Each renderer has a reader of its own format; what it wrote is read back and asked before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants import Grant
from nexus_cli.access.request import Request, Rules, Wish
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean

Render = Callable[[Asked], Rendered]
Read = Callable[[Rendered], Rules]
"""What was rendered; gives its rules, or raises NexusError where the broker would not take it."""

MOST_QUESTIONS = 4_000
"""Of one kind, when rules are read back: those of a large site are asked in even steps."""
_PROOF_ID = "proof-" + "0" * 24
"""Behind an account: a client id as NEXUS's own processes make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One form of rules.

    Attributes:
        name: As on the command line.
        title: For people.
        render, read: `module:function` of each.
        merge: `module:function` that puts our part into a file that others use, too; "" where files are ours alone.
        shared: Names of the files that others may have text in.
        opened: `module:function` that is True for such a file that lets everybody else do everything.
        versions: Versions that its form is known for, the newest last.
        private: Endings of files that only the broker may read: hashes of passwords.
    """

    name: str
    title: str
    render: str
    read: str
    merge: str = ""
    shared: tuple[str, ...] = ()
    opened: str = ""
    versions: tuple[str, ...] = ()
    private: tuple[str, ...] = ("passwords", "users.json")

    def load(self) -> tuple[Render, Read]:
        """Its functions.

        Raises:
            NexusError: NX7048, this build does not have them.
        """
        return _function(self.name, self.render), _function(self.name, self.read)

    def shares(self, name: str) -> bool:
        """True for a file that others may have text in."""
        return name in self.shared

    def is_open(self, text: str) -> bool:
        """True for a file that lets everybody else do everything."""
        return bool(self.opened and _function(self.name, self.opened)(text))

    def merged(self, existing: str, name: str, made: Rendered, version: str = "") -> str:
        """What a file is to hold that has other people's text in it. Raises what the broker's own reader raises."""
        if not existing or not self.shares(name):
            return made.files[name]
        text: str = _function(self.name, self.merge)(existing, name, made, version)
        return text


_HERE = "nexus_cli.access.brokers"
BROKERS: Mapping[str, Broker] = {
    one.name: one
    for one in (
        Broker(
            name="emqx",
            title="EMQX: acl.conf and a HOCON fragment",
            render=f"{_HERE}.forms.emqx:render",
            read=f"{_HERE}.forms.emqx:read",
            merge=f"{_HERE}.forms.emqx:merge",
            shared=("acl.conf",),
            opened=f"{_HERE}.emqx.shared_file:is_open",
            versions=("5.8", "5.9", "5.10", "6.0", "6.1", "6.2", "6.3"),
            private=("users.json",),
        ),
        Broker(
            name="mosquitto",
            title="Mosquitto: acl_file and password_file",
            render=f"{_HERE}.forms.mosquitto:render",
            read=f"{_HERE}.forms.mosquitto:read",
        ),
        Broker(
            name="mosquitto-dynsec",
            title="Mosquitto: dynamic-security.json",
            render=f"{_HERE}.forms.mosquitto:render_dynsec",
            read=f"{_HERE}.forms.mosquitto:read_dynsec",
            private=(".json",),
        ),
        Broker(
            name="hivemq",
            title="HiveMQ: credentials.xml of the file RBAC extension (Community)",
            render=f"{_HERE}.forms.hivemq:render",
            read=f"{_HERE}.forms.hivemq:read",
            private=("credentials.xml",),
        ),
        Broker(
            name="hivemq-enterprise",
            title="HiveMQ: file realm of the Enterprise Security Extension",
            render=f"{_HERE}.forms.hivemq:render_enterprise",
            read=f"{_HERE}.forms.hivemq:read_enterprise",
            private=(),
        ),
    )
}


def broker(name: str) -> Broker:
    """The broker of a name.

    Raises:
        NexusError: NX7048, there is none.
    """
    if name not in BROKERS:
        raise NexusError(
            f"There is no renderer for the broker '{name}'.", code="NX7048", hint=did_you_mean(name, BROKERS)
        )
    return BROKERS[name]


def _function(name: str, where: str) -> Any:
    module, _, function = where.partition(":")
    try:
        return getattr(import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise NexusError(
            f"This build has no renderer for {name}.", code="NX7048", cause=str(error)[:200], hint="see docs/access.md"
        ) from None


def render_proven(one: Broker, asked: Asked) -> Rendered:
    """Render, read back, and ask the rules for what is granted and what is not.

    Raises:
        NexusError: NX7047, the rules would say something else than the grants; NX7048, or what the renderer raises.
    """
    render, read = one.load()
    made = render(asked)
    # Who is left out for want of a password, or a rule that is left out, is refused more than the grants say.
    narrower = any(note.code == "NX7014" for note in made.notes)
    wrong = next(differences(read(made), asked.grants, asked.accounts, narrower=narrower), "")
    if wrong:
        raise NexusError(f"The rules for {one.title} do not say what the site does.", code="NX7047", cause=wrong)
    return made


def differences(rules: Rules, grants: Sequence[Grant], accounts: Accounts, *, narrower: bool = False) -> Iterator[str]:
    """Where rules answer otherwise than the grants, in words.

    Args:
        rules: As they were read back.
        grants: What is meant.
        accounts: How principals are called at the broker.
        narrower: True when the renderer noted that something is left out: a refusal of what is granted is then no fault.
    """
    if not narrower:
        for grant in _some(grants):
            if not _allows(rules, accounts.account(grant.principal), grant.action, sample(grant.filter), grant):
                yield f"'{grant.principal}' may {grant.action} {grant.filter}, and the rules refuse it"
    by_principal: dict[str, list[Grant]] = {}
    for grant in grants:
        by_principal.setdefault(grant.principal, []).append(grant)
    topics = sorted({sample(grant.filter) for grant in grants} | {"$SYS/broker/clients", "nexus-proof/none"})
    names = sorted(by_principal)
    for number, topic in enumerate(_some(topics)):
        principal = names[number % len(names)] if names else ""
        for action in ("publish", "subscribe"):
            own = (grant for grant in by_principal.get(principal, ()) if grant.action == action)
            if any(covers(grant.filter, topic) for grant in own):
                continue
            if _allows(rules, accounts.account(principal), action, topic, None):
                yield f"'{principal}' may not {action} {topic}, and the rules allow it"
    yield from (f"a client without a name may {action} {topics[0]}" for action in ("publish", "subscribe") if _allows(rules, "", action, topics[0], None))  # fmt: skip


def sample(filter_: str) -> str:
    """A topic that a filter matches."""
    return "/".join("any" if level in ("+", "#") else level for level in filter_.split("/"))


def _some(listed: Sequence[Any]) -> Sequence[Any]:
    return listed[:: max(1, len(listed) // MOST_QUESTIONS)]


def _allows(rules: Rules, user: str, action: str, topic: str, grant: Grant | None) -> bool:
    """Whether a message passes; of a subscription, whether it is taken and its messages are delivered."""
    wishes: tuple[Wish, ...] = ("publish",) if action == "publish" else ("subscribe", "receive")
    qos = grant.qos[0] if grant is not None and grant.qos else 0
    retain = bool(grant is not None and grant.retain)
    return all(
        rules.decide(
            Request(user=user, wish=wish, topic=topic, qos=qos, retain=retain, client_id=f"{user}-{_PROOF_ID}")
        ).allowed
        for wish in wishes
    )
