"""What a second run takes from the first, and what it must not take."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nexus_cli.project import cache, text
from nexus_cli.project.cache_file import CacheFile
from nexus_cli.project.fingerprint import fingerprint
from nexus_cli.project.text import load, read
from nexus_cli.source.nodes import Map
from nexus_cli.source.sections import Section
from tests.properties.cached_sites import FILES, write
from tests.properties.test_cache import agree

ALL = {"press/one/oven", "press/one/meter-1", "press/one/meter-2", "press/one/drive"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "site"
    folder.mkdir()
    write(folder, FILES)
    return folder / "site.yaml"


def kept(site: Path, **options: object) -> set[str]:
    """Devices that a run takes from the cache; those that alerts and rights look at are read on the way."""
    seen: set[str] = set()
    before = cache.SiteCache.kept

    def watched(self: cache.SiteCache, tree: text.SourceTree) -> dict[str, text.KeptDevice]:
        found = before(self, tree)
        seen.update(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.SiteCache, "kept", watched)
        read(site, use_cache=True, **options)  # type: ignore[arg-type]
    return seen


def test_a_second_run_reads_what_has_no_finding_no_more(site: Path) -> None:
    assert kept(site) == set()
    assert kept(site) == ALL


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ([("areas/press.yaml", "unit_id: 3", "unit_id: 9")], ALL - {"press/one/meter-1"}),
        ([("areas/press.yaml", "{poll: 2s}", "{poll: 3s}")], set()),
        ([("templates.yaml", "unit: V", "unit: kV")], {"press/one/oven", "press/one/drive"}),
        ([("site.yaml", "rate: 2s", "rate: 3s")], set()),
        ([("site.yaml", "{poll: 1s, ", "{poll: 7s, ")], set()),
        ([("site.yaml", "above: 90", "above: 95")], ALL),
        ([("areas/store.yaml", "10.0.1.7", "10.0.1.8")], ALL),
        ([("areas/press.yaml", "# the oven", "# an oven")], ALL),
    ],
)
def test_what_a_change_leaves_in_the_cache(site: Path, changes: list[tuple[str, str, str]], left: set[str]) -> None:
    read(site, use_cache=True)
    change(site, changes)
    assert kept(site) == left


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            [("areas/store.yaml", "40011, type: float32", "40011, type: string[4]")], id="input of another device"
        ),
        pytest.param([("areas/store.yaml", "current:", "flow:")], id="input is gone"),
        pytest.param([("areas/press.yaml", "host: 10.0.0.9}", "host: 10.0.0.6}")], id="link moves"),
        pytest.param([("areas/press.yaml", "unit_id: 4", "unit_id: 3")], id="device twice"),
        pytest.param([("site.yaml", '"area:press"', '"device:press/one/drive"')], id="gateway changes"),
        pytest.param([("site.yaml", "  gw-b: {}\n", "")], id="gateway gap"),
        pytest.param([("site.yaml", "slow: {keep: 400d}", "other: {keep: 400d}")], id="retention is gone"),
        pytest.param([("site.yaml", "enterprise: acme", "enterprise: ACME")], id="enterprise"),
        pytest.param([("site.yaml", 'subnet: "10.0.0"', 'subnet: "10.0.3"')], id="variable in a connection"),
        pytest.param([("site.yaml", "rate: 2s", "rate: fast")], id="variable with an error"),
        pytest.param([("site.yaml", "rate: 2s, ", "")], id="variable is gone"),
        pytest.param([("templates.yaml", '"${param:host}"', '"x-${param:host}-${param:nope}"')], id="in a template"),
        pytest.param(
            [
                ("templates.yaml", "host: {type: string}", "host: {type: list}"),
                ("templates.yaml", '"${param:host}"', '"x-${param:host}"'),
                ("areas/press.yaml", "host: 10.0.0.9}", "host: [a]}"),
            ],
            id="finding in the text of a template",
        ),
    ],
)
def test_a_change_of_what_surrounds_a_device(site: Path, changes: list[tuple[str, str, str]]) -> None:
    agree(site, None)
    change(site, changes)
    agree(site, None)
    agree(site, None)
    write(site.parent, FILES)
    agree(site, None)


def change(site: Path, changes: list[tuple[str, str, str]]) -> None:
    for name, old, new in changes:
        path = site.parent / name
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new), encoding="utf-8")


def test_variables_and_environments_have_caches_of_their_own(site: Path) -> None:
    read(site, use_cache=True)
    assert kept(site, env="prod") == set()
    assert kept(site, variables={"rate": "5s"}) == set()
    assert kept(site, env="prod") == ALL - {"press/one/oven", "press/one/meter-2"}
    assert kept(site) == ALL


def test_another_program_takes_nothing(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(site, use_cache=True)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "fingerprint", lambda: b"another program!")
        assert kept(site) == set()
        assert kept(site) == ALL
    assert kept(site) == set()
    assert len(fingerprint()) == 16


def files(site: Path) -> list[CacheFile]:
    folder = site.parents[1] / "cache/nexus"
    return [CacheFile(folder, path.stem) for path in sorted(folder.iterdir())]


def test_without_the_option_nothing_is_written(site: Path) -> None:
    read(site)
    load(site)
    assert not (site.parents[1] / "cache").exists()


def test_the_files_may_go_at_any_time(site: Path) -> None:
    assert agree(site, None)
    for file in files(site):
        file.remove()
    assert agree(site, None)
    assert kept(site) == ALL


@pytest.mark.parametrize(
    "content", [b"", b"x", msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode({"a/b/c": [1]})]
)
def test_a_file_of_another_form_is_none(site: Path, content: bytes) -> None:
    assert agree(site, None)
    for file in files(site):
        file.write(fingerprint() + content)
    assert agree(site, None)
    assert kept(site) == ALL


def test_a_cache_that_vouches_for_an_unreadable_section_is_dropped(site: Path) -> None:
    """Whoever writes as this user can write anything; what can't be read by itself shows when it is opened."""
    path = site.parent / "areas/press.yaml"
    broken = FILES["areas/press.yaml"].replace("{unit_id: 3, host: 10.0.0.9}", "{unit_id: 3, host: *a}")
    path.write_text(broken, encoding="utf-8")
    before = Section.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "open", lambda self, references, pool=None: before(self, references, pool) or True)
        read(site, use_cache=True)
        site.write_text(FILES["site.yaml"].replace("rate: 2s", "rate: 3s"), encoding="utf-8")
    assert read(site, use_cache=True).findings == read(site).findings


def test_a_device_that_stayed_closed_is_complete_when_it_is_asked_for(site: Path) -> None:
    whole = read(site).tree
    read(site, use_cache=True)
    reading = read(site, use_cache=True)
    assert whole is not None
    assert reading.tree is not None
    assert reading.model is not None
    assert reading.tree.kept
    for path in list(reading.tree.kept):
        device = reading.model.devices[path]
        where = device.where
        assert device.tags
        assert reading.tree.device(where) == whole.root["areas"][where[1]]["lines"][where[3]]["devices"][where[5]]
        assert reading.tree.place(where, True) == whole.place(where, True)
        assert isinstance(reading.tree.device(where), Map)
    assert not reading.tree.kept
