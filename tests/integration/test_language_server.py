"""The site schema where people meet it: `ajv` in strict mode, and an editor's YAML language server over LSP.

Needs the npm packages `ajv` and `yaml-language-server` (`make peers`, or below NEXUS_TEST_NODE_MODULES).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node_peers import NODE_MODULES, node_with

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas/site.schema.json"
SITES = sorted((ROOT / "sites").glob("*/site.yaml"))
STRICT = """
const Ajv = require(process.argv[1]);
const schema = JSON.parse(require('fs').readFileSync(process.argv[2]));
new Ajv({strict: true, strictTypes: true, strictTuples: true, strictRequired: true}).compile(schema);
"""


@pytest.mark.parametrize("schema", sorted((ROOT / "schemas").glob("*.schema.json")), ids=lambda path: path.name)
def test_schemas_compile_in_strict_mode(schema: Path) -> None:
    node, ajv = node_with("ajv"), Path(NODE_MODULES) / "ajv"
    version = json.loads((ajv / "package.json").read_text(encoding="utf-8"))["version"]
    if not version.startswith("8."):
        pytest.skip(f"needs ajv 8, not {version}")
    ended = subprocess.run(
        [node, "-e", STRICT, str(ajv.resolve()), str(schema)], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr


class Client:
    """As much of an LSP client as an editor needs for one open file."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._number = 0
        self.diagnostics: dict[str, list[dict[str, Any]]] = {}

    def notify(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        self._number += 1
        self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def open(self, name: str, text: str) -> list[dict[str, Any]]:
        """Open a document and wait for what the server finds in it."""
        uri = f"file:///{name}"
        self.diagnostics.pop(uri, None)
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        while uri not in self.diagnostics:
            self._receive()
        return self.diagnostics[uri]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while (line := self._process.stdout.readline().strip()) or not length:
            assert self._process.poll() is None, "the language server has ended"
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "id" in message and "method" in message:
            settings = {"schemas": {SCHEMA.as_uri(): "*"}, "validate": True, "hover": True, "completion": True}
            result = [
                settings if item.get("section") == "yaml" else {} for item in message["params"].get("items", ())
            ] if message["method"] == "workspace/configuration" else None  # fmt: skip
            self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        return message


@pytest.fixture(scope="module")
def editor() -> Iterator[Client]:
    node = node_with("yaml-language-server")
    server = Path(NODE_MODULES) / "yaml-language-server/bin/yaml-language-server"
    with subprocess.Popen(
        [node, str(server), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        client = Client(process)
        client.request(
            "initialize",
            {"processId": os.getpid(), "rootUri": None, "capabilities": {"workspace": {"configuration": True}}},
        )
        client.notify("initialized", {})
        yield client
        process.terminate()


def without_modeline(text: str) -> str:
    """The schema comes from the settings here; the line in the file is relative to where it lies."""
    return text.replace("# yaml-language-server:", "#", 1)


@pytest.mark.parametrize("site", SITES, ids=lambda path: path.parent.name)
def test_shipped_sites_have_no_red_line(editor: Client, site: Path) -> None:
    found = editor.open(f"{site.parent.name}.yaml", without_modeline(site.read_text(encoding="utf-8")))
    assert [item["message"] for item in found] == []


HEAD = "nexus: 1\nenterprise: acme\nsite: p\nareas: {a: {lines: {l: {devices: {d: {protocol: modbus, connection: {host: x}, tags: {v: "


def test_a_mistake_is_underlined_where_it_stands(editor: Client) -> None:
    found = editor.open("wrong.yaml", HEAD + "{address: 'input:0', type: uint16, pol: 1s}}}}}}}}\n")
    assert [item["range"]["start"] for item in found] == [{"line": 3, "character": len(HEAD.splitlines()[3]) + 35}]
    assert "pol" in found[0]["message"]


def test_null_where_it_removes_is_no_red_line(editor: Client) -> None:
    assert (
        editor.open("null.yaml", HEAD + "{address: 'input:0', type: uint16, unit: null, labels: {x: null}}}}}}}}}\n")
        == []
    )


def test_keys_are_completed_and_explained(editor: Client) -> None:
    text = (
        "nexus: 1\nenterprise: acme\nsite: p\nareas:\n  a:\n    lines:\n      l:\n        devices:\n          d:\n"
        "            protocol: modbus\n            connection:\n              host: x\n            tags:\n"
        "              v:\n                address: input:0\n                type: uint16\n                \n"
    )
    editor.open("complete.yaml", text)
    document = {"uri": "file:///complete.yaml"}
    offered = editor.request(
        "textDocument/completion", {"textDocument": document, "position": {"line": 16, "character": 16}}
    )
    labels = {item["label"] for item in (offered["items"] if isinstance(offered, dict) else offered)}
    assert {"unit", "scale", "range", "poll", "deadband", "writable", "order"} <= labels
    hover = editor.request("textDocument/hover", {"textDocument": document, "position": {"line": 9, "character": 14}})
    assert "modbus, opcua, s7, ads or external" in json.dumps(hover)
