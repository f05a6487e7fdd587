"""What a file is that is no UTF-8 text: one finding that names it, and nothing else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nexus_cli.source.encoding import decode
from tests.sources import load_site

SITE = "nexus: 1\nenterprise: acme\nsite: chicago\n"
FOREIGN = {
    "UTF-16 text": SITE.encode("utf-16"),
    "UTF-16LE text": SITE.encode("utf-16-le"),
    "UTF-16BE text": SITE.encode("utf-16-be"),
    "UTF-32 text": SITE.encode("utf-32"),
    "a gzip file": gzip.compress(SITE.encode()),
    "a ZIP archive": b"PK\x03\x04" + bytes(40),
    "a program": b"\x7fELF\x02\x01\x01" + bytes(60),
    "binary data": bytes(range(256)) * 8,
    "binary data, ": bytes(3),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_one_finding_says_what_it_is(what: str, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_bytes(FOREIGN[what])
    outcome = load_site(site)
    assert outcome.value is None
    (found,) = outcome.findings
    assert found.code == "NX0002" and f"is {what}" in found.message and found.hint


def test_an_included_one_is_told_where_it_is_included(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE + "include: [table.yaml]\n", encoding="utf-8")
    (tmp_path / "table.yaml").write_bytes(FOREIGN["a ZIP archive"])
    (found,) = load_site(tmp_path / "site.yaml").findings
    assert found.place is not None and (found.place.line, found.place.column) == (4, 11)


@pytest.mark.parametrize("text", [SITE, "MZ: 1\n", "PK: 1\n", "", "a", "ä: °C\n", "名前: 温度\n"])
def test_text_is_text(text: str) -> None:
    assert decode(text.encode(), "x.yaml") == (text, [])


def test_a_few_odd_bytes_stay_text() -> None:
    text, findings = decode((SITE + "description: Abfüllung für Getränke bei 5 °C\n").encode("latin-1"), "x.yaml")
    assert text is not None and text.startswith(SITE)
    assert [each.message for each in findings] == ["the byte 0xfc is not UTF-8"]
