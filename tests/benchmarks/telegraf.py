"""Telegraf beside us: found, or built once from its Go module, and its configurations for what the benchmarks read.

Compiled with only the plug-ins that are needed; kept in the user's cache (or the folder that NEXUS_BENCH_CACHE names).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.fleet import Fleet, element, host_of
from tests.waiting import wait_until

VERSION = "1.37.2"
MODULE = "github.com/influxdata/telegraf"
PLUGINS = (
    "inputs.modbus",
    "inputs.mqtt_consumer",
    "inputs.opcua_listener",
    "inputs.s7comm",
    "outputs.mqtt",
    "outputs.postgresql",
    "parsers.json",
    "serializers.influx",
)
CACHE = "NEXUS_BENCH_CACHE"
BUILD_S = 3600.0
WHOLE, BY_FIELD = "non-batch", "field"
"""Layouts of its topics: a message for each metric (all values of a device), or one for each value."""


class NoTelegrafError(Exception):
    """There is none, and none can be built; says why."""


def telegraf_program() -> Path:
    """Its program: on the path, in the cache, or built now (minutes; once).

    Raises:
        NoTelegrafError: No Go, or the build failed.
    """
    found = shutil.which("telegraf")
    if found:
        return Path(found)
    kept = _cache_folder() / f"telegraf-{VERSION}"
    if not kept.exists():
        _build(kept)
    return kept


def _cache_folder() -> Path:
    named = os.environ.get(CACHE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nexus-bench"


def _build(target: Path) -> None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise NoTelegrafError(f"no telegraf and no Go to build {VERSION} with")
    print(f"   building Telegraf {VERSION} into {target.parent}: some minutes, once", flush=True)
    folder = target.parent / "go"
    folder.mkdir(parents=True, exist_ok=True)
    command = [go, "install", "-p", "1", "-trimpath", "-ldflags", f"-s -w -X {MODULE}/internal.Version={VERSION}"]
    command += ["-tags", ",".join(("custom", *PLUGINS)), f"{MODULE}/cmd/telegraf@v{VERSION}"]
    polite = [shutil.which("nice") or "env"]
    done = subprocess.run(
        polite + command,
        env={**os.environ, "GOTOOLCHAIN": "auto", "GOBIN": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
    )
    if done.returncode:
        raise NoTelegrafError(f"Telegraf {VERSION} could not be built: {done.stderr[-1000:]}")
    (folder / "telegraf").replace(target)


@contextmanager
def running(program: Path, config: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Telegraf with this configuration; it ends (and flushes) with the block. Its log is `telegraf.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    path, log_path = folder / "telegraf.conf", folder / "telegraf.log"
    path.write_text(config)
    with log_path.open("wb") as log:
        process = subprocess.Popen([program, "--config", path], stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: b"Config:" in log_path.read_bytes() or process.poll() is not None, "Telegraf started")
        if process.poll() is not None:
            raise RuntimeError("Telegraf ended: " + log_path.read_text(errors="replace")[-2000:])
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- configurations ------------------------------------------------------------------------------------------------


def agent(*, batch: int, flush: str) -> str:
    """The agent: reads every second, writes `batch` metrics at once, and what there is after `flush`."""
    return (
        f'[agent]\n  interval = "1s"\n  round_interval = true\n  metric_batch_size = {batch}\n'
        f'  metric_buffer_limit = 1000000\n  flush_interval = "{flush}"\n  omit_hostname = true\n'
    )


def to_mqtt(url: str, *, layout: str) -> str:
    """QoS 1 to a broker, on `telegraf/DEVICE` or, by field, `telegraf/DEVICE/VALUE`."""
    return (
        f'[[outputs.mqtt]]\n  servers = ["{url}"]\n  topic = \'telegraf/{{{{ .Tag "device" }}}}\'\n  qos = 1\n'
        f'  keep_alive = 30\n  layout = "{layout}"\n  data_format = "influx"\n'
    )


def reading(fleet: Fleet, *, port: int) -> str:
    """The inputs that read every device of a fleet."""
    write = {"modbus": _modbus, "s7": _s7, "opcua": _opcua}[fleet.protocol]
    return "".join(write(fleet, number, port) for number in range(fleet.devices))


def _modbus(fleet: Fleet, number: int, port: int) -> str:
    fields = ", ".join(f'{{ address={at * 2}, name="{element(at)}", type="FLOAT32" }}' for at in range(fleet.tags))
    return (
        f'[[inputs.modbus]]\n  name = "d{number}"\n  controller = "tcp://{host_of(fleet, number)}:{port}"\n'
        '  configuration_type = "request"\n  [[inputs.modbus.request]]\n    slave_id = 1\n    byte_order = "ABCD"\n'
        f'    register = "holding"\n    fields = [{fields}]\n    [inputs.modbus.request.tags]\n      device = "d{number}"\n'
    )


def _s7(fleet: Fleet, number: int, port: int) -> str:
    fields = ", ".join(f'{{ name="{element(at)}", address="DB1.R{at * 4}" }}' for at in range(fleet.tags))
    return (
        f'[[inputs.s7comm]]\n  server = "{host_of(fleet, number)}:{port}"\n  rack = 0\n  slot = 1\n'
        f'  [[inputs.s7comm.metric]]\n    fields = [{fields}]\n    [inputs.s7comm.metric.tags]\n      device = "d{number}"\n'
    )


def _opcua(fleet: Fleet, number: int, port: int) -> str:
    nodes = "".join(
        f'  [[inputs.opcua_listener.group.nodes]]\n    name = "value"\n    identifier = "{element(at)}"\n'
        f'    default_tags = {{ device = "d{number}/{element(at)}" }}\n'
        for at in range(fleet.tags)
    )
    return (
        f'[[inputs.opcua_listener]]\n  endpoint = "opc.tcp://{host_of(fleet, number)}:{port}"\n'
        f'  subscription_interval = "{fleet.publishing_ms}ms"\n  security_policy = "None"\n  security_mode = "None"\n'
        '  auth_method = "Anonymous"\n  [[inputs.opcua_listener.group]]\n'
        f'  namespace = "{fleet.namespace_index}"\n  identifier_type = "s"\n  sampling_interval = "{fleet.publishing_ms}ms"\n'
        + nodes
    )


def consuming(url: str, filters: Sequence[str], *, database: str) -> str:
    """From MQTT with custody (QoS 1, a session that lasts, acknowledged once it is written) into a table of PostgreSQL."""
    topics = ", ".join(f'"{one}"' for one in filters)
    return (
        f'[[inputs.mqtt_consumer]]\n  servers = ["{url}"]\n  topics = [{topics}]\n  qos = 1\n'
        '  persistent_session = true\n  client_id = "telegraf-bench"\n  max_undelivered_messages = 20000\n'
        '  name_override = "telegraf"\n  data_format = "json"\n  json_time_key = "timestamp"\n'
        f'  json_time_format = "unix_ms"\n[[outputs.postgresql]]\n  connection = "{database}"\n'
    )
