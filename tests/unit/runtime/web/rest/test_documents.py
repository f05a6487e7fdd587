"""Whether devices run what is recorded: of each gateway, whatever it says and leaves out."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.model.config import digest
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.rest.documents import differing, document_of
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.gateway_health import MOST_NAMED, GatewayHealth, decode_gateway, mark_of
from nexus_cli.wire.health import encode
from nexus_cli.wire.topic import Topics

RESOURCES = {
    "device.a/l/one": {"protocol": "modbus", "gateway": "gw-1", "tags": {}},
    "device.a/l/two": {"protocol": "modbus", "gateway": "gw-1", "tags": {}},
    "device.b/l/far": {"protocol": "modbus", "gateway": "gw-2", "tags": {}},
    "device.b/l/scada": {"protocol": "external", "tags": {}},
}
DIGESTS = {address: digest([address]) for address in RESOURCES}
MARKS = {address.removeprefix("device."): mark_of(value) for address, value in DIGESTS.items()}
ALL = {path: MARKS[path] for path in ("a/l/one", "a/l/two")}


def view(digests: dict[str, str] = DIGESTS) -> SiteView:
    return SiteView.of(Topics("acme", "chicago"), 7, RESOURCES, LiveCache(now_us=lambda: 1), digests)


def health(runs: dict[str, str], *, deployment: int = 7, state: str = "running") -> GatewayHealth:
    return decode_gateway(encode(GatewayHealth(state=state, deployment=deployment, runs=runs)))


def test_a_mark_is_the_beginning_of_the_digest() -> None:
    assert digest([]) == f"sha256:{digest([])[7:]}"
    assert mark_of(digest([])) == digest([])[7:15] == "4f53cda1"
    assert mark_of("") == ""


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (health(ALL), "recorded"),
        (health({**ALL, "a/l/two": "00000000"}), "another"),
        (health({"a/l/one": MARKS["a/l/one"]}), "absent"),
        (health({}), "absent"),
        (health(ALL, state="lost"), "unknown"),
        (health({f"a/k/{number:04}": "00000000" for number in range(MOST_NAMED)}), "unknown"),
        (health({f"a/m/{number:04}": "00000000" for number in range(MOST_NAMED)}), "absent"),
        (msgspec.structs.replace(health(ALL), runs=msgspec.UNSET), "unknown"),
        (None, "unknown"),
    ],
)
def test_what_a_device_runs(said: GatewayHealth | None, found: str) -> None:
    assert document_of(view().devices["a/l/two"], said) == found


def test_nothing_is_said_of_others_and_without_a_digest() -> None:
    assert document_of(view().devices["b/l/scada"], health(ALL)) == "unknown"
    assert document_of(view({}).devices["a/l/two"], health(ALL)) == "unknown"


def test_a_gateway_that_says_it_is_up_to_date_and_is_not_is_a_problem() -> None:
    assert list(differing(view(), {"gw-1": health(ALL)})) == []
    assert list(differing(view(), {"gw-1": health({}, deployment=6)})) == []
    assert list(differing(view(), {"gw-1": health({"a/l/one": "00000000"})})) == [
        "gateway gw-1: 2 devices do not run as recorded"
    ]
    surplus = health({**ALL, "b/l/far": MARKS["b/l/far"]})
    assert list(differing(view(), {"gw-1": surplus, "gw-2": health({"b/l/far": "00000000"})})) == [
        "gateway gw-1 runs 1 device that is not recorded for it",
        "gateway gw-2: 1 device does not run as recorded",
    ]
