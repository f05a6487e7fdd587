"""What the benchmarks beside other programs rest on: both read the same devices, and what they deliver is counted right."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path

import pytest

from nexus_cli.project.text import load
from tests.benchmarks import telegraf
from tests.benchmarks.bench_plant import live_figures
from tests.benchmarks.fleet import Fleet, element, hosts, site_text
from tests.benchmarks.message_feeder import messages, topic
from tests.benchmarks.peers_messages import site_text as messages_site
from tests.benchmarks.responder import ROUNDS, Facts, Given, ModbusDevice, Reader, Responder, S7Device, Values
from tests.benchmarks.sides import Window, share, spread
from tests.benchmarks.tally import LARGEST_LAG_MS, Counts, count, packet, text

FLEETS = {
    "modbus": Fleet(protocol="modbus", devices=300, tags=3),
    "s7": Fleet(protocol="s7", devices=2, tags=3),
    "opcua": Fleet(protocol="opcua", devices=1, tags=4),
}
NOW_MS = 1_700_000_000_000


def publish(name: str, payload: bytes = b"", *, first: int = 0x30) -> bytes:
    return packet(first, text(name) + payload)


def live(at_ms: int) -> bytes:
    return b'{"value":1.5,"timestamp":%d,"quality":"GOOD"}' % at_ms


# --- the same devices for both -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", FLEETS)
def test_a_fleet_is_a_valid_site(protocol: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(site_text(FLEETS[protocol], port=15020))
    found = load(tmp_path)
    assert [item for item in found.findings if item.severity == "error"] == []


def test_the_messages_are_declared(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(messages_site())
    assert [item for item in load(tmp_path).findings if item.severity == "error"] == []


def test_every_device_has_an_address_of_its_own() -> None:
    assert len(set(hosts(FLEETS["modbus"]))) == 300


def test_telegraf_reads_each_value_of_each_modbus_device() -> None:
    fleet = FLEETS["modbus"]
    inputs = tomllib.loads(telegraf.reading(fleet, port=15021))["inputs"]["modbus"]
    assert [one["controller"] for one in inputs] == [f"tcp://{host}:15021" for host in hosts(fleet)]
    fields = [[(one["address"], one["name"]) for one in each["request"][0]["fields"]] for each in inputs]
    assert fields == [[(0, "v0000"), (2, "v0001"), (4, "v0002")]] * fleet.devices


def test_telegraf_reads_each_value_of_each_s7_device() -> None:
    inputs = tomllib.loads(telegraf.reading(FLEETS["s7"], port=10102))["inputs"]["s7comm"]
    assert [one["address"] for one in inputs[1]["metric"][0]["fields"]] == ["DB1.R0", "DB1.R4", "DB1.R8"]
    assert inputs[1]["metric"][0]["tags"] == {"device": "d1"}


def test_telegraf_subscribes_each_node() -> None:
    (found,) = tomllib.loads(telegraf.reading(FLEETS["opcua"], port=4840))["inputs"]["opcua_listener"]
    assert [one["identifier"] for one in found["group"][0]["nodes"]] == [element(at) for at in range(4)]


def test_the_other_tables_are_toml() -> None:
    whole = (
        telegraf.agent(batch=1000, flush="1s")
        + telegraf.to_mqtt("mqtt://127.0.0.1:1883", layout=telegraf.BY_FIELD)
        + telegraf.consuming("mqtt://127.0.0.1:1883", ["a/#", "b/#"], database="postgres://x")
    )
    found = tomllib.loads(whole)
    assert found["outputs"]["mqtt"][0]["topic"] == 'telegraf/{{ .Tag "device" }}'
    assert found["inputs"]["mqtt_consumer"][0]["topics"] == ["a/#", "b/#"]


def test_without_go_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(telegraf.CACHE, str(tmp_path))
    monkeypatch.setattr(telegraf.shutil, "which", lambda *_, **__: None)
    with pytest.raises(telegraf.NoTelegrafError, match="no Go"):
        telegraf.telegraf_program()


def test_the_cache_is_where_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / f"telegraf-{telegraf.VERSION}"
    kept.touch()
    monkeypatch.setenv(telegraf.CACHE, str(tmp_path))
    monkeypatch.setattr(telegraf.shutil, "which", lambda *_, **__: None)
    assert telegraf.telegraf_program() == kept


# --- the responder -------------------------------------------------------------------------------------------------


def test_modbus_values_move_when_told() -> None:
    values, reader = Values(tags=20), Reader()
    device = ModbusDevice(values, reader)
    ask = struct.pack(">HH", 4, 6)
    first = device.answer(7, 1, 3, ask)
    assert first[:9] == struct.pack(">HHHBBB", 7, 0, 15, 1, 3, 12)
    assert struct.unpack(">3f", first[9:]) == pytest.approx((20.02, 20.03, 20.04))
    assert device.answer(7, 1, 3, ask) == first
    assert (reader.requests, reader.values, reader.moved) == (2, 6, 3)
    values.moving = True
    assert device.answer(7, 1, 3, ask) != first
    assert reader.moved == 6


def test_modbus_refuses_a_write() -> None:
    device = ModbusDevice(Values(tags=2), Reader())
    assert device.answer(9, 1, 6, b"\0\0\0\0") == struct.pack(">HHHBBB", 9, 0, 3, 1, 0x86, 1)


def s7_item(start: int, size: int, transport: int = 2) -> bytes:
    return b"\x12\x0a\x10" + struct.pack(">BHHB", transport, size, 1, 0x84) + (start * 8).to_bytes(3, "big")


def test_s7_gives_each_item() -> None:
    reader = Reader()
    device = S7Device(Values(tags=20), reader)
    found = device.read(5, b"\x04\x02" + s7_item(0, 8) + s7_item(12, 1, transport=8))
    assert len(found) == int.from_bytes(found[2:4], "big")
    assert found[7:21] == struct.pack(">BBHHHHBBBB", 0x32, 3, 0, 5, 2, 20, 0, 0, 4, 2)
    assert found[21:25] == b"\xff\x04\x00\x40"
    assert struct.unpack(">2f", found[25:33]) == pytest.approx((20.0, 20.01))
    assert struct.unpack(">f", found[37:41])[0] == pytest.approx(20.03)
    assert (reader.requests, reader.values, reader.moved) == (1, 3, 3)


def test_a_block_moved_only_if_it_is_of_another_turn() -> None:
    values, reader = Values(tags=20), Reader()
    device = S7Device(values, reader)
    values.moving = True
    for start in (0, 8):
        device.read(1, b"\x04\x01" + s7_item(start, 8))
    values.moving = False
    assert reader.moved == 4
    for _ in range(2):  # the first block was of the turn before
        for start in (0, 8):
            device.read(1, b"\x04\x01" + s7_item(start, 8))
    assert reader.moved == 6


# --- the count -----------------------------------------------------------------------------------------------------


def test_messages_are_counted_by_topic_wherever_the_stream_is_cut() -> None:
    stream = publish("a/b", live(NOW_MS - 7)) + packet(0x90, b"\0\1\0") + publish("a/c", b"x" * 300) + publish("a/b")
    for cut in range(len(stream)):
        counts = Counts()
        used = count(stream[:cut], counts, now_ms=NOW_MS)
        assert used <= cut
        rest = stream[used:]
        assert count(rest, counts, now_ms=NOW_MS) == len(rest)
        assert counts.topics == {b"a/b": 2, b"a/c": 1}
        assert counts.lags_ms == {7: 1}


def test_retained_messages_are_of_before() -> None:
    counts = Counts()
    stream = publish("a/b", live(NOW_MS), first=0x31)
    assert count(stream, counts, now_ms=NOW_MS) == len(stream)
    assert counts.messages == 0


def test_lags_are_bounded() -> None:
    counts = Counts()
    for at_ms in (0, NOW_MS + 50):
        count(publish("a", live(10**12 + at_ms if at_ms == 0 else at_ms)), counts, now_ms=NOW_MS)
    assert counts.lags_ms == {LARGEST_LAG_MS: 1, 0: 1}


def test_percentiles_of_lags() -> None:
    counts = Counts(lags_ms={1: 98, 40: 1, 900: 1})
    assert (counts.lag_ms(50), counts.lag_ms(99), counts.lag_ms(100)) == (1, 40, 900)
    assert Counts().lag_ms(99) is None


def test_messages_under_a_topic() -> None:
    assert Counts(topics={b"a/b": 2, b"a/c": 1, b"b/c": 5}).under(b"a/") == 3


def test_the_feed_goes_over_all_topics_with_new_times() -> None:
    made = list(messages("acme/hall", topics=150, count=450, first_ms=NOW_MS))
    counts = Counts()
    assert count(b"".join(made), counts, now_ms=NOW_MS + 2) == sum(map(len, made))
    assert counts.topics == {topic("acme/hall", at).encode(): 3 for at in range(150)}
    assert counts.lags_ms == {2: 150, 1: 150, 0: 150}


# --- figures -------------------------------------------------------------------------------------------------------


def test_a_tag_that_missed_a_second_is_seen() -> None:
    counts = Counts(topics={b"a": 10, b"b": 9, b"c": 4}, lags_ms={5: 23})
    messages_, tags, lag = live_figures(counts, seconds=10.0, tags=3)
    assert (messages_.value, messages_.met) == (2.3, False)
    assert (tags.value, tags.met) == (2, False)
    assert lag.value == 5


def test_every_tag_every_second() -> None:
    counts = Counts(topics={b"a": 10, b"b": 10})
    assert [one.met for one in live_figures(counts, seconds=10.0, tags=2)] == [True, True]


def test_shares_are_medians_and_ratios_a_range() -> None:
    windows = [Window({"a": one, "b": 0.1}) for one in (0.1, 0.3, 0.2)]
    assert share(windows, "a") == 0.2
    assert spread(windows, "a", "b") == "1.00-3.00 x in 3 windows"


class Facing(Responder):
    """Reads one more round of each value whenever it is asked."""

    def __init__(self, fleet: Fleet, paces: tuple[int, ...]) -> None:
        self.fleet, self.paces, self.asked = fleet, paces, 0

    def facts(self) -> Facts:
        self.asked += 1
        return Facts([Given(0, self.asked * pace * self.fleet.values, 0) for pace in self.paces], 0.0)


def test_it_waits_for_the_slowest_reader() -> None:
    field = Facing(FLEETS["s7"], (1, 5))
    field.wait_read(FLEETS["s7"])
    assert field.asked == 1 + ROUNDS
