"""Who has which roles at a moment: groups, periods, hours over midnight and clock changes, elevation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.people import Moment, next_change_us, people
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot

ZONE = "Europe/Berlin"
ROLES = {"role.operator": {"read": ["**"]}, "role.lead": {"read": ["**"], "apply": ["**"]}}


def site(zone: str = ZONE, **members: Any) -> Snapshot:
    named = {name.replace("_", ".", 1): config for name, config in members.items()}
    return Snapshot.of("e", "s", {"site": {"enterprise": "e", "site": "s", "time_zone": zone}, **ROLES, **named})


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def roles(snapshot: Snapshot, at: str | None, **elevated: int) -> dict[str, list[tuple[str, str]]]:
    when = Moment(at_us=None if at is None else us(at), elevated=elevated)
    return {one.name: [(held.name, held.via) for held in one.roles] for one in people(snapshot, when)}


def change(snapshot: Snapshot, at: str, **elevated: int) -> int | None:
    return next_change_us(snapshot, Moment(at_us=us(at), elevated=elevated))


def test_roles_are_a_users_own_then_those_of_its_groups() -> None:
    snapshot = site(
        user_anna={"roles": ["operator"], "groups": ["shift", "staff"]},
        user_mes={"roles": [], "kind": "application"},
        **{"user_nexus.web": {"roles": ["operator"]}},
        group_shift={"roles": ["lead", "operator"]},
        group_staff={"roles": ["nowhere"]},
    )
    assert roles(snapshot, None) == {
        "anna": [("operator", "role"), ("lead", "group shift"), ("nowhere", "group staff")],
        "mes": [],
    }
    assert [one.kind for one in people(snapshot)] == ["user", "application"]


@pytest.mark.parametrize(
    ("at", "has"),
    [
        ("2030-02-28T23:59:59+01:00", False),
        ("2030-03-01T00:00:00+01:00", True),
        ("2030-06-30T23:59:59+02:00", True),
        ("2030-07-01T00:00:00+02:00", False),
    ],
)
def test_a_day_is_a_day_of_the_site_and_the_last_one_counts(at: str, has: bool) -> None:
    snapshot = site(user_anna={"roles": ["operator"], "valid_from": "2030-03-01", "valid_until": "2030-06-30"})
    assert bool(roles(snapshot, at)["anna"]) is has
    assert roles(snapshot, None)["anna"], "without a moment everybody has what is theirs"


@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Asia/Tokyo"])
@pytest.mark.parametrize("end", ["9999-12-31", "9999-12-31T23:59:59-10:00"])
def test_the_last_day_that_there_is_means_without_end(zone: str, end: str) -> None:
    anna = {"roles": ["operator"], "valid_from": "0001-01-01", "valid_until": end, "hours": ["mon-fri 06:00-22:00"]}
    snapshot = site(zone, user_anna=anna)
    assert roles(snapshot, "2030-03-06T12:00:00+00:00")["anna"]
    assert change(snapshot, "2030-03-06T12:00:00+00:00") is not None


def test_without_a_zone_days_are_those_of_utc() -> None:
    snapshot = site("", user_anna={"roles": ["operator"], "valid_until": "2030-06-30"})
    assert roles(snapshot, "2030-06-30T23:59:59+00:00")["anna"]
    assert not roles(snapshot, "2030-07-01T00:00:00+00:00")["anna"]
    assert change(snapshot, "2030-01-01T00:00:00+00:00") == us("2030-07-01T00:00:00+00:00")


def test_a_moment_ends_rights_at_itself() -> None:
    snapshot = site(user_anna={"roles": ["operator"], "valid_until": "2030-06-30T12:00:00+01:00"})
    assert roles(snapshot, "2030-06-30T10:59:59+00:00")["anna"]
    assert not roles(snapshot, "2030-06-30T11:00:00+00:00")["anna"]
    (anna,) = people(snapshot, Moment(at_us=us("2031-01-01T00:00:00+00:00")))
    assert anna.idle == ("operator: over since 2030-06-30T12:00:00+01:00",)


def test_a_groups_period_bounds_what_the_group_gives() -> None:
    snapshot = site(
        user_anna={"roles": ["operator"], "groups": ["shift"]},
        group_shift={"roles": ["lead"], "valid_until": "2030-01-31"},
    )
    assert roles(snapshot, "2030-01-31T12:00:00+01:00")["anna"] == [("operator", "role"), ("lead", "group shift")]
    assert roles(snapshot, "2030-02-01T00:00:00+01:00")["anna"] == [("operator", "role")]
    assert change(snapshot, "2030-01-01T00:00:00+01:00") == us("2030-02-01T00:00:00+01:00")
    assert change(snapshot, "2030-02-01T00:00:00+01:00") is None


HOURS = [
    # 2030-01-04 is a Friday.
    (["fri 22:00-06:00"], "2030-01-04T21:59:00+01:00", False),
    (["fri 22:00-06:00"], "2030-01-04T22:00:00+01:00", True),
    (["fri 22:00-06:00"], "2030-01-05T05:59:59+01:00", True),
    (["fri 22:00-06:00"], "2030-01-05T06:00:00+01:00", False),
    (["fri 22:00-06:00"], "2030-01-05T22:00:00+01:00", False),
    (["sat-sun"], "2030-01-04T23:59:59+01:00", False),
    (["sat-sun"], "2030-01-05T00:00:00+01:00", True),
    (["sat-sun"], "2030-01-06T23:59:59+01:00", True),
    (["sat-sun"], "2030-01-07T00:00:00+01:00", False),
    (["mon 06:00-14:00", "fri 06:00-24:00"], "2030-01-04T23:59:59+01:00", True),
    # The clock goes from 02:00 to 03:00 on 2030-03-31, and from 03:00 back to 02:00 on 2030-10-27.
    (["sun 02:30-04:00"], "2030-03-31T00:59:59+00:00", False),
    (["sun 02:30-04:00"], "2030-03-31T01:00:00+00:00", True),
    (["sun 01:00-02:30"], "2030-03-31T00:59:59+00:00", True),
    (["sun 01:00-02:30"], "2030-03-31T01:00:00+00:00", False),
    (["sun 02:30-04:00"], "2030-10-27T00:29:59+00:00", False),
    (["sun 02:30-04:00"], "2030-10-27T00:30:00+00:00", True),
    (["sun 01:00-02:30"], "2030-10-27T01:29:59+00:00", True),
    (["sun 01:00-02:30"], "2030-10-27T01:30:00+00:00", False),
]


@pytest.mark.parametrize(("hours", "at", "has"), HOURS)
def test_hours_are_those_of_the_clock_on_the_wall(hours: list[str], at: str, has: bool) -> None:
    snapshot = site(user_anna={"roles": ["operator"], "hours": hours})
    assert bool(roles(snapshot, at)["anna"]) is has


def test_elevation_gives_admin_at_any_hour_within_the_period() -> None:
    until = us("2030-01-04T13:00:00+01:00")
    snapshot = site(user_anna={"roles": ["operator"], "hours": ["sun"], "valid_until": "2030-01-31"})
    assert roles(snapshot, "2030-01-04T12:59:59+01:00", anna=until)["anna"] == [("admin", "elevated")]
    assert roles(snapshot, "2030-01-04T13:00:00+01:00", anna=until)["anna"] == []
    assert change(snapshot, "2030-01-04T12:00:00+01:00", anna=until) == until
    late = us("2031-01-01T00:00:00+01:00")
    assert roles(snapshot, "2030-02-01T00:00:00+01:00", anna=late)["anna"] == []
    (anna,) = people(snapshot, Moment(elevated={"anna": until}))
    assert next(held for held in anna.roles if held.via == "elevated").config.admin


def test_a_sites_own_admin_is_what_elevation_gives() -> None:
    snapshot = site(user_anna={"roles": []}, role_admin={"read": ["a/**"], "admin": True})
    (anna,) = people(snapshot, Moment(elevated={"anna": 1}))
    assert anna.roles[0].config.read == ["a/**"]


def test_hours_that_begin_long_after_the_period_does_are_found() -> None:
    member = {"roles": ["operator"], "valid_from": "2035-01-01", "hours": ["fri 06:00-14:00"]}
    assert change(site(user_anna=member), "2030-01-01T00:00:00+01:00") == us("2035-01-05T06:00:00+01:00")


def test_days_that_follow_each_other_are_no_change() -> None:
    snapshot = site(user_anna={"roles": ["operator"], "hours": ["mon-fri"]})
    assert change(snapshot, "2029-12-31T12:00:00+01:00") == us("2030-01-05T00:00:00+01:00")
    assert change(site(user_anna={"roles": ["operator"], "hours": ["mon-sun"]}), "2030-01-01T00:00:00+01:00") is None


_hours = st.sampled_from(["mon-fri 06:00-22:00", "sat 22:00-06:00", "sun", "sun 02:15-02:45", "wed 00:00-24:00"])


@given(
    hours=st.lists(_hours, max_size=2),
    group_hours=st.lists(_hours, max_size=2),
    until=st.sampled_from(["", "2030-03-31", "2030-10-27T00:30:00+00:00"]),
    at=st.integers(us("2030-03-28T00:00:00+00:00"), us("2030-11-01T00:00:00+00:00")),
    share=st.floats(0, 1, exclude_max=True),
)
def test_nothing_changes_before_the_next_change(
    hours: list[str], group_hours: list[str], until: str, at: int, share: float
) -> None:
    snapshot = site(
        user_anna={"roles": ["operator"], "groups": ["g"], "hours": hours, "valid_until": until},
        group_g={"roles": ["lead"], "hours": group_hours},
    )

    def held(at_us: int) -> list[list[str]]:
        return [[role.name for role in one.roles] for one in people(snapshot, Moment(at_us=at_us))]

    then = next_change_us(snapshot, Moment(at_us=at))
    end = then if then is not None else at + 14 * 86_400_000_000
    assert held(at + int((end - at) * share)) == held(at)
    if then is not None:
        assert then > at and held(then) != held(at) and held(then - 1) == held(at)


def test_elevation_is_for_people() -> None:
    snapshot = site(user_mes={"roles": ["operator"], "kind": "application"}, user_anna={"roles": ["operator"]})
    found = {
        one.name: [held.name for held in one.roles] for one in people(snapshot, Moment(elevated={"mes": 1, "anna": 1}))
    }
    assert found == {"mes": ["operator"], "anna": ["operator", "admin"]}


def test_rules_that_stay_for_days_know_periods_and_no_hours() -> None:
    at = us("2026-12-05T03:00:00+01:00")
    snapshot = site(
        user_past={"roles": ["r"], "valid_until": "2026-12-04"},
        user_now={"roles": ["r"], "valid_until": "2026-12-05", "hours": ["mon 08:00-09:00"]},
        user_soon={"roles": ["r"], "valid_from": "2026-12-06"},
    )
    found = people(snapshot, Moment(at_us=at, any_hour=True))
    assert {one.name: [held.name for held in one.roles] for one in found} == {"past": [], "now": ["r"], "soon": []}


def test_roles_and_groups_of_a_site_are_collected_once_for_all_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def every_of(snapshot: Snapshot, kind: str, config: Any) -> Any:
        asked.append(kind)
        return every(snapshot, kind, config)

    monkeypatch.setattr("nexus_cli.access.people.every", every_of)
    members: dict[str, Any] = {f"user_u{number}": {"roles": ["operator"]} for number in range(20)}
    assert len(people(site(**members))) == 20
    assert sorted(asked) == ["group", "role", "user"]
