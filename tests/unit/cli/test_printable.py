"""What a device, a topic or a stranger says can't move the cursor, reorder text or forge a line, in any view."""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.cli import console, failure
from nexus_cli.cli.views import audit, deployment, history, sequence, status, tail, write
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.printable import json_text, lines, one_line, plain
from nexus_cli.history.document import Gap, History, Sample
from nexus_cli.local.status_report import StatusReport
from nexus_cli.project.live_value import Live
from nexus_cli.runtime.logging import _JsonFormatter, _TextFormatter
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.control import JournalLine
from nexus_cli.wire.control_audit import AuditTrail
from nexus_cli.wire.control_sequences import RunProgress
from tests.unit.local.reports import report

EVIL = "a\x1b[2J\x1b]0;title\x07b\r\nFORGED done nexus.cli\x9b31mc\u202edesrever\u2066\u2028\u0085\x00\u200fz\ud800\U000e0041"
FORBIDDEN = {"Cc", "Cs"}
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def unsafe(text: str) -> list[str]:
    """Every character that a terminal acts on or that changes the order of others; newlines and tabs are ours."""
    return [one for one in text if one not in "\n\t" and (unicodedata.category(one) in FORBIDDEN or one in BIDI)]


def paint(text: str, _: str) -> str:
    return text


def views() -> dict[str, Callable[[str], str]]:
    """Every view that shows foreign text, fed with it wherever it may be."""

    def trail(text: str) -> AuditTrail:
        entry = {
            "kind": "command",
            "at": 1,
            "state": text,
            "who": text,
            "what": text,
            "subject": text,
            "value": text,
            "written": text,
            "old": text,
            "unit": text,
            "read_back": text,
            "code": text,
            "detail": text,
            "reason": text,
            "id": text,
            "abort_branch": text,
        }
        return msgspec.convert({"entries": [entry], "truncated": False}, AuditTrail)

    def run(text: str) -> RunProgress:
        line = {
            "id": 1,
            "state": text,
            "at": 1,
            "step": 1,
            "text": text,
            "branch": text,
            "detail": {"detail": text, "code": text, "old": text, "read_back": text},
        }
        found = {
            "state": text,
            "name": text,
            "id": text,
            "who": text,
            "reason": text,
            "started": 1,
            "set": {text: text},
            "journal": [line],
            "detail": {"detail": text, "code": text, "abort_branch": text},
        }
        return msgspec.convert(found, RunProgress)

    def stored(text: str) -> History:
        moment = "2026-01-31T06:00:00+00:00"
        sample = Sample(time=moment, value=text, quality="BAD", label=text, reason=text)
        gap = Gap(start=moment, end=None, frames=0, reason=text, device=text, gateway=text)
        return History(
            path=text,
            asked=text,
            unit=text,
            type=text,
            active=True,
            since=text,
            until=text,
            every=None,
            every_ms=None,
            zone=text,
            aggregate=None,
            samples=[sample],
            buckets=[],
            gaps=[gap],
            seams=[],
            truncated=False,
        )

    def whole(text: str) -> StatusReport:
        part = {"state": text, "detail": text, "url": text, "kind": text}
        return report(
            site=text,
            home=text,
            broker=part,
            database=part,
            roles=[{"name": text, "state": text, "detail": text, "port": 1}],
            links=[{"link": text, "state": "backoff", "detail": text, "gateway": text, "since": 1}],
            devices=[{"gateway": text, "path": text, "reason": text, "detail": text, "since": 1}],
            device_reasons={text: 1},
            tags={text: 1},
            access={"managed": True, "in_force": True, "rules": 1},
        )

    live = tail.TailView(colour=False)
    return {
        "audit": lambda text: audit.trail_text(trail(text), since="1d", style=paint),
        "sequence": lambda text: sequence.status_text(run(text), style=paint),
        "history": lambda text: history.table(stored(text)),
        "status": lambda text: status.render_status(whole(text), colour=False, now_s=2.0),
        "write": lambda text: write.response_text(
            Response(
                id="x", state=State.FAILED, path=text, unit=text, value=text, old=text, code="NX6815", detail=text
            ),
            style=paint,
        ),
        "tail": lambda text: live.line(
            Live(topic=text, path=text, value=text, quality=text, timestamp=None, unit=text, label=text, reason=text)
        ),
        "journal": lambda text: (
            deployment.progress_line(
                JournalLine(id=1, step="observe", state="failed", subject=text, detail={"message": text})
            )
            or ""
        ),
    }


@pytest.mark.parametrize("name", views())
def test_a_view_shows_foreign_text_as_text(name: str) -> None:
    shown = views()[name](EVIL)
    assert unsafe(shown) == []
    assert not any(line.lstrip().startswith("FORGED") for line in shown.splitlines())
    assert "\\x1b[2J" in shown, "it is shown, not swallowed"


@pytest.mark.parametrize("name", views())
def test_a_view_leaves_plain_text_alone(name: str) -> None:
    text = "Größe 42 °C → näher — 日本"
    assert text in views()[name](text)


@given(st.text())
def test_any_text(text: str) -> None:
    assert unsafe(lines(text)) == []
    assert unsafe(one_line(text)) == [] and not set("\n\t") & set(one_line(text))
    assert unsafe(json.dumps(plain({text: [text]}), ensure_ascii=False)) == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_stays_the_same_data(text: str) -> None:
    shown = json_text(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(shown) == {"text": text}
    assert unsafe(shown) == []


def test_the_console_keeps_our_colours_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    console.answer(console.style("well", "good", enabled=True) + EVIL)
    shown = capsys.readouterr().out
    assert shown.startswith("\x1b[32m\x1b[22mwell\x1b[0ma")
    assert unsafe(shown.removeprefix("\x1b[32m\x1b[22mwell\x1b[0m")) == []


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_COLOR", "never")
    failure.report(NexusError(EVIL, code="NX6010", cause=EVIL, hint=EVIL))
    shown = capsys.readouterr().err
    assert unsafe(shown) == []
    assert [line.split(":")[0].strip() for line in shown.splitlines()] == ["error[NX6010]", "= cause", "= hint"]


def test_a_log_line_is_one_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TextFormatter("gateway gw-1"))
    record = logging.LogRecord("nexus", logging.WARNING, "", 0, "said %s", (EVIL,), None)
    record.fields = {"detail": EVIL, "device": ""}
    handler.emit(record)
    assert unsafe(stream.getvalue()) == [] and stream.getvalue().count("\n") == 1
    assert "device=" not in stream.getvalue(), "what is empty says nothing"


def test_a_log_line_in_json_takes_what_is_no_text_and_what_is_no_64_bit_number() -> None:
    record = logging.LogRecord("nexus", logging.WARNING, "", 0, "said %s", (EVIL,), None)
    record.fields = {"detail": EVIL, "count": 1 << 70}
    line = _JsonFormatter("gateway gw-1").format(record)
    assert line.encode() and "\n" not in line
    found = json.loads(line)
    assert (found["message"], found["detail"], found["count"]) == (f"said {EVIL}", EVIL, 1 << 70)
