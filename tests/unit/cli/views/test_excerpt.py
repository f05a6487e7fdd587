"""Excerpts show no secret, whatever its spelling, and keep their columns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.cli.views.excerpt import masked_line
from nexus_cli.cli.views.findings import document, text
from nexus_cli.project.text import read
from nexus_cli.source.nodes import SourceFile


def file_of(text: str) -> SourceFile:
    return SourceFile(number=0, name="site.yaml", path=Path("site.yaml"), text=text)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password: hunter2", "password: *******"),
        ("password: ${env:PW}", "password: ${env:PW}"),
        ('{user: u, password: "${file:/run/pw}", host: h}', '{user: u, password: "${file:/run/pw}", host: h}'),
        ("password: ${var:pw}  # declared", "password: ${var:pw}  # declared"),
        ('password: "pre-${env:UA_PW}-post"', 'password: "*********************"'),
        ("password: pre-${env:UA_PW}-post  # why", "password: *********************  # why"),
        ("password: two words # comment", "password: ********* # comment"),
        ("{password: 'it''s', user: u}", "{password: '*****', user: u}"),
        ("{password: never closed", "{password: ************"),
        ("ua-password: abc", "ua-password: ***"),
        ("UA_TOKEN : abc", "UA_TOKEN : ***"),
        ('"password":"abc"', '"password":"***"'),
        ("password: hunter,two # why", "password: ********** # why"),
        ("password: a{b}[c]#d", "password: *********"),
        ("{password: hunter, user: u}", "{password: ******, user: u}"),
        ("{password: [hunter, two], user: u}", "{password: ***********************"),
        ("pwd: abc", "pwd: ***"),
        ("{pw: abc, pass: def, passwort: ghi, psk: j}", "{pw: ***, pass: ***, passwort: ***, psk: *}"),
        ('host: "user:hunter2@10.0.0.5"', 'host: "user:*******@10.0.0.5"'),
        (
            "endpoint: opc.tcp://10.0.0.5/?user=u&password=hunter2&x=1",
            "endpoint: opc.tcp://10.0.0.5/?user=u&password=*******&x=1",
        ),
        ("token: {protocol: modbus}", "token: {protocol: modbus}"),
        ("password_file: /run/pw", "password_file: /run/pw"),
        ("private_key: own/key.pem", "private_key: own/key.pem"),
        ("password: |", "password: |"),
        ('endpoint: "opc.tcp://user:pa/ss@10.0.0.5:4840"', 'endpoint: "opc.tcp://user:*****@10.0.0.5:4840"'),
        ("endpoint: opc.tcp://user:${env:PW}@10.0.0.5:4840", "endpoint: opc.tcp://user:${env:PW}@10.0.0.5:4840"),
        ("speed: {address: holding:1}  # see a@b.c", "speed: {address: holding:1}  # see a@b.c"),
    ],
)
def test_a_line(line: str, shown: str) -> None:
    assert masked_line(file_of(line), 1) == shown
    assert len(shown) == len(line)


@pytest.mark.parametrize(
    "text",
    [
        "connection:\n  password: |\n    hunter2\n    more\n  user: u\n",
        "connection:\n  password:\n    hunter2\n  user: u\n",
        "connection:\n  ? password\n  : hunter2\n  user: u\n",
        "connection:\n  password: [\n    hunter2]\n  user: u\n",
        'connection:\n  password: "begins\n    hunter2"\n  user: u\n',
        "connection:\n  password: begins\n    hunter2\n  user: u\n",
    ],
)
def test_a_value_over_several_lines(text: str) -> None:
    lines = [masked_line(file_of(text), number) for number in range(1, text.count("\n") + 1)]
    assert not any("hunter2" in line for line in lines)
    assert lines[-1] == "  user: u"


@given(
    secret=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=4, max_size=12),
    sign=st.sampled_from(["", ",", "{", "]", "#", ":", "&", "!"]),
    before=st.sampled_from(["", "pre-", "${env:A}", "x ${file:/b} "]),
    after=st.sampled_from(["", "-post", "${env:A}", " ${var:c}"]),
    quote=st.sampled_from(["", "'", '"']),
    key=st.sampled_from(["password", "plc-password", "ua_token", "API_KEY", "passphrase", "secret"]),
    frame=st.sampled_from(["{}", "{{user: u, {}, host: h}}", "  {}  # why"]),
)
def test_no_part_of_a_secret_is_shown(
    secret: str, sign: str, before: str, after: str, quote: str, key: str, frame: str
) -> None:
    if sign in tuple(",{]") and not quote and frame.startswith("{{"):
        return  # there it ends the value
    line = frame.format(f"{key}: {quote}{before}x{sign}Q{secret}{after}{quote}")
    shown = masked_line(file_of(line), 1)
    assert f"Q{secret}" not in shown
    assert len(shown) == len(line)


SITE = """nexus: 1
enterprise: acme
site: p
vars: {line: "hunter2", other: 'hunter3'}
templates:
  plc:
    protocol: opcua
    parameters: {login: {type: string}}
    connection: {endpoint: "opc.tcp://h:4840", user: u, security: Basic256Sha256/SignAndEncrypt, password: "${param:login}"}
    tags: {x: {node: "ns=2;s=x", type: int16}}
areas:
  a:
    lines:
      l:
        devices:
          one: {template: plc, with: {login: hunter4}}
          two: {template: plc, with: {login: "pre-${env:X}-hunter5"}}
          three:
            template: plc
            with:
              login: "hunter6 \\
                hunter7"
          four:
            protocol: opcua
            connection: {endpoint: "opc.tcp://h:4840/?token=hunter8", user: u, password: "${var:line}", security: Basic256Sha256/SignAndEncrypt}
            tags: {x: {node: "ns=2;s=x", type: int16}}
"""


def test_a_secret_is_starred_out_wherever_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    reading = read(tmp_path / "site.yaml")
    answer = document(reading.findings, reading.files)
    assert [item["code"] for item in answer["diagnostics"]].count("NX3005") == 4
    everything = json.dumps(answer) + text(answer, style=lambda words, _name: words)
    # `other` is not known to be a secret; it is beside one.
    assert set(re.findall(r"hunter[0-9]", everything)) <= {"hunter3"}
