"""`nexus apply` of a saved plan: what is said when it is stale."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.project.apply import planned_by
from nexus_cli.project.compare import Side
from nexus_cli.project.ready import Ready

TARGETS = {"target": ["a/line 1", "role.x"], "exclude": ["a/l/one"], "added": [], "left_out": 1, "files": ""}


def ready(path: Path, **document: Any) -> Ready:
    source = {"path": str(path), "env": "prod", "variables": {"host": "10.0.0.9"}}
    return Ready(site="acme/chicago", document=document, changed={}, source=source)  # type: ignore[arg-type]


def test_the_command_that_makes_a_saved_plan_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another part of the site, another environment or another variable would be another plan."""
    monkeypatch.chdir(tmp_path)
    words = planned_by(ready(tmp_path / "my site" / "site.yaml", targets=TARGETS), "monday.plan")
    assert shlex.join(words) == (
        "nexus plan 'my site/site.yaml' --env prod --var host=10.0.0.9"
        " --target 'a/line 1' --target role.x --exclude a/l/one --out monday.plan"
    )
    elsewhere = planned_by(ready(Path("/plant/site.yaml")), "monday.plan")
    assert elsewhere[:3] == ["nexus", "plan", "/plant/site.yaml"] and "--target" not in elsewhere


@pytest.mark.parametrize(
    ("name", "deployment", "shown"),
    [
        ("12", 12, "deployment 12"),
        ("0", 0, "the empty state before the first deployment"),
        ("recorded", 7, "what is recorded (deployment 7)"),
        ("recorded", 0, "an empty runtime"),
        ("git:main:sites/demo", 0, "git:main:sites/demo"),
        ("sites/demo", 0, "sites/demo"),
    ],
)
def test_a_side_of_a_comparison_has_a_name_for_people(name: str, deployment: int, shown: str) -> None:
    assert Side(name=name, snapshot=None, deployment=deployment).shown == shown
