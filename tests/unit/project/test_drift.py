"""What `nexus drift` compares, and what it says of an `--ignore` that reaches nothing."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from nexus_cli.drift.declared import declared_drift
from nexus_cli.drift.kinds import ignored_of, naming_nothing
from nexus_cli.model.snapshot import Attributes
from nexus_cli.project.drift import _names_nothing, changes_of, names_in
from nexus_cli.project.text import LoadedSite, load
from nexus_cli.wire.control import State

SITE = """\
nexus: 1
enterprise: acme
site: plant
areas:
  hall:
    lines:
      line-1:
        devices:
          oven:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              temperature: {address: "holding:0", type: int16, unit: degC, range: [0, 500], deadband: 0.5}
"""
OVEN = "device.hall/line-1/oven"


def loaded(folder: Path, text: str) -> LoadedSite:
    (folder / "site.yaml").write_text(text)
    found = load(str(folder)).value
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("word", "changed", "kind", "keys"),
    [
        ("deadband: 0.5", "deadband: 0.9", "address-changed", {"deadband": 0.9}),
        ("unit: degC", "unit: degC, description: Of the oven", "description-changed", {"description": "Of the oven"}),
    ],
)
def test_only_what_differs_is_named_though_the_record_has_lists_for_tuples(
    tmp_path: Path, word: str, changed: str, kind: str, keys: dict[str, object]
) -> None:
    before = loaded(tmp_path, SITE).snapshot
    recorded: dict[str, Attributes] = orjson.loads(orjson.dumps(dict(before.resources)))
    state = State(deployment=1, digest=before.digest, digests=dict(before.digests))
    (one,) = declared_drift(changes_of(loaded(tmp_path, SITE.replace(word, changed)), state, recorded))
    assert (one.path, one.kind, one.found) == ("hall/line-1/oven/temperature", kind, keys)


def test_an_ignore_that_reaches_nothing_is_said_with_what_to_write(tmp_path: Path) -> None:
    known = {*names_in(loaded(tmp_path, SITE).snapshot.resources), OVEN}
    assert {"hall/line-1/oven", "hall/line-1/oven/temperature"} <= known
    given = ["hall/line-1/oven/temprature", "hall/line-1", "hall/**", OVEN, "zz:type-changed"]
    useless = naming_nothing([ignored_of(each) for each in given], known)
    assert useless == ["hall/line-1/oven/temprature", "hall/line-1", "zz"]
    assert [_names_nothing(each, known).partition(": ")[2] for each in useless] == [
        "did you mean 'hall/line-1/oven/temperature'?",
        "write 'hall/line-1/**' for what is in it",
        "",
    ]
