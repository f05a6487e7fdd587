"""Excerpts show no secret, whatever its spelling, and keep their columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.cli.views.excerpt import masked_line
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
