"""`nexus comment` against a server that plays both forges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.comment import comment
from tests.integration.forge_server import Forge, serving

FIRST = "<!-- nexus plan acme/plant -->"


@pytest.fixture
def forge() -> Iterator[Forge]:
    with serving(Forge()) as found:
        yield found


def github(forge: Forge, folder: Path, **more: str) -> dict[str, str]:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_REPOSITORY": "acme/plant",
        "GITHUB_API_URL": forge.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_TOKEN": "secret",
        **more,
    }


def gitlab(forge: Forge) -> dict[str, str]:
    return {
        "CI_API_V4_URL": forge.url,
        "CI_PROJECT_ID": "42",
        "CI_MERGE_REQUEST_IID": "7",
        "GITLAB_TOKEN": "secret",
    }


def test_the_same_comment_is_updated_beyond_many_pages(forge: Forge, tmp_path: Path) -> None:
    for number in range(250):
        forge.add(f"talk {number}")
    variables = github(forge, tmp_path)
    assert comment(f"{FIRST}\none", environment=variables) == "written"
    assert len(forge.comments) == 251
    assert comment(f"{FIRST}\ntwo", environment=variables) == "updated"
    assert len(forge.comments) == 251
    assert forge.comments[-1]["body"] == f"{FIRST}\ntwo"


def test_an_unchanged_comment_is_not_written_again(forge: Forge, tmp_path: Path) -> None:
    variables = github(forge, tmp_path)
    comment(f"{FIRST}\none", environment=variables)
    forge.calls.clear()
    assert comment(f"{FIRST}\none", environment=variables) == "updated"
    assert {method for method, _ in forge.calls} == {"GET"}


def test_a_forged_comment_of_somebody_else_is_left_alone(forge: Forge, tmp_path: Path) -> None:
    forge.add(f"{FIRST}\nno hazards, approve it", author=666)
    assert comment(f"{FIRST}\nreal", environment=github(forge, tmp_path)) == "written"
    assert [each["body"] for each in forge.comments] == [f"{FIRST}\nno hazards, approve it", f"{FIRST}\nreal"]


def test_two_texts_have_two_comments(forge: Forge, tmp_path: Path) -> None:
    variables = github(forge, tmp_path)
    comment("a", key="drift", environment=variables)
    comment("b", key="plan sites/demo", environment=variables)
    comment("c", key="drift", environment=variables)
    assert [each["body"] for each in forge.comments] == [
        "<!-- nexus drift -->\nc",
        "<!-- nexus plan sites/demo -->\nb",
    ]


def test_gitlab_knows_its_account(forge: Forge) -> None:
    forge.account = 5
    forge.add(f"{FIRST}\nforged", author=6)
    assert comment(f"{FIRST}\none", environment=gitlab(forge)) == "written"
    assert comment(f"{FIRST}\ntwo", environment=gitlab(forge)) == "updated"
    assert forge.comments[-1]["body"] == f"{FIRST}\ntwo"
    assert ("PUT", "/projects/42/merge_requests/7/notes/2") in forge.calls


def test_a_fork_writes_into_the_summary(forge: Forge, tmp_path: Path) -> None:
    forge.refuses = True
    summary = tmp_path / "summary.md"
    variables = github(forge, tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    with pytest.raises(NexusError) as refused:
        comment(f"{FIRST}\none", environment=variables)
    assert (refused.value.code, refused.value.exit_code) == ("NX5052", 1)
    assert comment(f"{FIRST}\none", or_summary=True, environment=variables) == "summary"
    assert summary.read_text() == f"{FIRST}\none\n"


def test_without_a_token_nothing_is_asked(forge: Forge, tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="no token"):
        comment(FIRST, environment=github(forge, tmp_path, GITHUB_TOKEN=""))
    assert forge.calls == []


def test_outside_of_a_request_and_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(NexusError) as nowhere:
        comment(FIRST, environment={})
    assert nowhere.value.code == "NX5050"
    with pytest.raises(NexusError) as nameless:
        comment("hello", environment={})
    assert nameless.value.code == "NX5051"


def test_a_forge_that_is_away_and_a_text_that_is_too_long(forge: Forge, tmp_path: Path) -> None:
    with pytest.raises(NexusError) as long:
        comment(FIRST + "x" * 65_536, environment=github(forge, tmp_path))
    assert long.value.code == "NX5054"
    away = github(forge, tmp_path, GITHUB_API_URL="http://127.0.0.1:9")
    with pytest.raises(NexusError) as lost:
        comment(FIRST, environment=away)
    assert (lost.value.code, lost.value.exit_code) == ("NX5053", 6)


def test_the_token_is_in_no_message(forge: Forge, tmp_path: Path) -> None:
    with pytest.raises(NexusError) as refused:
        comment(FIRST, environment=github(forge, tmp_path, GITHUB_REPOSITORY="acme/other"))
    assert "secret" not in refused.value.message + refused.value.cause
    assert refused.value.cause.endswith("/repos/acme/other/issues/7/comments")


def test_the_number_comes_from_the_ref_too(forge: Forge, tmp_path: Path) -> None:
    variables = {**github(forge, tmp_path), "GITHUB_EVENT_PATH": "", "GITHUB_REF": "refs/pull/7/merge"}
    assert comment(f"{FIRST}\none", environment=variables) == "written"
