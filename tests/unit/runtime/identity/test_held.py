"""What roles give together, and what one of them takes away."""

from __future__ import annotations

from nexus_cli.access.lines import TagFacts
from nexus_cli.model.access_config import DenyConfig, RoleConfig
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import EVERY_SCOPE, Held, held_by_platform, held_by_roles

NAMES = ["fill", "rinse", "drain"]


def of(*roles: RoleConfig, kind: str = "user") -> Held:
    return held_by_roles({f"r{number}": role for number, role in enumerate(roles)}, kind=kind)


def test_without_a_role_only_names_that_nothing_gives() -> None:
    held = of()
    names = {"alerts:read", "alerts:ack", "sequences:run", "messages:publish"}
    assert held.scopes == names | {"values:read", "values:write"}
    assert held.names("run", NAMES) == held.names("alerts", NAMES) == set()


def test_a_denial_counts_whatever_another_role_gives() -> None:
    held = of(RoleConfig(run=["*"], acknowledge=["*"]), RoleConfig(deny=DenyConfig(run=["dr*"], alerts=["rinse"])))
    assert held.names("run", NAMES) == {"fill", "rinse"}
    assert held.names("alerts", NAMES) == {"fill", "drain"}
    assert held.names("acknowledge", NAMES) == {"fill", "drain"}


def test_a_denial_counts_against_an_administrator() -> None:
    held = of(RoleConfig(admin=True), RoleConfig(deny=DenyConfig(publish=["fill"])))
    assert held.scopes == EVERY_SCOPE and held.names("publish", NAMES) == {"rinse", "drain"}


def test_who_acknowledges_sees() -> None:
    held = of(RoleConfig(acknowledge=["fill"]))
    assert held.names("alerts", NAMES) == {"fill"} == held.names("acknowledge", NAMES)
    assert of(RoleConfig(alerts=["*"])).names("acknowledge", NAMES) == set()


def test_an_alert_is_shown_to_whom_its_tag_is() -> None:
    secret = TagFacts(path="a/l/d/secret", classification="restricted")
    plain = TagFacts(path="a/l/d/plain")
    held = of(RoleConfig(alerts=["fill"], acknowledge=["rinse"]), RoleConfig(read=["**"], clearance="restricted"))
    assert held.shows("alerts", "fill", plain) and held.shows("alerts", "rinse", plain)
    assert held.shows("acknowledge", "rinse", plain) and not held.shows("acknowledge", "fill", plain)
    assert not held.shows("alerts", "fill", secret)  # the role that gives it is not cleared
    assert not held.shows("alerts", "fill", None)
    cleared = of(RoleConfig(alerts=["*"], clearance="restricted"), RoleConfig(deny=DenyConfig(read=["a/*/d/plain"])))
    assert cleared.shows("alerts", "fill", secret) and not cleared.shows("alerts", "fill", plain)
    assert of(RoleConfig(admin=True)).shows("alerts", "fill", secret)
    assert held_by_platform("nexus.web").shows("alerts", "fill", secret)


def test_who_writes_a_tag_of_a_device_or_applies_it_takes_it_out_of_service() -> None:
    tags = [TagFacts(path="a/l/d/setpoint", writable=True), TagFacts(path="a/l/d/shown")]
    one = of(RoleConfig(write=["a/l/d/setpoint"]))
    assert "devices:service" in one.scopes and one.serves("a/l/d", tags)
    assert not one.serves("a/l/e", [TagFacts(path="a/l/e/setpoint", writable=True)])
    assert not of(RoleConfig(write=["a/l/d/shown"])).serves("a/l/d", tags), "nothing of it takes commands"
    assert not of(RoleConfig(write=["**"], deny=DenyConfig(write=["a/l/**"]))).serves("a/l/d", tags)
    secret = [TagFacts(path="a/l/d/setpoint", writable=True, classification="restricted")]
    assert not one.serves("a/l/d", secret), "the role is not cleared"
    assert of(RoleConfig(apply=["a/l/**"])).serves("a/l/d", ()) and not of(RoleConfig(apply=["a/l/d/x"])).serves(
        "a/l/d", tags
    )
    assert "devices:service" not in of(RoleConfig(read=["**"])).scopes
    assert of(RoleConfig(admin=True)).serves("a/l/d", ())


def test_who_may_change_something_reads_the_state_and_the_trail() -> None:
    part, whole = of(RoleConfig(apply=["a/**"])), of(RoleConfig(apply=["**"]))
    assert part.scopes >= {"state:read", "deployments:read", "audit:read", "apply"}
    assert "lock:break" not in part.scopes and "lock:break" in whole.scopes
    assert not (part.scopes | whole.scopes) & {"access:read", "access:admin"}


def test_a_program_makes_no_tokens_for_itself() -> None:
    assert "tokens:own" not in of(RoleConfig(apply=["**"]), kind="application").scopes


def test_a_token_is_never_more_than_its_scopes() -> None:
    caller = Caller("anna", of(RoleConfig(admin=True)), frozenset({"alerts:read"}))
    assert caller.scopes == {"alerts:read"} and not caller.may("state:read") and not caller.may_read_gateway("gw")
    assert Caller("anna", of(), frozenset(EVERY_SCOPE)).scopes == of().scopes


def test_the_platform() -> None:
    assert held_by_platform("nexus.control").scopes == EVERY_SCOPE
    assert held_by_platform("nexus.web").scopes == held_by_platform("nexus.historian").scopes
    assert held_by_platform("nexus.gateway.g").scopes == {"gateway:read"}
