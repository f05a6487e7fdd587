"""Recordings: from published values to a test that reads and passes; names, exact numbers, what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.questions import Book
from nexus_cli.project.test import names_of, offline_record
from nexus_cli.project.test_record import _is_found, record_test
from nexus_cli.project.testing.judging import BEFORE_MS, Judge
from nexus_cli.project.testing.live.watched import Watched
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.reading import read_tests
from nexus_cli.project.testing.recording import drafted, text_of
from nexus_cli.project.text import read
from tests.unit.project.testing.test_site_tests import OVEN, SITE

FILE = Path("tests/recorded.yaml")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> SiteNames:
    file = tmp_path_factory.mktemp("site") / "site.yaml"
    file.write_text(SITE, encoding="utf-8")
    model = read(file).model
    assert model is not None
    return names_of(model)


def publish(watched: Watched, tag: str, at_ms: int, value: Any, **facts: Any) -> None:
    watched.moment_ms = at_ms
    body = {"value": value, "timestamp": 1_767_571_200_000 + at_ms, "quality": "GOOD", **facts}
    watched.take(f"acme/plant/{OVEN}/{tag}", orjson.dumps(body))


def passes(names: SiteNames, text: str) -> list[bool]:
    file = read_tests(FILE, names, data=text.encode())
    assert file.findings == []
    (case,) = file.cases
    judge = Judge(names, Book(names.snapshot, ANY_TIME), ())
    return [one.passed for one in judge.judged(case, offline_record(names, case))]


def test_what_was_published_passes_at_once(names: SiteNames) -> None:
    watched = Watched(names)
    watched.begin()
    publish(watched, "temperature", 0, 21.5, unit="degC")
    publish(watched, "temperature", 1200, 260, unit="degC")
    publish(watched, "total", 0, "18446744073709551615")
    publish(watched, "open", 300, True)
    publish(watched, "flow", 0, None, quality="BAD", reason="device_timeout")
    publish(watched, "warm", 1200, True)
    alert = {"name": "too-hot", "state": "active", "since": 1, "value": 260, "severity": "warning"}
    watched.moment_ms = 4200
    watched.take(
        "_nexus/acme/plant/alert/too-hot",
        orjson.dumps({**alert, "tag": f"{OVEN}/temperature", "description": "", "acknowledged_by": None}),
    )
    draft = drafted(names, OVEN, watched.record, name="a: recording", for_ms=5000)
    text = text_of(draft)
    assert draft.left_out == []
    assert draft.alarms == {"too-hot": "active"}
    assert "18446744073709551615" in text
    assert "- {at: 1200ms, value: 260" in text
    assert passes(names, text) == [True] * 6


def test_what_the_chain_can_not_be_given_is_left_out(names: SiteNames) -> None:
    watched = Watched(names)
    watched.begin()
    publish(watched, "temperature", 0, "warm")
    publish(watched, "open", 0, False)
    draft = drafted(names, OVEN, watched.record, name="x", for_ms=1000)
    assert list(draft.given) == [f"{OVEN}/open"]
    assert draft.alarms == {}
    assert len(draft.left_out) == 1
    assert "# left out: " in text_of(draft)
    assert passes(names, text_of(draft)) == [True]


@given(
    moments=st.lists(st.integers(0, 4_000), min_size=1, max_size=8),
    raws=st.lists(st.integers(-200, 3_000), min_size=8, max_size=8),
    name=st.text(min_size=1, max_size=30),
)
def test_any_course_is_readable_text(names: SiteNames, moments: list[int], raws: list[int], name: str) -> None:
    watched = Watched(names)
    watched.begin()
    for at_ms, raw in zip(sorted(moments), raws, strict=False):
        publish(watched, "temperature", at_ms, raw / 10, unit="degC")
    draft = drafted(names, OVEN, watched.record, name=name, for_ms=5000)
    file = read_tests(FILE, names, data=text_of(draft).encode())
    assert file.findings == []
    assert file.named == [name]
    assert [one.raw for one in file.cases[0].given] == raws[: len(moments)]


def test_what_was_there_before_is_not_a_new_message(names: SiteNames) -> None:
    watched = Watched(names)
    publish(watched, "open", 0, True)
    watched.begin()
    assert [one.at_ms for one in watched.record.samples[f"{OVEN}/open"]] == [BEFORE_MS]
    newest = watched.newest(f"{OVEN}/open")
    assert newest is not None
    assert newest.value is True


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"{", b"[]", b'{"value": {"a":', b"null"])
def test_garbled_messages_are_passed_over(names: SiteNames, payload: bytes) -> None:
    watched = Watched(names)
    watched.begin()
    watched.take(f"acme/plant/{OVEN}/open", payload)
    watched.take("_nexus/acme/plant/alert/too-hot", payload)
    watched.take("elsewhere", payload)
    assert watched.alarm("too-hot") == "cleared"
    assert watched.record.alarms == {}


@pytest.mark.parametrize("device", ["hall/line-1/ovn", "hall/line-1", "", OVEN + "/temperature"])
async def test_an_unknown_device_is_said_before_anything_is_connected(tmp_path: Path, device: str) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    found = await record_test(tmp_path, device, for_ms=1000)
    assert isinstance(found, tuple)
    assert [one.code for one in found] == ["NX1111"]


async def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("mine", encoding="utf-8")
    found = await record_test(tmp_path, OVEN, for_ms=1000, out=tmp_path / "mine.yaml")
    assert isinstance(found, tuple)
    assert [one.code for one in found] == ["NX1110"]
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == "mine"


def test_only_a_yaml_file_in_the_tests_of_the_site_is_found_by_nexus_test(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    assert _is_found(folder / "new.yaml", folder)
    assert _is_found(folder / ".." / "tests" / "new.yml", folder)
    assert not _is_found(tmp_path / "new.yaml", folder)
    assert not _is_found(folder / "deeper" / "new.yaml", folder)
    assert not _is_found(folder / "new.txt", folder)
