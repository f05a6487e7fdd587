"""What the pages in docs/ say is so: the site in the language page is valid, names of metrics and topics exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.model.expression_text import FUNCTIONS
from nexus_cli.project.text import load

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
_METRIC = re.compile(r"\bnexus_(?:gateway|link|links|historian|control)(?:_[a-z_]+)?\b")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_site_of_the_language_page_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", page("site-language.md"), re.DOTALL)
    assert block is not None
    (tmp_path / "site.yaml").write_text(block[1], encoding="utf-8")
    found = load(tmp_path)
    assert [item.code for item in found.findings] == []
    assert found.value is not None and len(found.value.model.devices) == 4


def test_every_function_of_expressions_is_named() -> None:
    assert all(name in page("site-language.md") for name in FUNCTIONS)


def test_every_key_of_a_connection_and_a_tag_is_named() -> None:
    from nexus_cli.drivers.registry import kinds
    from nexus_cli.model.site import Tag

    text = page("site-language.md")
    assert [key for key in Tag.model_fields if f"`{key}`" not in text] == []
    keys = {key for kind in kinds().values() for key in kind.connection.model_fields}
    assert sorted(key for key in keys if f"`{key}" not in text) == []


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_codes_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = catalogue()
    assert [code for code in re.findall(r"\bNX\d{4}\b", text) if code not in known] == []
    assert [link for link in _LINK.findall(text) if not (path.parent / link).exists()] == []
