"""docs/api.md names every route for reading."""

from __future__ import annotations

import re
from pathlib import Path

from nexus_cli.runtime.web.rest.rights import ROUTES

PAGE = Path(__file__).parents[5] / "docs" / "api.md"


def test_every_route_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = []
    for each in ROUTES:
        path = re.sub(r"\{\w+(:path)?\}", "…", each.path.rpartition("{site}")[2])
        pattern = re.escape(f"{each.method} {path}").replace("…", "[A-Z]+")
        if not re.search(rf"`{pattern}[?`]", text):
            missing.append((each.method, path))
    assert missing == []
