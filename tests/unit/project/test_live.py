"""What `nexus tail` reads, filters and shows."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access.globs import matches_glob
from nexus_cli.cli.views.link_reasons import link_lines
from nexus_cli.cli.views.status import age_text, render_status
from nexus_cli.cli.views.tail import TailView, nothing_text, value_text, waiting_text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.status_report import LinkReport
from nexus_cli.project.live import parse_live, parse_where, wanted
from nexus_cli.project.live_value import Live
from nexus_cli.project.recorded import as_recorded
from nexus_cli.wire.message import Message
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import Quality, Reason
from nexus_cli.wire.topic import Topics, matches
from tests.unit.local.reports import report

TOPICS = Topics("acme", "chicago")
PATH = "packaging/line-1/filler/temperature"


def _message(payload: bytes, topic: str = f"acme/chicago/{PATH}", *, retain: bool = False) -> Message:
    return Message(topic=topic, payload=payload, qos=1, retain=retain)


def test_a_live_value_is_read_back() -> None:
    payload = encode_live(
        84.25, time_us=1_700_000_000_123_456, unit="degC", quality=Quality.UNCERTAIN, reason=Reason.OUT_OF_RANGE
    )
    live = parse_live(TOPICS, _message(payload, retain=True))
    assert (live.path, live.value, live.quality, live.unit, live.reason) == (
        PATH,
        84.25,
        "UNCERTAIN",
        "degC",
        "out_of_range",
    )
    assert live.timestamp == 1_700_000_000_123
    assert live.retained
    assert live.to_json()["timestamp"] == 1_700_000_000_123


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"[", b"42", b'"text"', b"{}", b'{"value": {"a": 1}, "quality": 7}']
)
def test_anything_can_be_read(payload: bytes) -> None:
    live = parse_live(TOPICS, _message(payload))
    assert TailView(colour=False).line(live).startswith(PATH)
    assert parse_live(TOPICS, _message(payload, topic="_nexus/x")).path == "_nexus/x"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("quality!=GOOD", True),
        ("quality = bad", False),
        ("value>=10", True),
        ("value < 10", False),
        ("value==84.25", True),
        ("unit=degC", True),
        ("label!=x", True),
        ("retained=false", True),
        ("timestamp>5", True),
        ("unit>5", False),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    live = Live(topic="t", path="p", value=84.25, quality="UNCERTAIN", unit="degC", timestamp=1000)
    assert parse_where(condition).holds(live) is holds


@pytest.mark.parametrize("condition", ["quality", "qualty!=GOOD", "value ~ 3", "!=3", ""])
def test_a_bad_condition_is_said(condition: str) -> None:
    with pytest.raises(NexusError) as caught:
        parse_where(condition)
    assert caught.value.code == "NX6521"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "filter_"),
    [
        ("**", "acme/chicago/#"),
        ("packaging/**", "acme/chicago/packaging/#"),
        ("packaging/*/filler/temp*", "acme/chicago/packaging/+/filler/+"),
        ("**/temperature", "acme/chicago/#"),
        ("_nexus/acme/chicago/health/#", "_nexus/acme/chicago/health/#"),
        ("other/+/x", "other/+/x"),
        (f"acme/chicago/{PATH}", f"acme/chicago/{PATH}"),
    ],
)
def test_filters_cover_what_is_meant(text: str, filter_: str) -> None:
    assert wanted(TOPICS, text).filter == filter_
    assert matches("acme/chicago/#", f"acme/chicago/{PATH}")


@pytest.mark.parametrize(
    ("text", "filter_", "shows", "hides"),
    [
        ("packaging/line-1/filler", "packaging/line-1/filler/#", PATH, "packaging/line-1/filler-2/temperature"),
        ("/packaging/line-1/filler/", "packaging/line-1/filler/#", PATH, "packaging/line-1/other/filler"),
        ("packaging/line-1", "packaging/line-1/#", PATH, "packaging/line-10/filler/temperature"),
        ("packaging", "packaging/#", PATH, "packing/line-1/filler/temperature"),
        ("packaging/*/fill*", "packaging/+/+/#", PATH, "packaging/line-1/press/temperature"),
        ("pack*", "+/#", PATH, "mixing/line-1/filler/temperature"),
        (PATH, PATH, PATH, f"{PATH}-2"),
        ("packaging/line-1/filler/temp*", "packaging/line-1/filler/+", PATH, "packaging/line-1/filler/level"),
    ],
)
def test_a_place_means_what_lies_below_it_and_a_tag_itself(text: str, filter_: str, shows: str, hides: str) -> None:
    found = wanted(TOPICS, text)
    assert found.filter == f"acme/chicago/{filter_}"
    assert matches(found.filter, TOPICS.tag(shows))
    assert (matches_glob(found.glob, shows), matches_glob(found.glob, hides)) == (True, False)


def test_values_for_people() -> None:
    assert value_text(0.1 + 0.2) == "0.3"
    assert value_text(None) == "-"
    assert value_text([1, 2]) == "[1,2]"
    assert len(value_text("x" * 1000)) == 200
    assert [age_text(s) for s in (0.25, 12, 300, 7300, 200_000, -1)] == [
        "250 ms",
        "12 s",
        "5 min",
        "2 h",
        "2 d",
        "the future",
    ]


def test_a_line_says_age_label_and_retained() -> None:
    live = Live(topic="t", path=PATH, value=2, quality="GOOD", timestamp=1_000, label="fault", retained=True)
    line = TailView(colour=False).line(live, now_s=4.0)
    assert line.split() == [PATH, "2", "(fault)", "GOOD", "3", "s", "old,", "retained"]
    assert "\x1b[" in TailView(colour=True).line(live)


def test_status_text_names_what_is_down() -> None:
    database = {"kind": "embedded", "url": "postgresql://x", "state": "down", "detail": "refused"}
    parts: dict[str, Any] = {
        "broker": {"kind": "mosquitto", "url": "mqtt://127.0.0.1:1", "state": "up", "detail": "", "since": 90.0},
        "roles": [{"name": "gateway-a", "state": "up", "port": 5, "detail": ""}],
        "links": [
            {"gateway": "a", "link": "tcp:1", "state": "connected"},
            {"gateway": "a", "link": "tcp:2", "state": "backoff", "detail": "time-out"},
        ],
        "access": {"managed": True, "rules": 3, "in_force": False},
    }
    found = report(**parts, state="degraded", database={**database, "restarts": 2})
    text = render_status(found, colour=False, now_s=100.0)
    assert "database" in text and "refused" in text and "2 restarts" in text
    assert "1 of 2 connected" in text and "tcp:2" in text and "time-out" in text
    assert "for 10 s" in text and "waiting for the broker" in text
    assert text.endswith("why: nexus logs database")
    text = render_status(report(**parts, state="down", database={**database, "restarts": 1}), colour=False, now_s=100.0)
    assert (
        "1 restart\n" in text
        and "refused" not in text
        and "access" not in text
        and text.endswith("nexus up SITE starts it")
    )


def test_many_links_are_counted_by_reason() -> None:
    links = [
        LinkReport(gateway="a", link=f"tcp:10.0.{n // 250}.{n % 250}:502", state="backoff",
                   detail=f"10.0.{n // 250}.{n % 250}:502 refused the connection; next try in {n} s")
        for n in range(600)
    ]  # fmt: skip
    links += [LinkReport(gateway="b", link="opcua:opc.tcp://plc-7:4840", state="connecting")]
    lines = list(link_lines(links, state=str))
    assert lines == [
        "    backoff  600 tcp: … refused the connection; next try in … (tcp:10.0.0.0:502 and 599 more)",
        "    connecting  1 opcua: no reason known (opcua:opc.tcp://plc-7:4840)",
    ]
    one = LinkReport(
        gateway="b", link="opcua:opc.tcp://plc-7:4840", state="backoff", detail="opc.tcp://plc-7:4840 does not answer"
    )
    few = list(link_lines([one], state=str))
    assert few == ["    backoff  opcua:opc.tcp://plc-7:4840 (b) it does not answer"]


def test_silence_is_explained() -> None:
    assert nothing_text(["foo/**"], 0).startswith("nothing came on 'foo/**': is it spelt right, and applied?")
    assert nothing_text(["foo"], 0, near="did you mean 'food'?") == "nothing came on 'foo': did you mean 'food'?"
    assert "any topic of the site" in nothing_text([], 0)
    assert nothing_text([], 1) == "nothing to show: 1 message came, and none fulfils the condition"
    assert waiting_text(1) == "still waiting for the first message; Ctrl-C ends it"
    assert waiting_text(5) == "still waiting for the first of 5 messages; Ctrl-C ends it"
    assert nothing_text(["a/**"], 12) == "nothing to show: 12 messages came, and none fulfils the condition"


def test_status_where_nothing_ever_ran_is_two_lines() -> None:
    found = report(state="down", site="", home="/plant/.nexus")
    assert render_status(found, colour=False) == "nothing runs in /plant/.nexus\n\n  nexus up SITE starts it"


@pytest.mark.parametrize(
    ("payload", "type_name", "quality", "reason"),
    [
        (b'{"value": "12.5"}', "float64", "", "not stored: a text is not a number (the tag is float64)"),
        (b'{"value": "12"}', "int64", "GOOD", ""),
        (b'{"value": "12.5"}', "int64", "", "not stored: '12.5' is not an integer (the tag is int64)"),
        (b"12.5", "string", "", "not stored: a number is not a text (the tag is string)"),
        (b'{"value": {"a": 1}}', "float64", "", "not stored: an object is not a number (the tag is float64)"),
        (b'{"value": {"a": 1}}', "json", "GOOD", ""),
        (b'{"value": "x", "quality": "BAD"}', "float64", "BAD", "source_bad"),
        (b'{"value": "12.5"}', "", "GOOD", ""),
    ],
)
def test_a_value_that_the_record_refuses_is_not_good(payload: bytes, type_name: str, quality: str, reason: str) -> None:
    live = as_recorded(parse_live(TOPICS, _message(payload)), type_name)
    assert (live.quality, live.reason) == (quality, reason)
