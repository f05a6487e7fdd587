"""`nexus show` of something by its former path says what it is called now."""

from __future__ import annotations

import pytest

from tests.integration.control_world import World, world
from tests.integration.test_control_cli import Shell, running, shell
from tests.integration.test_undo_cli import _ok

__all__ = ["shell", "world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]


def test_a_former_path_leads_to_the_present_one(world: World, shell: Shell) -> None:
    with running(world):
        _ok(shell("apply", "--yes"))
        text = shell.site.read_text()
        moved = "moved: [{from: packaging/line-1/meter, to: packaging/line-1/counter}]\n"
        renamed = text.replace("          meter:", "          counter:")
        shell.site.write_text(renamed.replace("areas:", moved + "areas:"))
        _ok(shell("apply", "--yes"))
        moved = "moved: [{from: packaging/line-1/counter/energy, to: packaging/line-1/counter/work}]\n"
        shell.site.write_text(renamed.replace("energy:", "work:").replace("areas:", moved + "areas:"))
        _ok(shell("apply", "--yes"))
        for old, new in (
            ("packaging/line-1/meter", "packaging/line-1/counter"),
            ("device.packaging/line-1/meter", "packaging/line-1/counter"),
            ("packaging/line-1/meter/energy", "packaging/line-1/counter/work"),
            ("packaging/line-1/counter/energy", "packaging/line-1/counter/work"),
            ("packaging/line-1/meter/power", "packaging/line-1/counter/power"),
            ("tag.packaging/line-1/meter/power", "packaging/line-1/counter/power"),
        ):
            found = shell("show", old)
            assert found.returncode == 1 and f"'{old}' was renamed: it is {new} now." in found.stderr, found.stderr
            assert f"nexus show {new}" in found.stderr
            _ok(shell("show", new))
        never = shell("show", "packaging/line-1/metre")
        assert never.returncode == 1 and "is not recorded" in never.stderr
