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


def test_a_device_that_says_nothing_of_itself_any_more_may_be_another_one() -> None:
    seen = DeviceExamined(path="a/l/d", addresses={"temp": there("temp"), "setpoint": there("setpoint", writable=True)})
    (found,), unknown = device_drift(DEVICE, seen, known={"maker": "M"})
    assert (found.kind, found.recorded, found.found, found.adoptable) == ("identity-changed", {"maker": "M"}, {}, True)
    assert not unknown
    look = Look()
    look.take_device(DEVICE, seen, {"a/l/d": {"maker": "M"}})
    assert look.identities == {"a/l/d": {}}, "--adopt forgets it"
    other = Look()
    other.take_device(DEVICE, seen, {})
    assert other.identities == {}
    silent, _ = device_drift(DEVICE, DeviceExamined(path="a/l/d", silent="no answer"), known={"maker": "M"})
    assert [one.kind for one in silent] == ["device-silent"]


def looked(*examined: DeviceExamined) -> Look:
    look = Look(planes=["observed", "device"])
    for one in examined:
        look.take_device(DEVICE, one, {})
    return look


GONE = DeviceExamined(
    path="a/l/d",
    addresses={
        "temp": there("temp", type="int32"),
        "setpoint": there("setpoint", presence=Presence.GONE, writable=False),
    },
)


@pytest.mark.parametrize(
    "away",
    [
        DeviceExamined(path="a/l/d", unseen="the gateway does not answer"),
        DeviceExamined(path="a/l/d", silent="no answer"),
        DeviceExamined(path="a/l/d"),
    ],
)
def test_what_was_found_stays_while_nobody_can_look(away: DeviceExamined) -> None:
    before = looked(GONE).findings
    assert {one.kind for one in before} == {"type-changed", "address-gone", "read-only"}
    look = looked(away)
    look.keep(before, {"a/l/d": DEVICE}, leave=())
    assert {one.kind for one in look.findings} - {"device-silent"} == {one.kind for one in before}
    assert any("earlier look" in note for note in look.notes)
    again = looked(away)
    again.keep(look.findings, {"a/l/d": DEVICE}, leave=())
    assert len(again.findings) == len(look.findings), "each once"


def test_what_was_found_ends_with_a_look_another_record_or_a_person() -> None:
    before = looked(GONE).findings
    away = DeviceExamined(path="a/l/d", unseen="away")

    def kept(seen: DeviceExamined, device: DeviceConfig | None, leave: tuple[str, ...] = ()) -> set[str]:
        look = looked(seen)
        look.keep(before, {} if device is None else {"a/l/d": device}, leave=leave)
        return {one.kind for one in look.findings}

    good = {"temp": there("temp"), "setpoint": there("setpoint", writable=True)}
    assert kept(DeviceExamined(path="a/l/d", addresses=good), DEVICE) == set()
    assert kept(away, None) == set(), "it is recorded no more"
    assert kept(away, DEVICE, ("a/l/d",)) == set(), "it is out of service"
    corrected = DeviceConfig(
        path="a/l/d",
        protocol="opcua",
        tags={
            "temp": TagConfig(type="int32", address="s=temp"),
            "setpoint": TagConfig(type="float64", address="s=elsewhere"),
        },
    )
    assert kept(away, corrected) == set(), "the record has what the device had"
