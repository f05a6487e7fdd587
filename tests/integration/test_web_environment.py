"""What kind of runtime it is, to anybody; the declared views, to who may hear them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.integration.web_world import web_world

pytestmark = [pytest.mark.needs_database]


async def test_the_kind_of_runtime_is_said_to_anybody(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        answer = await web.ask("GET", "/environment")
        assert (answer.status_code, answer.json()) == (200, {"kind": "live", "detail": ""})
    mock = dataclasses.replace(database, environment="mock", environment_detail="simulators")
    async with web_world(mock, tmp_path) as web:
        assert (await web.ask("GET", "/environment")).json() == {"kind": "mock", "detail": "simulators"}


async def test_views_are_shown_as_far_as_one_may_hear_them(database: Settings, tmp_path: Path) -> None:
    async with web_world(
        database,
        tmp_path,
        role__half={"read": ["a/l/one/voltage"]},
        user__hal={"roles": ["half"]},
        view__late={"priority": 6, "filters": ["a/l/one/*"]},
        view__first={"priority": 1, "filters": ["a/l", "partner/+/x"], "description": "What stops the line."},
        view__also={"priority": 1, "filters": ["a/l/one/energy"]},
        view__platform={"priority": 2, "filters": ["_nexus/acme/chicago/health/#"]},
    ) as web:
        vera = (await web.ask("GET", "/views", user="vera")).json()["views"]
        assert [(each["name"], each["priority"], each["filters"], each["left_out"]) for each in vera] == [
            ("also", 1, ["acme/chicago/a/l/one/energy"], 0),
            ("first", 1, ["acme/chicago/a/l/#"], 1),
            ("late", 6, ["acme/chicago/a/l/one/+"], 0),
        ]
        assert vera[1]["description"] == "What stops the line."
        hal = (await web.ask("GET", "/views", user="hal")).json()["views"]
        assert [each["name"] for each in hal] == ["first", "late"]
        nina = (await web.ask("GET", "/views", user="nina")).json()["views"]
        assert nina == []
        assert (await web.ask("GET", "/views")).status_code == 401
        everything = (await web.ask("GET", "/views", token=web.people.settings.control_token or "")).json()
        assert everything
