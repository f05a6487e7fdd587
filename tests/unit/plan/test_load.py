"""Load of links before and after a change, and the hazards that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.apply.request import DeploymentRequest, check_request
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.link_load import polling_load
from nexus_cli.model.config import device_from_json
from nexus_cli.model.limits import share_of
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.consents import consents_to, useless_consents
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.text import plan_text
from nexus_cli.plan.weighed import needed
from nexus_cli.project.text import load as load_site
from tests.unit.plan.test_plan import device, plan, snapshot, tag

LINK = "tcp:10.0.0.9:502"


def fast(poll_ms: int, **keys: Any) -> dict[str, Any]:
    return device("a/l/one", tags={"energy": tag(poll_ms=poll_ms)}, **keys)


def names(found: Plan) -> list[tuple[str, str]]:
    return [(hazard.name, hazard.scope) for hazard in found.hazards]


def test_the_load_of_a_link_counts_every_device_on_it() -> None:
    (load,) = plan(snapshot(fast(1000), device("a/l/two")), snapshot(fast(100), device("a/l/two"))).loads
    assert load.before is not None and load.after is not None
    assert (load.link, load.gateway, load.protocol, load.devices) == (LINK, "gw", "modbus", 2)
    assert (load.before.requests, load.after.requests) == (2, 2)
    assert (load.before.busy_ms, load.after.busy_ms, load.after.interval_ms) == (20.0, 110.0, 100)
    assert load.text == "2 -> 2 requests a cycle, 20 ms -> 20 ms of 100ms, busy 2% -> 11% (predicted)"


def test_measured_time_replaces_the_typical_one_and_the_pause_comes_on_top() -> None:
    connection = {"host": "10.0.0.9", "port": 502, "pause": 5}
    before, after = (snapshot(fast(poll_ms, connection=connection)) for poll_ms in (1000, 500))
    (load,) = plan(before, after, facts={("gw", LINK): LinkFacts(link=LINK, cycle_ms=45.0, requests=1)}).loads
    assert load.after is not None and (load.after.cycle_ms, load.basis) == (45.0, "measured")
    (load,) = plan(before, after, facts={("gw", LINK): LinkFacts(link=LINK, time_per_request_ms=2.0)}).loads
    assert load.after is not None and load.after.cycle_ms == 7.0


def test_only_links_that_a_change_touches_are_weighed() -> None:
    other = device("a/l/two", link="tcp:other:502")
    assert [load.link for load in plan(snapshot(fast(1000), other), snapshot(fast(500), other)).loads] == [LINK]
    assert plan(snapshot(fast(1000)), snapshot(fast(1000, description="meter"))).loads == ()


def test_what_no_driver_reads_has_an_unknown_load() -> None:
    strange = device("a/l/two", protocol="unheard-of")
    (load,) = plan(snapshot(fast(1000), strange), snapshot(fast(500), strange)).loads
    assert (load.before, load.after, load.basis) == (None, None, "unknown")


def test_a_line_of_the_same_name_at_another_gateway_is_another_line() -> None:
    """Each gateway has its own /dev/ttyUSB0: what nine devices ask at `gw` is no load of the one at `north`."""
    crowd = [device(f"a/l/d{n}", tags={"energy": tag(poll_ms=100)}) for n in range(9)]
    found = plan(snapshot(fast(1000, gateway="north"), *crowd), snapshot(fast(50, gateway="north"), *crowd))
    (load,) = found.loads
    assert load.after is not None and (load.gateway, load.devices, load.after.share) == ("north", 1, 0.2)
    assert names(found) == []
    moved = plan(snapshot(fast(50, gateway="north"), *crowd), snapshot(fast(50), *crowd))
    assert [(each.gateway, each.devices) for each in moved.loads] == [("gw", 10), ("north", 0)]
    assert names(moved) == [("over-budget", "a/l/one")], "it comes to a link that is full"
    text = plan_text(plan_document(moved), style=lambda text, _: text)
    assert (
        f"  {LINK} of gw (10 devices): " in text
        and f"  {LINK} of north (0 devices): 1 request a cycle -> no polls" in text
    )


def test_reported_tags_cost_no_polls() -> None:
    (load,) = plan(snapshot(fast(1000)), snapshot(device("a/l/one", tags={"energy": tag(mode="subscribe")}))).loads
    assert load.text == "1 request a cycle -> no polls; 1 tag reported by the device"


def test_a_slow_line_counts_the_bytes() -> None:
    """41 registers at 9600 baud with 11 bits: 8 + 5 + 82 bytes, and twice a silence of 3.5 characters."""
    tags = {f"t{n}": tag(address=f"holding:{n}", type="uint16") for n in range(41)}
    line = {"serial": "/dev/ttyUSB0", "baudrate": 9600, "parity": "even", "stopbits": 1, "bytesize": 8}
    load = polling_load(device_from_json(device("a/l/one", link="serial:/dev/ttyUSB0", connection=line, tags=tags)))
    assert load is not None and load.requests == 1
    assert load.cycle_ms == pytest.approx(10 + 95 * 11 / 9.6 + 2 * 3.5 * 11 / 9.6)


def test_over_budget_is_the_hazard_of_who_asks_more() -> None:
    crowd = [device(f"a/l/d{n}", tags={"energy": tag(poll_ms=100)}) for n in range(9)]
    found = plan(snapshot(fast(1000), *crowd), snapshot(fast(50), *crowd))
    assert names(found) == [("over-budget", "a/l/one")] and found.hazards[0].code == "NX4010"
    assert consents_to(found.hazards) == ["over-budget=a/l/one"]
    # better than before, though still too much: no hazard
    assert names(plan(snapshot(fast(10), *crowd), snapshot(fast(20), *crowd))) == []
    # a first plan has nothing to lose
    assert names(plan(snapshot(), snapshot(fast(10), *crowd))) == []


def mass(limit: float, **keys: Any) -> list[tuple[str, str]]:
    site = {"enterprise": "acme", "site": "chicago", "mass_change": limit}
    devices = [device(f"a/l/d{n}") for n in range(10)]
    changed = [device(f"a/l/d{n}", description="x") for n in range(3)]
    return names(plan(snapshot(*devices, site=site), snapshot(*changed, *devices[3:], site={**site, **keys})))


def test_mass_change_is_beyond_the_recorded_share() -> None:
    assert mass(0.3) == [] and mass(0.2) == [("mass-change", "site")]
    assert mass(0.299) == [("mass-change", "site")]
    assert mass(0.2, mass_change=1.0) == [("mass-change", "site"), ("policy-change", "limits")], (
        "a plan can't lift its own limit"
    )


def test_a_class_that_keeps_less_is_a_loss() -> None:
    classes = {"retention__default": {"keep_ms": 400 * 86_400_000}, "retention__short": {"keep_ms": 86_400_000}}
    long, short = device("a/l/one"), device("a/l/one", tags={"energy": tag(retention="short")})
    assert names(plan(snapshot(long, **classes), snapshot(short, **classes))) == [("data-loss", "a/l/one/energy")]
    assert names(plan(snapshot(short, **classes), snapshot(long, **classes))) == []


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("was", "now", "lost"),
    [
        ({"archive_after_ms": DAY_MS}, {}, "they no longer go to the archive and are dropped after 30d"),
        (
            {"archive_after_ms": DAY_MS},
            {"archive_after_ms": DAY_MS, "archive_keep_ms": 400 * DAY_MS},
            "the archive keeps them 400d instead of without end",
        ),
        (
            {"archive_after_ms": DAY_MS, "archive_keep_ms": 400 * DAY_MS},
            {"archive_after_ms": DAY_MS, "archive_keep_ms": 90 * DAY_MS},
            "the archive keeps them 90d instead of 400d",
        ),
        ({"archive_after_ms": DAY_MS}, {"archive_after_ms": 9 * DAY_MS}, ""),
        ({}, {"archive_after_ms": DAY_MS, "archive_keep_ms": 90 * DAY_MS}, ""),
        # gone from both after 30 days, before and after
        ({"archive_after_ms": DAY_MS, "archive_keep_ms": 20 * DAY_MS}, {}, ""),
    ],
)
def test_a_class_whose_archive_has_less_is_a_loss(was: dict[str, Any], now: dict[str, Any], lost: str) -> None:
    classes = {
        "retention__default": {"keep_ms": 30 * DAY_MS, **was},
        "retention__other": {"keep_ms": 30 * DAY_MS, **now},
    }
    moved = device("a/l/one", tags={"energy": tag(retention="other")})
    found = plan(snapshot(device("a/l/one"), **classes), snapshot(moved, **classes)).hazards
    assert [each.message for each in found] == [
        f"a/l/one/energy goes from class default to other: {each}" for each in [lost] if each
    ]


@pytest.mark.parametrize(
    ("written", "limit"), [("0.7%", "0.007"), ("33.3%", "0.333"), ("20 %", "0.2"), ("100%", "1.0")]
)
def test_a_written_share_is_the_number_that_is_written(written: str, limit: str) -> None:
    """Half a step off, 7 of 1,000 devices would be more than 0.7 %."""
    assert str(share_of(written)) == limit


@pytest.mark.parametrize(
    ("before", "after", "scopes"),
    [
        ({"tags": {"a": tag(writable=True, enabled=False)}}, {"tags": {"a": tag(writable=True)}}, ["a/l/one/a"]),
        ({"tags": {"a": tag(writable=True)}, "enabled": False}, {"tags": {"a": tag(writable=True)}}, ["a/l/one/a"]),
        ({"tags": {}}, {"tags": {"a": tag(writable=True)}}, ["a/l/one/a"]),
        ({"tags": {}}, {"tags": {"a": tag(writable=True, enabled=False)}}, []),
    ],
)
def test_what_takes_commands_from_now_on_needs_consent(
    before: dict[str, Any], after: dict[str, Any], scopes: list[str]
) -> None:
    found = plan(snapshot(device("a/l/one", **before)), snapshot(device("a/l/one", **after)))
    assert [scope for name, scope in names(found) if name == "write-enable"] == scopes


def refusal(before: Snapshot, after: Snapshot, allow: list[str]) -> str:
    """What control says to a request, which sees of what stays only what it asks for."""
    changes = plan(before, after).changes
    changed = {address: after.resources[address] for address in after.resources if address not in before.resources}
    changed |= {each.address: after.resources[each.address] for each in changes}
    wanted = needed(changes)
    kept = {
        address: value
        for address, value in before.resources.items()
        if address not in changed and (address in wanted.addresses or value.get("link") in wanted.links)
    }
    request = DeploymentRequest(base_digest=before.digest, desired_digest=after.digest, changed=changed, allow=allow)
    recorded = Recorded(enterprise="acme", site="chicago", digests=before.digests)
    old = {address: before.resources[address] for address in changed if address in before.resources}
    with pytest.raises(NexusError) as caught:
        check_request(request, recorded, old, kept=kept)
    return f"{caught.value.code} {caught.value.hint}"


def test_control_refuses_by_what_is_recorded() -> None:
    crowd = [device(f"a/l/d{n}", tags={"energy": tag(poll_ms=100)}) for n in range(9)]
    over = snapshot(fast(1000), *crowd), snapshot(fast(50), *crowd)
    assert refusal(*over, allow=[]) == "NX4002 if this is intended: --allow over-budget=a/l/one"
    site = {"enterprise": "acme", "site": "chicago", "mass_change": 0.4}
    both = snapshot(fast(1000), device("a/l/two"), site=site)
    left = snapshot(fast(1000, description="x"), device("a/l/two"), site=site)
    assert refusal(both, left, allow=["data-loss"]) == "NX4002 if this is intended: --allow mass-change"


def test_a_consent_that_covers_nothing_is_named() -> None:
    found = plan(snapshot(device("a/l/one")), snapshot(device("a/l/one", tags={})))
    useless = useless_consents(found.hazards, ["data-loss=a/l/one/*", "data-loss=a/l/two/*", "series-break"])
    assert [(each.code, each.hint) for each in useless] == [
        ("NX4012", "this plan asks for --allow data-loss=a/l/one/energy"),
        ("NX4012", "leave it out"),
    ]


def test_validate_and_plan_say_the_same_share() -> None:
    (site,) = Path("tests/cases").glob("NX3004-*/site.yaml")
    loaded = load_site(site)
    assert loaded.value is not None
    (overloaded,) = [each.message for each in loaded.findings if each.code == "NX3004"]
    shares = [each.after.share for each in plan(snapshot(), loaded.value.snapshot).loads if each.after is not None]
    assert f"about {max(shares):.1f} s of every second" in overloaded
