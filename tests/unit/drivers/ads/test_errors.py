"""Error codes of ADS: how far they reach, and what is said of a missing route."""

from __future__ import annotations

import sys

import pytest

from nexus_cli.drivers.ads.driver import DRIVER, default_net_id
from nexus_cli.drivers.ads.errors import error_of, fault_of, route_hint
from nexus_cli.drivers.ads.session import address_of
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason


@pytest.mark.parametrize(
    ("code", "scope", "reason"),
    [
        (6, Scope.DEVICE, Reason.DEVICE_ERROR),
        (7, Scope.DEVICE, Reason.DEVICE_ERROR),
        (18, Scope.DEVICE, Reason.DEVICE_ERROR),
        (1793, Scope.REQUEST, Reason.DEVICE_ERROR),
        (1794, Scope.ITEM, Reason.ILLEGAL_ADDRESS),
        (1795, Scope.ITEM, Reason.ILLEGAL_ADDRESS),
        (1796, Scope.ITEM, Reason.ACCESS_DENIED),
        (1797, Scope.ITEM, Reason.TYPE_MISMATCH),
        (1808, Scope.ITEM, Reason.ILLEGAL_ADDRESS),
        (1809, Scope.ITEM, Reason.SYMBOL_CHANGED),
        (1861, Scope.DEVICE, Reason.DEVICE_TIMEOUT),
        (0x501, Scope.SESSION, Reason.LINK_LOST),
        (0x750, Scope.SESSION, Reason.LINK_LOST),
        (0xDEAD_BEEF, Scope.ITEM, Reason.DEVICE_ERROR),
    ],
)
def test_codes_reach_as_far_as_they_should(code: int, scope: Scope, reason: Reason) -> None:
    error = error_of(code, "MAIN.x")
    assert (error.scope, error.reason, error.code) == (scope, reason, code)
    assert str(code) in error.message
    assert fault_of(code).code == code


def test_a_route_is_told_with_everything_to_type() -> None:
    hint = route_hint(net_id="10.0.0.5.1.1", address="10.0.0.5", name="gateway-1")
    assert all(part in hint for part in ("10.0.0.5.1.1", "address 10.0.0.5", "name gateway-1", "Edit Routes"))


def test_our_net_id_follows_from_our_address() -> None:
    assert default_net_id("10.0.0.5") == "10.0.0.5.1.1"
    with pytest.raises(ValueError):
        default_net_id("fe80::1")


def test_a_net_id_that_is_none_is_not_tried_again() -> None:
    with pytest.raises(DriverError) as caught:
        address_of(DeviceConfig(path="a/l/d", protocol="ads", connection={"ams_net_id": "5.1"}))
    assert (caught.value.scope, caught.value.retriable) == (Scope.SESSION, False)


async def test_without_pyads_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyads", None)
    connection = {"host": "10.0.0.7", "ams_net_id": "5.12.82.20.1.1", "router": "local"}
    with pytest.raises(DriverError) as caught:
        await DRIVER.connect([DeviceConfig(path="a/l/d", protocol="ads", connection=connection)], home=".")
    assert caught.value.message == "pyads is not installed: pip install 'nexus-cli[ads]'"
    assert (caught.value.scope, caught.value.retriable) == (Scope.SESSION, False)
