"""What a gateway runs: marks of the documents, in path order, bounded."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.model.config import digest
from nexus_cli.runtime.gateway.configuration import Configuration, Wanted
from nexus_cli.wire.gateway_health import MOST_NAMED, mark_of
from tests.field import device


def test_marks_are_of_the_first_paths_without_those_that_failed(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path / "copy.json", enterprise="acme", site="chicago", gateway="gw-1")
    assert configuration.marks() == {}
    config = device("a/l/one")
    count = MOST_NAMED + 2
    paths = [f"a/l/d{number:05}" for number in range(count)]
    configuration.devices = {path: Wanted(config, digest([path])) for path in reversed(paths)}
    found = configuration.marks(without={paths[0]})
    assert list(found) == paths[1 : MOST_NAMED + 1]
    assert found[paths[1]] == mark_of(digest([paths[1]]))
