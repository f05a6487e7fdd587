"""Routes of the page's files. They are open: what they hold is the same for everybody, and no value is in them."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response

from nexus_cli.runtime.api.compression import wants_gzip
from nexus_cli.runtime.api.decisions import Decision, open_route
from nexus_cli.runtime.web.page.assets import PREFIX, Asset, load_assets

DECISIONS: tuple[Decision, ...] = (
    open_route("GET", "/", base=""),
    open_route("GET", f"{PREFIX}/{{name:path}}", base=""),
    open_route("GET", "/favicon.ico", base=""),
)


def add_file_routes(app: FastAPI, *, site: str) -> None:
    """Add them."""
    assets = load_assets(site)
    icon = next(each for path, each in assets.items() if path.endswith("/icon.svg"))

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route(PREFIX + "/{name:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def file(request: Request) -> Response:
        return _sent(request, assets.get(request.url.path))

    @app.api_route("/favicon.ico", methods=["GET", "HEAD"], include_in_schema=False)
    async def favicon(request: Request) -> Response:
        return _sent(request, icon)

    assert_types(assets)


def assert_types(assets: Mapping[str, Asset]) -> None:
    """A page without its script is an installation that lost files: said at the start, not by an empty window."""
    if not any(path.endswith("/app.js") for path in assets):
        raise RuntimeError("the files of the page are missing from this installation")


def _sent(request: Request, asset: Asset | None) -> Response:
    if asset is None:
        return Response("This version of the page is no longer served; load it again.", 404, media_type="text/plain")
    packed = asset.packed is not None and wants_gzip(request.scope)
    etag = f'"{asset.etag}{"-gz" if packed else ""}"'
    headers = {"etag": etag, "cache-control": asset.cache, "vary": "accept-encoding"}
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(asset.packed if packed else asset.body, headers=headers, media_type=asset.type)


def _matches(asked: str, etag: str) -> bool:
    """RFC 9110 §13.1.2: weak comparison."""
    return asked.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in asked.split(","))
