"""What the message centre makes of payloads: its decoders run in the browser that people use."""

from __future__ import annotations

import base64
import functools
import http.server
import random
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from nexus_cli.runtime.web.page.assets import STATIC
from tests.browser import Browser, browser, needs_browser
from tests.sparkplug_bytes import block, float32, float64, metric, number, payload, varint

pytestmark = [needs_browser]
SPARKPLUG = "spBv1.0/plant/DDATA/edge/press"
READ = """
const [topic, base64, births, size] = arguments;
return import('/lib/payload.js').then(async (payload) => {
  const { AliasBook, decodeSparkplug, placeOf } = await import('/lib/sparkplug.js');
  const book = new AliasBook();
  for (const [where, each] of births) book.learn(placeOf(where), decodeSparkplug(payload.bytesOf('base64', each)));
  const bytes = payload.bytesOf('base64', base64);
  const message = { topic, bytes, size: size ?? bytes.length };
  const reading = payload.readPayload(message, book);
  const view = reading.views[reading.best];
  const problems = Object.fromEntries(Object.entries(reading.views).map(([kind, each]) => [kind, each.problem ?? '']));
  return { best: reading.best, problems, text: view.text ?? payload.stringify(view.value), brief: payload.briefOf(message, reading) };
});
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """The page's files, under types that a browser takes for modules."""

    extensions_map = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(STATIC))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
async def page(address: str, tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as made:
        await made.open(f"{address}/icon.svg")
        yield made


async def read(
    page: Browser, data: bytes, *, topic: str = "plant/x", births: Any = (), size: int | None = None
) -> dict[str, Any]:
    """How the page reads a payload."""
    known = [[where, base64.b64encode(each).decode()] for where, each in births]
    found: dict[str, Any] = await page.run(READ, topic, base64.b64encode(data).decode(), known, size)
    return found


async def metrics(page: Browser, data: bytes, *, births: Any = ()) -> list[dict[str, Any]]:
    """The metrics of a Sparkplug payload."""
    found = await read(page, data, topic=SPARKPLUG, births=births)
    assert found["best"] == "sparkplug", found
    shown: list[dict[str, Any]] = orjson.loads(found["text"])["metrics"]
    return shown


async def test_sparkplug_values_have_the_sign_and_type_of_their_metric(page: Browser) -> None:
    data = payload(
        metric(number(10, 2**32 - 5), name="small", kind="Int32"),
        metric(number(10, 0xFF), name="byte", kind="Int8"),
        metric(number(11, 2**64 - 7), name="large", kind="Int64"),
        metric(number(11, 2**64 - 7), name="unsigned", kind="UInt64"),
        metric(float32(12, 0.5), name="float", kind="Float"),
        metric(float64(13, -2.25), name="double", kind="Double"),
        metric(number(14, 1), name="on", kind="Boolean"),
        metric(block(15, "läuft"), name="text", kind="String"),
        metric(number(11, 1_767_225_600_000), name="when", kind="DateTime"),
        metric(block(16, b"\x01\xfe"), name="raw", kind="Bytes"),
        metric(block(16, b"\xfe\xff\x01\x00"), name="row", kind="Int16Array"),
        metric(block(16, b"\x03\x00\x00\x00\xa0"), name="bits", kind="BooleanArray"),
        metric(block(16, b"ab\x00c\x00"), name="texts", kind="StringArray"),
        metric(name="nothing", kind="Double", more=number(7, 1)),
    )
    found = {each["name"]: each["value"] for each in await metrics(page, data)}
    assert found == {
        "small": -5,
        "byte": -1,
        "large": -7,
        "unsigned": 18446744073709551609,
        "float": 0.5,
        "double": -2.25,
        "on": True,
        "text": "läuft",
        "when": "2026-01-01T00:00:00.000Z",
        "raw": "01 fe",
        "row": [-2, 1],
        "bits": [True, False, True],
        "texts": ["ab", "c"],
        "nothing": None,
    }


async def test_metrics_with_an_alias_have_the_names_of_their_birth(page: Browser) -> None:
    unit = block(9, block(1, "engUnit") + block(2, number(1, 12) + block(8, "degC")))
    birth = payload(
        metric(float64(13, 20.0), name="Filler/Temperature", alias=1, kind="Double", more=unit),
        metric(number(10, 3), name="Filler/Count", alias=2, kind="Int32"),
    )
    data = payload(
        metric(float64(13, 21.5), alias=1), metric(number(10, 2**32 - 1), alias=2), metric(number(10, 4), alias=9)
    )
    births = [("spBv1.0/plant/DBIRTH/edge/press", birth)]
    found = await metrics(page, data, births=births)
    assert [(each["name"], each["type"], each["value"]) for each in found] == [
        ("Filler/Temperature", "Double", 21.5),
        ("Filler/Count", "Int32", -1),
        ("", "", 4),
    ]
    read_ = await read(page, data, topic=SPARKPLUG, births=births)
    assert read_["brief"] == "Filler/Temperature=21.5  Filler/Count=-1  alias 9=4"
    (born, _) = await metrics(page, birth)
    assert born["properties"] == {"engUnit": "degC"}
    other = await metrics(page, data, births=[("spBv1.0/plant/DBIRTH/elsewhere/press", birth)])
    assert [each["name"] for each in other] == ["", "", ""], "aliases belong to their edge node"


async def test_data_sets_and_templates(page: Browser) -> None:
    row = block(4, block(1, number(1, 2**32 - 1)) + block(1, block(6, "red")))
    table = number(1, 2) + block(2, "n") + block(2, "colour") + number(3, 3) + number(3, 12) + row
    inner = block(2, block(1, "x") + number(4, 10) + float64(13, 1.5))
    template = block(1, "v1") + inner + block(3, block(1, "size") + number(2, 3) + number(3, 7)) + block(4, "Motor")
    data = payload(
        metric(block(17, table), name="set", kind="DataSet"), metric(block(18, template), name="t", kind="Template")
    )
    rows, made = (each["value"] for each in await metrics(page, data))
    assert rows == {"columns": ["n", "colour"], "types": ["Int32", "String"], "rows": [[-1, "red"]]}
    assert made["template"] == "Motor" and made["parameters"] == [{"name": "size", "type": "Int32", "value": 7}]
    assert [(each["name"], each["value"]) for each in made["metrics"]] == [("x", 1.5)]


async def test_of_a_payload_that_was_cut_the_whole_metrics_are_shown(page: Browser) -> None:
    data = payload(*(metric(float64(13, float(each)), name=f"m{each}", kind="Double") for each in range(20)))
    found = await read(page, data[:100], topic=SPARKPLUG, size=len(data))
    shown = orjson.loads(found["text"])
    assert found["best"] == "sparkplug" and shown["cut"] is True
    assert [each["name"] for each in shown["metrics"]] == [f"m{each}" for each in range(5)]


FORMS = [
    ("plant/x", b'{"value": 1}', "json"),
    ("plant/x", b"17.5", "json"),
    ("plant/x", b"hello", "text"),
    ("plant/x", msgspec.msgpack.encode({"a": [1, None, 2.5]}), "msgpack"),
    ("plant/x", payload(metric(number(10, 1), name="a", kind="Int32")), "sparkplug"),
    ("plant/x", b"\xff\xfe\x00\x01", "hex"),
    ("plant/x", b"", "text"),
    ("spBv1.0/STATE/host", b'{"online": true}', "json"),
    ("spBv1.0/plant/STATE/host", b"ONLINE", "text"),
    (SPARKPLUG, b'{"not": "sparkplug"}', "json"),
]


async def test_the_form_that_fits_is_chosen(page: Browser) -> None:
    for topic, data, best in FORMS:
        assert (await read(page, data, topic=topic))["best"] == best, (topic, data)


async def test_messagepack_says_what_was_packed(page: Browser) -> None:
    given = {
        "small": 5,
        "negative": -33,
        "large": 2**53 - 1,
        "low": -(2**40),
        "half": 0.5,
        "text": "ä" * 40,
        "list": [True, False, None, list(range(20))],
        "map": {str(each): each for each in range(20)},
    }
    assert orjson.loads((await read(page, msgspec.msgpack.encode(given)))["text"]) == given
    exact = await read(page, msgspec.msgpack.encode({"n": 2**64 - 1, "b": b"\x01\xff"}))
    assert orjson.loads(exact["text"]) == {"n": 18446744073709551615, "b": "01 ff"}
    damaged = await read(page, msgspec.msgpack.encode({"a": [1, 2, 3]})[:-1])
    assert damaged["problems"]["msgpack"] == "it ends too early"


async def test_numbers_beyond_53_bits_are_shown_as_they_were_sent(page: Browser) -> None:
    text = b'{"count":12345678901234567890,"list":[9007199254740993]}'
    assert (await read(page, text))["text"] == text.decode()


async def test_damaged_payloads_are_shown_and_break_nothing(page: Browser) -> None:
    dice = random.Random(12)
    whole = payload(
        *(metric(float64(13, 1.0), name=f"m{each}", alias=each, kind="Double") for each in range(4)),
        metric(block(17, number(1, 1) + block(2, "n") + number(3, 3)), name="set", kind="DataSet"),
    )
    packed = msgspec.msgpack.encode({"a": [1, {"b": "c" * 40}], "d": 2.5})
    kinds = set()
    for each in range(150):
        data = bytearray(whole if each % 2 else packed)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        found = await read(page, bytes(data[: dice.randint(1, len(data))]), topic=dice.choice([SPARKPLUG, "plant/x"]))
        kinds.add(found["best"])
    assert {"sparkplug", "hex"} <= kinds
    deep = await read(page, b"\x91" * 5000 + b"\x01")
    assert deep["problems"]["msgpack"] == "it is nested too deeply"
    nested = b""
    for _ in range(40):
        nested = block(2, block(1, "t") + block(18, nested))
    assert "nested too deeply" in (await read(page, nested, topic=SPARKPLUG))["problems"]["sparkplug"]
    assert "a number is too long" in (await read(page, b"\xff" * 12, topic=SPARKPLUG))["problems"]["sparkplug"]
    bomb = b"\xdd" + (2**32 - 1).to_bytes(4, "big")
    assert (await read(page, bomb))["problems"]["msgpack"] == "it ends too early"
    assert varint(300) == b"\xac\x02", "the writer of these tests writes as the guide says"
