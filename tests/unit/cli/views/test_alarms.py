"""What `nexus alarms` prints, word for word."""

from __future__ import annotations

from datetime import UTC

from msgspec.structs import replace

from nexus_cli.cli.views.alarm_figures import figures_text
from nexus_cli.cli.views.alarms import journal_text, listing_text, why_text
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.control_alarms import (
    Actor,
    AlertWhy,
    Cascade,
    Figure,
    FloodSpan,
    Journal,
    JournalLine,
    KeyFigures,
    Notified,
    Running,
    Stale,
    Watched,
)

AT = 1_767_225_600_000_000
HOUR = 3_600_000_000
HOT = Alert(
    name="oven-hot",
    state="active",
    since=AT,
    value=250.5,
    severity="critical",
    tag="p/l/oven/temperature",
    description="The oven is too hot.",
    acknowledged_by="",
    priority="high",
    group="ovens",
    response="Open the damper.",
    consequence="The batch is lost.",
    occurrence=AT,
    changed=AT,
    first_out=True,
)


def plain(text: str, _role: str) -> str:
    return text


def changed(**keys: object) -> Alert:
    return Alert(**{**{name: getattr(HOT, name) for name in HOT.__struct_fields__}, **keys})


def test_a_list_has_what_to_do_and_who_holds_it() -> None:
    shelved = changed(
        state="returned", first_out=False, shelved_until=AT + HOUR, shelved_by="ann", shelved_reason="probe\nis out"
    )
    out = changed(
        state="acknowledged", acknowledged_by="bob", response="", description="", first_out=False, priority="", group="",
        out_of_service=AT, out_of_service_by="ann", out_of_service_reason="no probe", suppressed_by="power",
    )  # fmt: skip
    assert listing_text([HOT, shelved, out], style=plain, zone=UTC).splitlines() == [
        "high      2026-01-01 00:00:00Z  oven-hot  (ovens)  active  250.5  first out",
        "    The oven is too hot.",
        "    do: Open the damper.",
        "high      2026-01-01 00:00:00Z  oven-hot  (ovens)  returned, not acknowledged  250.5",
        "    shelved until 2026-01-01 01:00:00Z by ann: probe\\nis out",
        "    The oven is too hot.",
        "    do: Open the damper.",
        "critical  2026-01-01 00:00:00Z  oven-hot  acknowledged by bob  250.5",
        "    out of service since 2026-01-01 00:00:00Z by ann: no probe",
        "    suppressed by power",
    ]
    assert listing_text([], style=plain) == "no alarm is active"


LINE = JournalLine(name="oven-hot", at=AT, kind="active", state="active", value=250.5, priority="high", first_out=True)


def test_why_has_all_of_it() -> None:
    found = AlertWhy(
        alert=HOT,
        condition="above 240, clears below 230",
        holds=True,
        watched=[Watched(path="p/l/oven/temperature", value=250.5, quality="GOOD"), Watched(path="p/l/oven/door")],
        running=[Running(what="off-delay", left_s=4.5)],
        suppressors={"power": "cleared"},
        journal=[LINE],
        notified=[
            Notified(step="active", channel="board", state="sent", at=AT),
            Notified(step="escalate-600000", channel="boss", state="failed", at=AT, tries=3, detail="it said 500"),
        ],
    )
    assert why_text(found, style=plain, zone=UTC).splitlines()[3:] == [
        "  condition: above 240, clears below 230; it holds now",
        "  p/l/oven/temperature: 250.5 GOOD",
        "  p/l/oven/door: no value yet",
        "  off-delay: 4.5 s to go",
        "  suppressed while active: power is cleared",
        "  told board, 2026-01-01 00:00:00Z (active)",
        "  not told boss, 2026-01-01 00:00:00Z (escalate-600000, 3 tries): it said 500",
        "  if nobody acts: The batch is lost.",
        "  journal:",
        "    2026-01-01 00:00:00Z  active          high      oven-hot  250.5  first out",
    ]


def test_an_alarm_that_reached_nobody_says_so() -> None:
    alone = "  nobody was told: no route takes it now, or no worker runs"
    for alert, said in ((HOT, True), (replace(HOT, priority=""), False), (replace(HOT, state="acknowledged"), False)):
        alert = replace(alert, occurrence=AT)
        text = why_text(AlertWhy(alert=alert, condition="above 240", holds=True), style=plain, zone=UTC)
        assert (alone in text.splitlines()) is said


def test_the_journal_has_people_floods_and_what_was_held() -> None:
    lines = [
        LINE,
        JournalLine(name="oven-hot", at=AT, kind="shelved", state="active", priority="high", who="ann", reason="probe"),
        JournalLine(name="oven-hot", at=AT, kind="active", state="active", value=3, priority="high", held=True),
        JournalLine(name="", at=AT, kind="flood-begins", reason="11 alarms, up to 11 in 10 minutes", value=11),
    ]
    at = "2026-01-01 00:00:00Z"
    assert journal_text(Journal(lines=lines, truncated=True), since="1h", style=plain, zone=UTC).splitlines() == [
        "older ones are left out: raise --limit or narrow --since",
        f"{at}  active          high      oven-hot  250.5  first out",
        f"{at}  shelved         high      oven-hot  by ann  probe",
        f"{at}  active          high      oven-hot  3  (held)",
        f"{at}  flood-begins    the site  11 alarms, up to 11 in 10 minutes",
    ]
    assert journal_text(Journal(lines=[]), since="1h", style=plain) == "nothing happened since 1h"


def test_figures_have_their_targets() -> None:
    found = KeyFigures(
        since=AT,
        until=AT + 24 * HOUR,
        operators=2,
        alarms=700,
        figures=[
            Figure(name="per-day", value=350.0, target=150.0, ok=False, worst=350.0),
            Figure(name="flood-share", value=0.005, target=0.01, ok=True),
            Figure(name="share-low", value=0.3, target=0.8, ok=False),
        ],
        priorities={"low": 210, "medium": 490},
        floods=[FloodSpan(begin=AT, end=0, peak=40, alarms=90)],
        flood_count=2,
        bad_actors=[Actor(name="oven-hot", alarms=350, share=0.5)],
        chattering=[Actor(name="oven-hot", alarms=350, times=3)],
        stale=[Stale(name="door", since=AT)],
        first_out=[Cascade(name="power", group="", times=1, followers=29)],
    )
    assert figures_text(found, style=plain, zone=UTC).splitlines() == [
        "700 alarms, 2026-01-01 00:00:00Z to 2026-01-02 00:00:00Z, 2 operators",
        "  over  alarms a day                  350.00  (at most 150.00, worst 350)",
        "  ok    10-minute windows above 10      0.5%  (at most 1.0%)",
        "  low   low                            30.0%  (at least about 80.0%)",
        "  floods: 2, the newest 1:",
        "    2026-01-01 00:00:00Z to now: 90 alarms, up to 40 in 10 minutes",
        "  most often: 1",
        "    oven-hot: 350 (50%)",
        "  chattering: 1",
        "    oven-hot: 3 times three within a minute",
        "  active for more than 24 h: 1",
        "    door: since 2026-01-01 00:00:00Z",
        "  first out: 1",
        "    power: 1 cascade, 29 alarms followed",
    ]
