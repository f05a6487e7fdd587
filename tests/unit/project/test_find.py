"""`nexus find`: the search of web over the files of a site, with and without values."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from nexus_cli.cli.views.find import found_document, found_text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.find import Found, find
from nexus_cli.project.text import load
from nexus_cli.project.web_values import readable_values
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.rest.branches import Places
from nexus_cli.runtime.web.rest.declared import search_index
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.search.declared import declared_in
from nexus_cli.search.index import SearchIndex
from nexus_cli.search.places import spans_of
from nexus_cli.wire.topic import Topics
from nexus_cli.wire.web_find import Hit

SITE = """\
nexus: 1
enterprise: acme
site: plant
areas:
  packaging:
    labels: {owner: ann}
    lines:
      line-1:
        devices:
          filler:
            protocol: modbus
            connection: {host: 10.0.0.9}
            description: Fills bottles
            tags:
              temperature: {address: "holding:101", type: float32, unit: degC, description: Of the product}
              state: {address: "holding:200", type: uint16, values: {0: idle, 1: blocked}}
          filler-2:
            protocol: modbus
            connection: {host: 10.0.0.10}
            tags:
              temperature: {address: "holding:101", type: float32, unit: degC}
"""


@pytest.fixture
def site(tmp_path: Path) -> str:
    (tmp_path / "site.yaml").write_text(SITE)
    return str(tmp_path / "site.yaml")


def found(words: str, site: str, *, limit: int = 50) -> Found:
    outcome = find(words, site=site, limit=limit, with_values=False, use_cache=False)
    assert outcome.value is not None, outcome.findings
    return outcome.value


@pytest.mark.parametrize(
    ("words", "paths", "where"),
    [
        ("TEMPERATURE", ["packaging/line-1/filler-2/temperature", "packaging/line-1/filler/temperature"], ["path"]),
        ("product", ["packaging/line-1/filler/temperature"], ["description"]),
        ("holding:200", ["packaging/line-1/filler/state"], ["address"]),
        ("blocked", ["packaging/line-1/filler/state"], ["names"]),
        ("bottles", ["packaging/line-1/filler"], ["description"]),
        ("filler-2 degc", ["packaging/line-1/filler-2/temperature"], ["path", "unit"]),
        ("no-such-thing", [], []),
        ("", [], []),
    ],
)
def test_everything_that_is_declared_is_found(site: str, words: str, paths: list[str], where: list[str]) -> None:
    result = found(words, site)
    assert [hit.path for hit in result.hits] == paths
    assert result.total == len(paths)
    assert all(hit.where == where for hit in result.hits)


def test_labels_come_down_and_the_best_is_first(site: str) -> None:
    result = found("owner=ann", site)
    assert {hit.kind for hit in result.hits} == {"area", "line", "device", "tag"}
    assert all(dict(hit.labels) == {"owner": "ann"} for hit in result.hits)
    assert found("filler", site).hits[0].path == "packaging/line-1/filler"
    cut = found("filler", site, limit=1)
    assert (len(cut.hits), cut.total) == (1, 5)
    assert found_text(cut, style=lambda text, _: text).endswith("4 more; give more words or raise --limit")


def test_the_files_and_web_give_the_same(site: str) -> None:
    loaded = load(site).value
    assert loaded is not None
    snapshot: Snapshot = loaded.snapshot
    view = SiteView.of(Topics("acme", "plant"), 1, snapshot.resources, LiveCache(now_us=lambda: 1))
    declared = declared_in(snapshot)
    assert [tag.path for tag in declared.tags] == list(view.paths)
    offline = SearchIndex(declared, spans_of(declared.devices, tags=len(declared.tags)))
    online = search_index(view, Places(view))
    for words in ("temperature", "a", "line-1 degc", "owner", "0", "modbus"):
        assert offline.find(words, limit=100) == online.find(words, limit=100)
        assert offline.find(words, limit=100)[1] > 0


def test_errors_in_the_files_are_findings(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace("holding:200", "holding:none"))
    outcome = find("filler", site=str(tmp_path / "site.yaml"), with_values=False, use_cache=False)
    assert outcome.value is None
    assert any(str(each.severity) == "error" for each in outcome.findings)


class FakeWeb:
    """Web that lets the caller read some tags only."""

    def __init__(self, *hidden: str) -> None:
        self.hidden, self.asked = hidden, 0

    async def post(self, _: str, body: JsonObject) -> JsonObject:
        self.asked += 1
        if any(path in self.hidden for path in body["paths"]):
            raise NexusError("There is no tag that you may read.", code="NX6802")
        return {"values": [{"path": path, "value": 1, "quality": "GOOD"} for path in body["paths"]]}


def test_one_tag_that_may_not_be_read_hides_no_other() -> None:
    web, paths = FakeWeb("p3"), [f"p{number}" for number in range(8)]
    values = asyncio.run(readable_values(cast(Any, web), paths))
    assert sorted(values) == [path for path in paths if path != "p3"]
    assert web.asked == 7
    assert asyncio.run(readable_values(cast(Any, FakeWeb("p0")), ["p0"])) == {}


def test_without_a_runtime_there_are_finds_without_values(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "home"))
    outcome = find("product", site=site, use_cache=False)
    assert outcome.value is not None
    assert (len(outcome.value.hits), outcome.value.values, outcome.value.problem) == (1, {}, "")


def test_how_values_are_shown() -> None:
    hits = [Hit(path=f"a/l/d/{name}", kind="tag", type="float32", unit="bar") for name in "xyz"]
    hits.append(Hit(path="a/l/d", kind="device", description="Pump"))
    values = {
        "a/l/d/x": {"path": "a/l/d/x", "value": 0, "unit": "bar", "quality": "GOOD", "reason": "", "label": ""},
        "a/l/d/y": {"path": "a/l/d/y", "value": None, "unit": "bar", "quality": "BAD", "reason": "link_lost"},
    }
    result = Found(site="acme/plant", hits=hits, total=4, values=values)
    assert found_text(result, style=lambda text, _: text).splitlines() == [
        "a/l/d/x  0 bar  float32, bar",
        "a/l/d/y  BAD link_lost  float32, bar",
        "a/l/d/z  float32, bar",
        "a/l/d  Pump",
    ]
    rows = found_document(result)["found"]
    assert [row["value"] and row["value"]["value"] for row in rows] == [0, None, None, None]
