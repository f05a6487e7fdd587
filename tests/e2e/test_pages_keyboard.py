"""The plant by keyboard alone, and what a broker keeps for nobody: a tag is found and written, a sequence run, topics cleared."""

from __future__ import annotations

import json

import pytest

from tests.browser import Browser, needs_browser
from tests.e2e.commanded import PATH
from tests.e2e.paged import Paged, go, logged_in, press_button, quiet
from tests.e2e.test_pages_plant import page, plant, runtime, said

__all__ = ["page", "plant", "runtime"]

pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database, needs_browser]
GONE = ("acme/commanded/hall/line-1/gone/speed", "acme/commanded/hall/line-9/gone/speed")
FOCUSED = """
const at = document.activeElement;
return (at.textContent.trim() || at.name || at.getAttribute('aria-label') || '').slice(0, 60);
"""
MOST_TABS = 80


async def tab_to(page: Browser, wanted: str, *, back: bool = False) -> None:
    """Press Tab until what has the focus is called so."""
    seen = []
    for _ in range(MOST_TABS):
        await page.press("Shift+Tab" if back else "Tab")
        seen.append(await page.run(FOCUSED))
        if seen[-1] == wanted:
            return
    raise AssertionError(f"Tab does not reach {wanted!r}; it reached {seen}")


async def test_by_keyboard_alone_a_tag_is_written_and_a_sequence_run(plant: Paged, page: Browser) -> None:
    await page.resize(1280, 800)  # below it the views are behind a button
    await logged_in(page, plant, "otto", "namespace")
    await page.find(".tree .place")
    await page.press("/", "setpoint")
    await page.wait_text(".hit .hit-path", PATH)
    await page.press("Down", "Enter")
    await page.wait_text(".now-value", "°C")
    await tab_to(page, "Write…")
    await page.press("Enter")
    await page.wait_script("return document.activeElement.name === 'value'", "the field has the focus")
    await page.press("Control+a", "42.5", "Enter")
    await page.wait_text("dialog .change", "→ 42.5 °C")
    assert plant.drive.writes == [], "a check sends nothing"
    await tab_to(page, "Write now")
    await page.press("Enter")
    await page.wait_text("dialog .note", "Done.")
    assert plant.drive.writes == [(0, 425)]
    await page.press("Escape")
    await page.wait_script("return !document.querySelector('dialog')", "the dialog has closed")

    await tab_to(page, "Sequences", back=True)
    await page.press("Enter")
    await page.find("main.view-sequences .choose")
    await tab_to(page, "patient")
    await page.press("Enter")
    await page.wait_text(".brief", "wait 600 s")
    await tab_to(page, "Start")
    await page.press("Enter")
    await page.wait_text(".run-said", "step 2 of 3")
    await tab_to(page, "Abort")
    await page.press("Enter")
    await page.wait_text(".run-said", "abort branch: done")
    assert plant.drive.writes == [(0, 425), (2, 1), (2, 9)]
    await quiet(page)


async def test_retained_topics_of_nobody_are_cleared_after_a_preview(plant: Paged, page: Browser) -> None:
    for topic in GONE:
        await said(plant, topic, b'{"value": 1}', retain=True)
    await logged_in(page, plant, "erik", "namespace")
    await press_button(page, "Retained")
    listed = await page.wait_text("dialog table", GONE[1])
    assert GONE[0] in listed and PATH not in listed, "a declared tag is not among them"
    assert await page.text("dialog .twin-note code") == "nexus retained list"
    assert await page.count("dialog .danger:disabled") == 1, "nothing is chosen yet"
    await page.click(f'dialog input[data-topic="{GONE[0]}"]')
    await press_button(page, "Clear…")
    preview = await page.wait_text("dialog .list-box", "gone/speed")
    assert preview == GONE[0]
    assert await page.run("return [...document.querySelectorAll('dialog .twin-note code')].pop().textContent") == (
        f"nexus retained clear {GONE[0]}"
    )
    await press_button(page, "Cancel")
    await page.wait_script("return document.querySelectorAll('dialog').length === 1", "the preview has closed")
    assert set(GONE) <= _kept(plant), "a preview clears nothing"
    await press_button(page, "Clear…")
    await page.wait_text("dialog .list-box", "gone/speed")
    await press_button(page, "Clear them")
    await page.wait_text(".notices", "1 cleared.")
    await page.wait_script(
        f"return !document.querySelector('dialog input[data-topic=\"{GONE[0]}\"]')", "it is not listed any more"
    )
    assert _kept(plant) & set(GONE) == {GONE[1]}, "what was not chosen stays"
    await quiet(page)


async def test_who_may_not_clear_is_told_why(plant: Paged, page: Browser) -> None:
    await said(plant, GONE[1], b'{"value": 1}', retain=True)
    await logged_in(page, plant, "vera", "namespace")
    await press_button(page, "Retained")
    await page.wait_text("dialog table", GONE[1])
    assert "'apply'" in await page.wait_text("dialog .lacking", "No button")
    assert await page.count("dialog .danger") == 0
    await quiet(page)


def _kept(plant: Paged) -> set[str]:
    found = json.loads(plant.nexus("retained", "list", "--format", "json"))
    return {each["topic"] for each in found}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


async def test_a_deployment_shows_its_plan(plant: Paged, page: Browser) -> None:
    site = plant.folder / "site.yaml"
    site.write_text(site.read_text().replace("range: [10, 90], writable: true", "range: [5, 90], writable: true", 1))
    number = int(plant.apply("--reason", "less").rpartition("as deployment ")[2].split(":")[0])
    await logged_in(page, plant, "erik", f"deployments/{number}")
    shown = await page.wait_text(".plan-text", "to update")
    assert await page.text(".twin-text") == f"nexus show --deployment {number}"
    assert "range: [10.0,90.0] -> [5.0,90.0]" in shown and "~ device.hall/line-1/drive" in shown
    assert _lines(shown) == _lines(plant.nexus("show", "--deployment", str(number)))
    await page.run("document.querySelector('.plan-text').focus()")
    await go(page, "deployments/1")
    first = await page.wait_text(".plan-text", "to create")
    assert "against an empty runtime" in first
    assert _lines(first) == _lines(plant.nexus("show", "--deployment", "1"))
    await quiet(page)
