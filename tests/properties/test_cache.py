"""The law of the cache: whatever was read before, the answer is that of a run without it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.checks import CHECKS, check
from nexus_cli.checks.view import View
from nexus_cli.cli.views.findings import document
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.model.bound import Model
from nexus_cli.project.text import Reading, facts, load, read
from tests.examples import examples
from tests.properties.cached_sites import FILES, MORE, edited, edits, names, wheres, write

CASES = sorted((Path(__file__).parents[1] / "cases").glob("*/site.yaml"))
ENVIRONMENTS = st.sampled_from((None, None, "prod"))


def shown(reading: Reading, *, strict: bool) -> dict[str, Any]:
    """What every output format of `nexus validate` is made of."""
    return document(reading.findings, reading.files, site=facts(reading), strict=strict)


def each_check_of_each_tag(model: Model) -> tuple[Diagnostic, ...]:
    """What the checks find that leave out no tag that is like another one."""
    view = View.of(model)
    return tuple(found for one in CHECKS for found in one(view))


class Plain:
    """What a run without the cache finds: read once, however many runs with it are compared to it."""

    def __init__(self, site: Path, env: str | None) -> None:
        self.site, self.env = site, env
        self.reading = read(site, env=env)
        self.loaded = load(site, env=env).value
        self.shown = [shown(self.reading, strict=strict) for strict in (False, True)]
        if self.reading.model is not None:
            assert check(self.reading.model) == each_check_of_each_tag(self.reading.model)

    def is_that_of_the_cache(self) -> bool:
        """Compare a run with the cache; gives whether the site could be planned."""
        cached = read(self.site, env=self.env, use_cache=True)
        assert cached.findings == self.reading.findings
        assert [(one.name, one.text) for one in cached.files] == [(one.name, one.text) for one in self.reading.files]
        assert [shown(cached, strict=strict) for strict in (False, True)] == self.shown
        with_cache, without = load(self.site, env=self.env, use_cache=True).value, self.loaded
        assert (with_cache is None) == (without is None)
        if with_cache is None or without is None:
            return False
        assert with_cache.snapshot.digest == without.snapshot.digest
        assert dict(with_cache.snapshot.digests) == dict(without.snapshot.digests)
        assert msgspec.json.encode(with_cache.snapshot.resources) == msgspec.json.encode(without.snapshot.resources)
        return True


def agree(site: Path, env: str | None) -> bool:
    """Compare a run with the cache to one without; gives whether the site could be planned."""
    return Plain(site, env).is_that_of_the_cache()


class Folder:
    """A site and a cache in a folder of their own."""

    def __enter__(self) -> Path:
        self._folder = tempfile.TemporaryDirectory()
        self._before = os.environ.get("XDG_CACHE_HOME")
        root = Path(self._folder.name).resolve()
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        site = root / "site"
        site.mkdir()
        return site

    def __exit__(self, *_: object) -> None:
        del os.environ["XDG_CACHE_HOME"]
        if self._before is not None:
            os.environ["XDG_CACHE_HOME"] = self._before
        self._folder.cleanup()


def test_the_plant_is_sound_and_kept() -> None:
    with Folder() as folder:
        write(folder, FILES)
        assert agree(folder / "site.yaml", None)
        reading = read(folder, use_cache=True)
        assert reading.tree is not None
        # Every other device has a finding, belongs to others, looks at another device, or an alert looks at it.
        assert set(reading.tree.kept) == {"press/one/meter-1", "press/one/meter-2", "press/one/drive"}


@pytest.mark.parametrize("site", CASES, ids=lambda site: site.parent.name)
def test_every_case(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(site.parent)
    plain = Plain(Path(site.name), None)
    plain.is_that_of_the_cache()
    plain.is_that_of_the_cache()


@settings(max_examples=examples(25))
@given(
    st.lists(st.tuples(wheres, st.lists(edits, min_size=1, max_size=2), ENVIRONMENTS), min_size=1, max_size=6),
    st.booleans(),
)
def test_any_edits(steps: list[tuple[str, list[Any], str | None]], keep: bool) -> None:
    """Each edit is made to the sound plant, or to what the edits before left."""
    with Folder() as folder:
        files = dict(FILES)
        write(folder, files)
        agree(folder / "site.yaml", None)
        for name, some, env in steps:
            changed = dict(files)
            for edit in some:
                changed.update({one: edited(changed[one], edit) for one in ([name] if name else FILES)})
            write(folder, changed)
            agree(folder / "site.yaml", env)
            agree(folder / "site.yaml", None)
            files = changed if keep else files


@settings(max_examples=examples(10))
@given(st.lists(st.tuples(names, names, names, st.integers(1, 9)), min_size=1, max_size=4))
def test_files_that_come_and_go(steps: list[tuple[str, str, str, int]]) -> None:
    with Folder() as folder:
        for number, (area, line, device, host) in enumerate(steps):
            more = MORE.format(area=area, line=line, device=device, host=host)
            write(folder, {**FILES, f"areas/more-{number % 2}.yaml": more})
            agree(folder / "site.yaml", None)
