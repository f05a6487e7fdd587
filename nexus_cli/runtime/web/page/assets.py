"""The files of the page, read once, ready to be sent: packed, with a strong ETag, and under an address that names their content.

Everything but `index.html` lies below `/assets/DIGEST/`, so a browser keeps it for good and never mixes two versions.
"""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).with_name("static")
PREFIX = "/assets"
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
SMALLEST_PACKED = 512
"""Smaller files are sent as they are, in bytes."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
MODULES = ("app.js", "lib/", "pages/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file.

    Attributes:
        body: As it is.
        packed: With gzip; None where that gains nothing.
        etag: Strong, quoted; of the packed form `-gz` is put into it.
        type: Content type.
        cache: `Cache-Control`.
    """

    body: bytes
    packed: bytes | None
    etag: str
    type: str
    cache: str


def load_assets(site: str, *, folder: Path = STATIC) -> Mapping[str, Asset]:
    """Every file by the path under which it is served.

    Args:
        site: `enterprise/site`; the page learns it from `index.html`.
        folder: Where the files are.
    """
    files = {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in sorted(folder.rglob("*"))
        if each.suffix in TYPES
    }
    digest = hashlib.sha256()
    for name, body in files.items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    root = f"{PREFIX}/{digest.hexdigest()[:16]}"
    served = {
        f"{root}/{name}": _asset(name, body, cache=FOREVER) for name, body in files.items() if name != "index.html"
    }
    index = files["index.html"].decode().replace("{{site}}", html.escape(site)).replace("{{assets}}", root)
    modules = (
        f'<link rel="modulepreload" href="{root}/{name}">'
        for name in files
        if name.startswith(MODULES) and name.endswith(".js")
    )
    index = index.replace("{{modules}}", "\n".join(modules))
    return {**served, "/": _asset("index.html", index.encode(), cache=ASK_AGAIN)}


def _asset(name: str, body: bytes, *, cache: str) -> Asset:
    packed = gzip.compress(body, 9, mtime=0) if len(body) >= SMALLEST_PACKED else None
    return Asset(
        body=body,
        packed=packed,
        etag=hashlib.sha256(body).hexdigest()[:32],
        type=TYPES[Path(name).suffix],
        cache=cache,
    )
