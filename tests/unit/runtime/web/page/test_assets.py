"""The files of the page, and the headers they are sent with."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from nexus_cli.runtime.web.page.assets import STATIC, load_assets
from nexus_cli.runtime.web.page.headers import POLICY, SecureHeaders
from nexus_cli.runtime.web.page.serving import add_file_routes

SOURCES = sorted(STATIC.rglob("*.js"))
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|sessionStorage|indexedDB"
    r"|document\.cookie|DOMParser|createContextualFragment|srcdoc|javascript:"
)
ELSEWHERE = re.compile(r"https?://(?!www\.w3\.org/)")


def client() -> httpx.AsyncClient:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_file_routes(app, site="acme/<b>")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=SecureHeaders(app)), base_url="http://web")


async def test_the_page_names_its_site_and_every_module() -> None:
    async with client() as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert '<meta name="nexus-site" content="acme/&lt;b&gt;">' in answer.text
    assert "{{" not in answer.text
    modules = re.findall(r'modulepreload" href="(/assets/[0-9a-f]{16}/[^"]+)"', answer.text)
    assert len(modules) == len(SOURCES) and all(each.endswith(".js") for each in modules)
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", answer.text), "nothing inline"


async def test_files_stay_with_the_browser_and_the_page_is_asked_for_again() -> None:
    async with client() as http:
        index = await http.get("/")
        address = re.search(r'"(/assets/[^"]+/app\.js)"', index.text)
        assert address is not None
        script = await http.get(address[1])
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert index.headers["cache-control"] == "no-cache"
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["content-encoding"] == "gzip" and script.headers["vary"] == "accept-encoding"
        plain = await http.get(address[1], headers={"accept-encoding": "gzip;q=0"})
        assert "content-encoding" not in plain.headers and plain.text == script.text
        assert plain.headers["etag"] != script.headers["etag"], "a strong ETag is of the bytes that are sent"
        for tag in (script.headers["etag"], f'W/"x", {script.headers["etag"]}', "*"):
            again = await http.get(address[1], headers={"if-none-match": tag})
            assert (again.status_code, again.content) == (304, b"")
        other = await http.get(address[1], headers={"if-none-match": '"other"'})
        assert other.status_code == 200
        head = await http.head(address[1])
        assert head.status_code == 200 and head.content == b""


async def test_every_answer_says_what_a_browser_may_do() -> None:
    async with client() as http:
        page, missing = await http.get("/"), await http.get("/assets/0000000000000000/app.js")
    assert page.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "frame-ancestors 'none'" in POLICY and POLICY.startswith("default-src 'none'")
    for each in (page, missing):
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in page.headers["permissions-policy"]
    assert missing.status_code == 404 and missing.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in missing.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/assets/../app.js", "/assets/%2e%2e/assets.py", "/assets/x/../../assets.py"])
async def test_no_other_file_is_served(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
    assert answer.status_code == 404


def test_another_content_is_another_address(tmp_path: Path) -> None:
    for each in STATIC.rglob("*"):
        if each.is_file():
            target = tmp_path / each.relative_to(STATIC)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(each.read_bytes())
    before, same = load_assets("a/b"), load_assets("a/b", folder=tmp_path)
    assert set(before) == set(same)
    (tmp_path / "lib" / "format.js").write_text("// other")
    assert not (set(before) & set(load_assets("a/b", folder=tmp_path))) - {"/"}


def test_packed_files_are_small() -> None:
    served = load_assets("a/b")
    assert sum(len(each.packed or each.body) for each in served.values()) < 200_000
    for path, each in served.items():
        assert each.packed is None or gzip.decompress(each.packed) == each.body, path


@pytest.mark.parametrize("source", SOURCES, ids=lambda each: each.relative_to(STATIC).as_posix())
def test_no_script_parses_markup_keeps_secrets_or_asks_elsewhere(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    code = re.sub(r"^\s*(//|\*|/\*).*$", "", text, flags=re.MULTILINE)
    if source.name == "kept_choices.js":  # two switches of a browser, and nothing that somebody told us
        assert re.findall(r"setItem\(([^)]*)\)", code) == ["KEYS[name], on ? 'on' : 'off'"]
        code = code.replace("localStorage", "")
    assert FORBIDDEN.findall(code) == []
    assert ELSEWHERE.findall(code) == []
    assert len(text.splitlines()) <= 400
