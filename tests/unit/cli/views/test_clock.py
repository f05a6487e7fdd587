"""One clock for people: what is shown can be read again, on every clock and in every command."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from nexus_cli.cli.main import cli
from nexus_cli.cli.views.audit import entry_text
from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.deployment import state_text
from nexus_cli.cli.views.logs import Follower, on_clock
from nexus_cli.cli.views.sequence import line_text, listing_text
from nexus_cli.model.calendar import microseconds, moment_of, parse_moment
from nexus_cli.project.show import RecordedState
from nexus_cli.wire.control import Deployment, Lock
from nexus_cli.wire.control_audit import AuditEntry
from nexus_cli.wire.control_sequences import RunLine, SequenceRun, Sequences

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
AT = datetime(2026, 7, 31, 22, 30, 15, 123_456, tzinfo=UTC)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def plain(text: str, _name: str) -> str:
    return text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        (UTC, "2026-07-31 22:30:15Z"),
        (BERLIN, "2026-08-01 00:30:15+02:00"),
        (KOLKATA, "2026-08-01 04:00:15+05:30"),
    ],
)
def test_a_time_has_its_offset(zone: tzinfo, text: str) -> None:
    assert clock_text(microseconds(AT), zone=zone) == text


@pytest.mark.parametrize("zone", [UTC, BERLIN, KOLKATA, None])
@pytest.mark.parametrize("digits", [0, 3, 6])
def test_what_is_shown_is_read_as_the_same_moment(zone: tzinfo | None, digits: int) -> None:
    exact = microseconds(AT) // 10 ** (6 - digits) * 10 ** (6 - digits)
    shown = clock_text(microseconds(AT), zone=zone, digits=digits)
    assert parse_moment(shown, now=NOW, zone=UTC) == moment_of(exact)
    bare = shown.removesuffix("Z")
    bare = bare if bare != shown else bare[:-6]
    assert parse_moment(bare, now=NOW, zone=zone) == moment_of(exact), "without its offset, on the same clock"


def test_every_view_shows_the_clock_that_was_asked_for() -> None:
    at = microseconds(AT)
    entry = AuditEntry(at=at, kind="sequence", what="sequence", state="done", who="me", subject="fill")
    line = RunLine(id=1, at=at, state="done", step=1, branch="steps", text="wait")
    run = SequenceRun(started=at, state="done", name="fill", id="R", who="me", reason="")
    state = RecordedState(
        site="a/b",
        deployment=1,
        digest="sha256:0",
        digests={},
        running=[],
        lock=Lock(owner="me", acquired=at, reason=""),
        deployments=[Deployment(number=1, state="ended", started=at, outcome="applied", who="me")],
    )
    for zone, day, offset in ((UTC, "2026-07-31 22:30:15", "Z"), (BERLIN, "2026-08-01 00:30:15", "+02:00")):
        assert f"{day}{offset}" in entry_text(entry, style=plain, zone=zone)
        assert f"{day[11:]}.123{offset}" in line_text(line, style=plain, zone=zone)
        assert f"{day}{offset}" in listing_text(Sequences(sequences=[], runs=[run]), style=plain, zone=zone)
        assert state_text(state, style=plain, zone=zone).count(f"{day}{offset}") == 2


@pytest.mark.parametrize(
    "command",
    [["history"], ["audit"], ["show"], ["logs"], ["sequence", "run"], ["sequence", "list"], ["sequence", "status"]],
)
def test_every_command_that_shows_times_takes_utc(command: list[str]) -> None:
    assert "--utc" in CliRunner().invoke(cli, [*command, "--help"]).output


def test_a_log_is_shown_on_the_clock_that_was_asked_for(tmp_path: Path) -> None:
    line = "2026-07-31T22:30:15.123Z info    gateway gw-1 connected"
    assert on_clock(line, zone=BERLIN) == "2026-08-01 00:30:15.123+02:00 info    gateway gw-1 connected"
    assert on_clock(line, zone=UTC) == "2026-07-31 22:30:15.123Z info    gateway gw-1 connected"
    for other in ('{"time":"2026-07-31T22:30:15.123Z","level":"info"}', "1785537015: New client", f"  {line}", ""):
        assert on_clock(other, zone=BERLIN) == other
    odd = "2026-99-31T22:30:15.123Z info"
    assert on_clock(odd, zone=BERLIN) == odd
    log = tmp_path / "gateway.log"
    log.write_text(line + "\n")
    assert Follower(log, "gw", 0, zone=KOLKATA).fresh() == [f"gw: {on_clock(line, zone=KOLKATA)}"]


def test_two_clocks_are_one_too_many() -> None:
    result = CliRunner().invoke(cli, ["history", "a/l/d/t", "--utc", "--zone", "Europe/Berlin"])
    assert "contradict each other" in result.output
    wrong = CliRunner().invoke(cli, ["history", "a/l/d/t", "--zone", "Europe/Berlinn"])
    assert "is not a time zone" in wrong.output
