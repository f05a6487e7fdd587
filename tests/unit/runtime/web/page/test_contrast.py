"""Colours of the page: text is readable on every ground it is on, in light and dark (WCAG 2.2 §1.4.3 and §1.4.11, AA)."""

from __future__ import annotations

import re

import pytest

from nexus_cli.runtime.web.page.assets import STATIC

STYLE = (STATIC / "app.css").read_text(encoding="utf-8")
TEXTS = ("text", "quiet", "accent", "good", "warn", "bad")
GROUNDS = ("ground", "surface", "raised")
ON = (
    *((text, ground) for text in TEXTS for ground in GROUNDS),
    *(("text", ground) for ground in ("accent-ground", "warn-ground", "bad-ground", "flash")),
    ("quiet", "accent-ground"),
    ("quiet", "warn-ground"),
    ("quiet", "bad-ground"),
    ("accent", "accent-ground"),
    ("warn", "warn-ground"),
    ("bad", "bad-ground"),
    ("bad", "flash"),
    ("warn", "flash"),
    ("on-accent", "accent"),
)


def colours(*, dark: bool) -> dict[str, str]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found: dict[str, str] = {}
    for block in blocks[: 2 if dark else 1]:
        found |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_formula_is_the_one_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), ON)
def test_text_is_readable(text: str, ground: str, dark: bool) -> None:
    known = colours(dark=dark)
    assert contrast(known[text], known[ground]) >= 4.5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("sign", ["accent", "strong-line", "plot"])
@pytest.mark.parametrize("ground", GROUNDS)
def test_borders_of_controls_and_the_focus_are_seen(sign: str, ground: str, dark: bool) -> None:
    assert contrast(colours(dark=dark)[sign], colours(dark=dark)[ground]) >= 3.0
