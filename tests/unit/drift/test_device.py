"""A device against what is recorded of it."""

from __future__ import annotations

import pytest

from nexus_cli.drift.device import device_drift, fits
from nexus_cli.drift.report import Look, askable, exit_of
from nexus_cli.drivers.examined import DeviceExamined, Examined, Presence
from nexus_cli.exit_codes import Exit
from nexus_cli.model.config import DeviceConfig, TagConfig

DEVICE = DeviceConfig(
    path="a/l/d",
    protocol="opcua",
    gateway="gw-1",
    tags={
        "temp": TagConfig(type="float64", address="s=temp"),
        "setpoint": TagConfig(type="float64", address="s=sp", writable=True),
        "off": TagConfig(type="int16", address="s=off", enabled=False),
        "sum": TagConfig(type="float64", expr="temp + 1"),
    },
)


def there(name: str, **more: object) -> Examined:
    return Examined(**{"name": name, "presence": Presence.THERE, **more})  # type: ignore[arg-type]


def test_a_device_as_it_is_recorded_has_no_drift() -> None:
    seen = DeviceExamined(path="a/l/d", addresses={"temp": there("temp"), "setpoint": there("setpoint", writable=True)})
    assert device_drift(DEVICE, seen, known=None) == ([], [])


def test_each_difference_is_one_finding() -> None:
    seen = DeviceExamined(
        path="a/l/d",
        addresses={
            "temp": there("temp", presence=Presence.MOVED, address="nsu=x;s=temp"),
            "setpoint": there("setpoint", type="int32", writable=False),
        },
        identity={"product": "B"},
    )
    findings, unknown = device_drift(DEVICE, seen, known={"product": "A", "maker": "M"})
    assert not unknown
    assert {(one.path, one.kind, one.severity) for one in findings} == {
        ("a/l/d", "identity-changed", "low"),
        ("a/l/d/temp", "address-moved", "medium"),
        ("a/l/d/setpoint", "type-changed", "critical"),
        ("a/l/d/setpoint", "read-only", "critical"),
    }
    assert all(one.adoptable for one in findings)


@pytest.mark.parametrize(
    "seen",
    [
        DeviceExamined(path="a/l/d", unseen="the gateway does not answer"),
        DeviceExamined(path="a/l/d", silent="no answer"),
        DeviceExamined(path="a/l/d"),
        DeviceExamined(
            path="a/l/d", addresses={"temp": there("temp"), "setpoint": there("setpoint", presence=Presence.UNKNOWN)}
        ),
    ],
)
def test_what_was_not_looked_at_is_never_without_drift(seen: DeviceExamined) -> None:
    look = Look()
    look.take_device(DEVICE, seen, {})
    report = look.report(site="e/s", time_us=1, deployment=1, least="critical")
    assert report.unknown
    assert exit_of(report) != Exit.OK


def test_drift_comes_before_what_is_not_known() -> None:
    look = Look()
    look.take_device(DEVICE, DeviceExamined(path="a/l/d", silent="no answer"), {})
    assert exit_of(look.report(site="e/s", time_us=1, deployment=1)) == Exit.CHANGES
    assert exit_of(Look().report(site="e/s", time_us=1, deployment=1)) == Exit.OK


def test_an_identity_that_was_never_recorded_is_no_drift() -> None:
    seen = DeviceExamined(
        path="a/l/d",
        addresses={"temp": there("temp"), "setpoint": there("setpoint")},
        identity={"product": "B"},
    )
    assert device_drift(DEVICE, seen, known=None) == ([], [])


@pytest.mark.parametrize(
    ("declared", "has", "well"),
    [
        ("float64", "float64", True),
        ("float64", "float32", True),
        ("float32", "float64", False),
        ("int32", "int16", True),
        ("int32", "uint16", True),
        ("int16", "uint16", False),
        ("float64", "int32", False),
        ("string[20]", "string", True),
        ("string[20]", "string[80]", False),
        ("float32[5]", "float32[5]", True),
        ("float32[5]", "float32[6]", False),
        ("float32[5]", "float32[]", True),
        ("float32", "float32[]", False),
        ("duration", "float64", True),
        ("bool", "something", True),
    ],
)
def test_fits(declared: str, has: str, well: bool) -> None:
    assert fits(declared, has) is well


def test_whom_to_ask() -> None:
    external = DeviceConfig(path="a/l/x", protocol="external")
    off = DeviceConfig(path="a/l/o", protocol="s7", gateway="gw-1", enabled=False, tags=DEVICE.tags)
    paused = DeviceConfig(path="a/l/p", protocol="s7", gateway="gw-1", tags=DEVICE.tags)
    flight = DeviceConfig(path="a/l/f", protocol="s7", gateway="gw-1", tags=DEVICE.tags)
    asked, unknown = askable(
        [DEVICE, external, off, paused, flight], changing={"device.a/l/f"}, paused={"a/l/p": "cleaning"}
    )
    assert asked == {"gw-1": [DEVICE]}
    assert [(one.path, one.why) for one in unknown] == [("a/l/p", "it is out of service: cleaning")]
