"""What a plan learns from an EMQX, and what it says where that refuses, waits or answers nonsense. Against a stub."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.plan.document import plan_document
from nexus_cli.plan.measured import Measured, unknowns_of
from nexus_cli.plan.measured_document import with_measures
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.text import plan_text
from nexus_cli.project import measure_emqx
from nexus_cli.project.measure import measure
from nexus_cli.project.measure_emqx import Asked, ask_emqx
from nexus_cli.settings import Settings
from tests.emqx_server import KEY, SECRET, EmqxServer, Session
from tests.unit.plan.test_plan import device, plan, snapshot, tag

SUBSCRIBERS = 1_203


def leaving() -> Plan:
    """A tag goes, and anna may read nothing any more."""

    def site(*read: str, **tags: object) -> object:
        return snapshot(device("a/l/one", tags=tags), role__r={"read": list(read)}, user__anna={"roles": ["r"]})

    return plan(site("a/**", x=tag(), y=tag(address="holding:2")), site(x=tag()))  # type: ignore[arg-type]


@pytest.fixture
def emqx(monkeypatch: pytest.MonkeyPatch) -> EmqxServer:
    """A cluster with more clients than a page has."""
    server = EmqxServer()
    monkeypatch.setenv("NEXUS_EMQX_KEY", KEY)
    monkeypatch.setenv("NEXUS_EMQX_SECRET", SECRET)
    for number in range(SUBSCRIBERS):
        server.state.sessions[f"s{number}"] = Session(f"s{number}", "scada")
        server.state.subscriptions += [(f"s{number}", "acme/chicago/a/#"), (f"s{number}", "acme/berlin/#")]
    server.state.sessions["anna-1"] = Session("anna-1", "anna@acme.chicago", connected=False)
    server.state.subscriptions.append(("anna-1", "$share/team/acme/chicago/+/l/one/y"))
    server.state.sessions["control"] = Session("control", "nexus.control@acme.chicago")
    server.state.subscriptions.append(("control", "acme/chicago/#"))
    return server


async def asked(server: EmqxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **keys: object) -> Asked:
    with server.running():
        monkeypatch.setenv("NEXUS_EMQX_URL", server.url)
        return await ask_emqx(leaving(), Settings(home=tmp_path), **{"local": False, **keys})  # type: ignore[arg-type]


async def test_every_page_is_read_and_nothing_is_written(
    emqx: EmqxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = await asked(emqx, monkeypatch, tmp_path)
    assert found.live is not None and not found.why
    assert found.live.subscribers == (
        {"user": "anna", "clients": 1, "connected": 0},
        {"user": "scada", "clients": SUBSCRIBERS, "connected": SUBSCRIBERS},
    )
    assert found.live.stale == ({"user": "anna", "clients": 1, "connected": 0},)
    assert emqx.writes == []
    assert sum(path.startswith("/api/v5/clients") for _, path in emqx.log) == 3
    assert sum(path.startswith("/api/v5/subscriptions") for _, path in emqx.log) == 5


async def test_the_plan_shows_it(emqx: EmqxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = await asked(emqx, monkeypatch, tmp_path)
    made = leaving()
    document = with_measures(plan_document(made), made.changes, Measured(ending=1, retained=1, live=found.live))
    assert document["measured"]["broker"]["subscribers"] == SUBSCRIBERS + 1 and document["unknowns"] == []
    text = plan_text(document, style=lambda text, _: text)
    assert "  broker: 1,204 clients subscribe to topics that end: anna (not connected), scada (1,203)\n" in text
    assert "  broker: 1 session keeps what it loses until it ends: anna (not connected)\n" in text


@pytest.mark.parametrize("trouble", ["key", "cut", "nonsense", "slow", "many", "address", "secret"])
async def test_what_it_does_not_answer_is_named_and_costs_no_plan(
    emqx: EmqxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: str
) -> None:
    keys: dict[str, object] = {}
    wanted = ""
    match trouble:
        case "key":
            monkeypatch.setenv("NEXUS_EMQX_SECRET", "another")
            wanted = "refuses the API key"
        case "cut":  # each try is patient: the time for all of them ends it
            emqx.cut_at, keys["budget_s"], wanted = 2, 0.5, "EMQX did not give them within 0.5 s"
        case "nonsense":
            emqx.state.sessions["odd"] = Session("odd", 7)  # type: ignore[arg-type]
            wanted = "gave an answer that can't be read here"
        case "slow":
            emqx.delay_s, keys["budget_s"], wanted = 2.0, 0.2, "EMQX did not give them within 0.2 s"
        case "many":
            monkeypatch.setattr(measure_emqx, "MOST_ROWS", 1_000)
            wanted = "has more than 1,000 clients"
        case "address":
            wanted = "NEXUS_EMQX_URL is not an address"
        case "secret":
            monkeypatch.delenv("NEXUS_EMQX_SECRET")
            wanted = "NEXUS_EMQX_SECRET is not set"
    if trouble == "address":
        monkeypatch.setenv("NEXUS_EMQX_URL", "ftp:nowhere")
        found = await ask_emqx(leaving(), Settings(home=tmp_path), local=False)
    else:
        found = await asked(emqx, monkeypatch, tmp_path, **keys)
    assert found.live is None and wanted in found.why and SECRET not in found.why
    (line,) = unknowns_of(Measured(ending=1, silent=found.why))
    assert line == f"live subscribers and sessions: {found.why}"


async def test_it_is_not_asked_where_nothing_ends_or_the_broker_is_another(
    emqx: EmqxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert await asked(emqx, monkeypatch, tmp_path, local=True) == Asked() and emqx.log == []
    same = plan(snapshot(device("a/l/one")), snapshot(device("a/l/one", description="x")))
    assert await ask_emqx(same, Settings(home=tmp_path), local=False) == Asked()
    monkeypatch.delenv("NEXUS_EMQX_URL")
    assert await ask_emqx(leaving(), Settings(home=tmp_path), local=False) == Asked()


async def test_a_plan_without_control_and_without_emqx_names_both(
    emqx: EmqxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEXUS_EMQX_SECRET", "another")
    with emqx.running():
        monkeypatch.setenv("NEXUS_EMQX_URL", emqx.url)
        found = await measure(leaving(), Settings(home=tmp_path, control_url="http://127.0.0.1:9"))
    lines = unknowns_of(found)
    assert len(lines) == 2 and lines[0].startswith("what the runtime measured: ")
    assert lines[1].startswith("live subscribers and sessions: EMQX at http://127.0.0.1:")
