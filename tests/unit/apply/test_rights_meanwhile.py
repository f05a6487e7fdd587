"""While a deployment runs, both states' rights hold; what is new and closed is closed to the old ones, too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from nexus_cli.access.evaluate import evaluate
from nexus_cli.access.grants_file import read_wanted
from nexus_cli.apply.rights import Rights


def _device(gateway: str, **tags: dict[str, Any]) -> dict[str, Any]:
    return {"path": "a/l/d", "protocol": "modbus", "gateway": gateway, "tags": tags}


def _state(device: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "site": {"enterprise": "e", "site": "s"},
        "gateway.one": {},
        "gateway.two": {},
        "device.a/l/d": device,
        **more,
    }


OPEN, CLOSED = {"type": "float64"}, {"type": "float64", "classification": "restricted"}
BEFORE = _state(_device("one", speed=OPEN), **{"role.r": {"read": ["a/**"]}, "user.ann": {"roles": ["r"]}})
AFTER = _state(
    _device("two", speed=OPEN, recipe=CLOSED), **{"role.r": {"read": ["b/**"]}, "user.ann": {"roles": ["r"]}}
)


def _may(home: Path, principal: str, action: Any, topic: str) -> bool:
    wanted = read_wanted(home)
    assert wanted is not None
    return evaluate(wanted.grants, principal=principal, action=action, topic=topic).allowed


def test_an_old_role_reaches_nothing_that_is_new_and_closed_to_it(tmp_path: Path) -> None:
    rights = Rights(tmp_path, enterprise="e", site="s")
    asyncio.run(rights.hold(AFTER, BEFORE))
    assert _may(tmp_path, "ann", "subscribe", "e/s/a/l/d/speed"), "until the deployment has ended"
    assert not _may(tmp_path, "ann", "subscribe", "e/s/a/l/d/recipe")
    for gateway in ("one", "two"):
        assert _may(tmp_path, f"nexus.gateway.{gateway}", "publish", "e/s/a/l/d/speed"), "the device is moved meanwhile"
    asyncio.run(rights.hold(AFTER))
    assert not _may(tmp_path, "ann", "subscribe", "e/s/a/l/d/speed")
    assert not _may(tmp_path, "nexus.gateway.one", "publish", "e/s/a/l/d/speed")
