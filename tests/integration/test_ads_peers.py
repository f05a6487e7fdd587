"""ADS with what nobody here wrote: pyads and npm ads-client against our simulator, our driver through pyads's router.

Native code runs in a process of its own, so that a crash of it shows as such and not as the end of all tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.ads.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.driver_cases import ADS, ads_device
from tests.node_peers import NODE_MODULES, node_with

ROOT = Path(__file__).parents[2]
ROUTER_PORT = 48898
"""Clients with a router of their own know no other."""
LOSSES = 6


def _free_host(first: int) -> str:
    """A loopback address whose ADS port nobody listens on."""
    for last in range(first, first + 40):
        host = f"127.0.0.{last}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, ROUTER_PORT))
            except OSError:
                continue
            return host
    pytest.skip(f"no loopback address with a free port {ROUTER_PORT}: pyads needs one of 127.0.0.2 and up")


@asynccontextmanager
async def served(first: int) -> AsyncIterator[tuple[SimulatorServer, DeviceConfig, str]]:
    host = _free_host(first)
    device = ads_device(0, ROUTER_PORT)
    device.connection.update(host=host, ams_net_id=f"{host}.1.1")
    server = await serve([device], host=host, port=ROUTER_PORT)
    try:
        yield server, device, host
    finally:
        await server.close()


async def _run(*command: str, **environment: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        async with asyncio.timeout(60):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"ended with {process.returncode}: {stderr.decode()[-2000:]}"
    return json.loads(stdout.decode().splitlines()[-1])


def _needs_pyads() -> None:
    if find_spec("pyads") is None:
        pytest.skip("pyads is not installed: pip install 'nexus-cli[ads]'")


async def test_pyads_reads_writes_and_hears_our_simulator() -> None:
    _needs_pyads()
    async with served(21) as (server, device, host):
        found = await _run(sys.executable, "-m", "tests.integration.ads_pyads_client", host, f"{host}.1.1")
        held = server.values(device.path)
    values = {name: tag.simulate["value"] for name, tag in device.tags.items()}
    assert found["values"] == {name: values[name] for name in found["values"]}
    assert len(found["values"]) == 19
    assert [datetime.fromtimestamp(at, UTC).isoformat() for at in found["moments"][:2]] == [
        "2024-03-04T05:06:07+00:00",
        "2024-03-04T00:00:00+00:00",
    ]
    assert found["moments"][2] == 1_709_528_767_250_000_000
    assert found["raw"] == values["raw"]
    assert (found["structure"]["fSpeed"], found["structure"]["fCurrent"]) == (values["f32"], values["f64"])
    assert found["state"] == 5
    assert found["symbol"] == values["i32"]
    assert found["list"] == {"GVL0.i8": -5, "GVL0.u16": 54321, "GVL0.sUtf": values["text-utf8"]}
    assert {"GVL0.stMotor", "GVL0.cells", ".legacy0"} <= set(found["table"])
    assert found["written"] == held["i32"] == 4711
    assert set(found["errors"].values()) == {"no error"}
    assert found["missing"] == 1808
    assert found["heard"][:2] == ["GVL0.i16", 123]
    assert (held["i8"], held["i16"], held["i64"], held["raw"]) == (-7, 123, -(2**63), 40_000)
    assert (held["text-wide"], held["text-utf8"]) == ("ψ 2", "ψψψ")
    assert (held["array"], held["span"]) == ([9.0, 8.0, 7.0], 86_400_000)


async def test_our_driver_through_the_router_of_pyads() -> None:
    """The same session over pyads: values, writes, reports, an online change, a stall, link losses; and it lives on."""
    _needs_pyads()
    host = _free_host(71)
    found = await _run(sys.executable, "-m", "tests.integration.ads_routed_client", host, str(LOSSES))
    numbers = [at * 100 for at in range(10)]
    assert found["values"] == [[*numbers, 1.5], {}]
    assert found["written"] == 4711
    assert found["faults"] == {}
    assert found["after"][3] == 4711
    assert found["after"][:3] == numbers[:3]
    assert found["stalled"] == ["session", "device_timeout"]
    assert found["losses"] == LOSSES
    assert found["threads"][1] <= found["threads"][0]


CLIENT = """
const {Client} = require("ads-client");
const [host, netId] = process.argv.slice(1);
const c = new Client({targetAmsNetId: netId, targetAdsPort: 851, routerAddress: host, routerTcpPort: 48898,
  localAmsNetId: "127.0.0.1.1.1", localAdsPort: 32750, hideConsoleWarnings: true, timeoutDelay: 3000});
(async () => {
  await c.connect(); const out = {values: {}};
  for (const name of ["GVL0.bRun", "GVL0.i16", "GVL0.u16", "GVL0.stMotor.fSpeed", "GVL0.arr", "GVL0.stAll",
                      "GVL0.stMotor", "GVL0.sName", "GVL0.sWide", "GVL0.cells[-1]", "GVL0.tCycle"])
    out.values[name] = (await c.readValue(name)).value;
  out.state = (await c.readPlcRuntimeState()).adsState;
  const e = (await c.readValue("GVL0.eState")).value; out.enum = [e.name, e.value];
  out.symbols = Object.keys(await c.getSymbols()).length;
  out.type = (await c.getDataType("ST_GVL0_stMotor")).subItems.map(x => x.name);
  await c.writeValue("GVL0.i32", 815); out.written = (await c.readValue("GVL0.i32")).value;
  await c.writeValue("GVL0.stMotor", {fSpeed: 4.5, stInner: {fCurrent: 2.25}});
  out.heard = await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("nothing heard")), 3000);
    c.subscribeValue("GVL0.i16", d => { if (d.value === 77) resolve(d.value); }, 10)
      .then(() => c.writeValue("GVL0.i16", 77)).catch(reject);
  });
  try { await c.readValue("GVL0.missing"); } catch (e) { out.missing = e.adsError ? e.adsError.errorCode : String(e); }
  console.log(JSON.stringify(out, (_, v) => typeof v === "bigint" ? Number(v) : v)); await c.disconnect(true); process.exit(0);
})().catch(e => { console.error(e); process.exit(1); });
"""


EVERYTHING = """
const {Client} = require("ads-client");
const [host, netId, names, writes] = process.argv.slice(1);
const c = new Client({targetAmsNetId: netId, targetAdsPort: 851, routerAddress: host, routerTcpPort: 48898,
  localAmsNetId: "127.0.0.1.1.1", localAdsPort: 32751, hideConsoleWarnings: true, timeoutDelay: 3000});
const made = v => typeof v === "string" && v.startsWith("big:") ? BigInt(v.slice(4))
  : typeof v === "string" && v.startsWith("at:") ? new Date(v.slice(3)) : v;
(async () => {
  await c.connect(); const out = {read: {}, heard: {}, again: {}};
  for (const name of JSON.parse(names)) out.read[name] = (await c.readValue(name)).value;
  for (const name of JSON.parse(names))
    out.heard[name] = await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("nothing heard of " + name)), 3000);
      c.subscribeValue(name, d => resolve(d.value), 10).catch(reject);
    });
  for (const [name, value] of Object.entries(JSON.parse(writes))) {
    await c.writeValue(name, made(value)); out.again[name] = (await c.readValue(name)).value;
  }
  console.log(JSON.stringify(out, (_, v) => typeof v === "bigint" ? "big:" + v : v)); await c.disconnect(true); process.exit(0);
})().catch(e => { console.error(e); process.exit(1); });
"""


def _as_javascript(value: Any, kind: str) -> Any:
    if kind == "datetime":
        return datetime.fromisoformat(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"big:{value}" if kind in ("int64", "uint64") else value


async def test_every_type_as_ads_client_of_npm_has_it() -> None:
    """It does not know LDT, and reads raw memory by number only."""
    node = node_with("ads-client")
    async with served(161) as (server, device, host):
        known = {name: tag for name, tag in device.tags.items() if name not in ("time-long", "raw")}
        values = {name: _as_javascript(tag.simulate["value"], tag.type) for name, tag in known.items()}
        values |= {"state": {"name": "run", "value": 2}}
        values |= {"all": {"a": "big:1", "b": [1.5, 2.5], "c": {"on": True, "s": "x"}}}
        writes = {name: value for name, value in ADS.writes.items() if name in known}
        asked = {known[name].address: _as_javascript(value, known[name].type) for name, value in writes.items()}
        sent = {name: f"at:{one}" if known_type(known, name) == "datetime" else one for name, one in asked.items()}
        names = json.dumps([tag.address for tag in known.values()])
        found = await _run(node, "-e", EVERYTHING, host, f"{host}.1.1", names, json.dumps(sent), NODE_PATH=NODE_MODULES)
        held = server.values(device.path)
    expected = {known[name].address: value for name, value in values.items()}
    assert found["read"] == expected
    assert found["heard"] == expected
    assert {name: held[name] for name in writes} == writes
    assert found["again"] == asked


def known_type(tags: dict[str, TagConfig], address: str) -> str:
    return next(tag.type for tag in tags.values() if tag.address == address)


async def test_ads_client_of_npm_reads_writes_and_hears_our_simulator() -> None:
    node = node_with("ads-client")
    async with served(121) as (server, device, host):
        found = await _run(node, "-e", CLIENT, host, f"{host}.1.1", NODE_PATH=NODE_MODULES)
        held = server.values(device.path)
    assert found["values"] == {
        "GVL0.bRun": True,
        "GVL0.i16": -12345,
        "GVL0.u16": 54321,
        "GVL0.stMotor.fSpeed": 230.5,
        "GVL0.arr": [1, 2.5, -3],
        "GVL0.stAll": {"a": 1, "b": [1.5, 2.5], "c": {"on": True, "s": "x"}},
        "GVL0.stMotor": {"fSpeed": 230.5, "stInner": {"fCurrent": 3.141592653589793}},
        "GVL0.sName": "größer €",
        "GVL0.sWide": "größer ψ",
        "GVL0.cells[-1]": 7,
        "GVL0.tCycle": 1500,
    }
    assert found["enum"] == ["run", 2]
    assert found["symbols"] > 20
    assert found["type"] == ["fSpeed", "stInner"]
    assert found["written"] == held["i32"] == 815
    assert (held["f32"], held["f64"]) == (4.5, 2.25)
    assert found["heard"] == 77
