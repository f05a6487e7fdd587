"""What the page's views share, in the browser that people use: countdowns, zones, folded lists, and asking again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import Browser, needs_browser
from tests.e2e.test_pages_payloads import address, page

__all__ = ["address", "page"]
pytestmark = [needs_browser]


async def run(page: Browser, module: str, script: str, *arguments: Any) -> Any:
    """A script's body with the names of a module as `lib`."""
    return await page.run(
        f"const given = [...arguments]; return import('/lib/{module}').then(async (lib) => {{ {script} }});", *arguments
    )


async def test_a_countdown_never_says_more_than_is_left(page: Browser) -> None:
    seconds = [0, -3, 0.9, 59.99, 60, 119.9, 120, 179.9, 180, 3599, 90000]
    found = await run(page, "format.js", "return given.map(lib.left)", *seconds)
    assert found == [
        "0 s left",
        "0 s left",
        "0 s left",
        "59 s left",
        "60 s left",
        "119 s left",
        "2 min left",
        "2 min left",
        "3 min left",
        "59 min left",
        "1500 min left",
    ]


@pytest.mark.parametrize(
    ("zone", "winter", "summer"),
    [
        ("Europe/Berlin", "UTC+01:00 Europe/Berlin", "UTC+02:00 Europe/Berlin"),
        ("America/St_Johns", "UTC\u221203:30 America/St_Johns", "UTC\u221202:30 America/St_Johns"),
        ("UTC", "UTC+00:00", "UTC+00:00"),
    ],
)
async def test_a_zone_is_that_of_the_moment(page: Browser, zone: str, winter: str, summer: str) -> None:
    await page.cdp("Emulation.setTimezoneOverride", timezoneId=zone)
    moments = [1_768_435_200_000_000, 1_784_073_600_000_000]  # 15 January and 15 July 2026
    assert await run(page, "format.js", "return given.map(lib.zone)", *moments) == [winter, summer]


LIST = """
const [shown, total, first] = given;
const made = lib.foldedList({ shown, total }, (each) => each, { first, more: 'elsewhere' });
document.body.replaceChildren(...made);
const say = () => made[0].children.length + ' ' + made[1].textContent;
const before = say();
made[1].querySelector('button')?.click();
return [before, say()];
"""


async def test_a_folded_list_shows_all_that_it_has_and_says_what_it_has_not(page: Browser, address: str) -> None:
    await page.open(f"{address}/lib/")  # a document of HTML
    names = [f"n{number}" for number in range(10)]
    assert await run(page, "folded_list.js", LIST, names, 10, 6) == ["6 Show 4 more", "10 "]
    assert await run(page, "folded_list.js", LIST, names, 1200, 6) == [
        "6 Show 4 more",
        "10 … and 1\u202f190 more: elsewhere",
    ]
    assert await run(page, "folded_list.js", LIST, names[:7], 7, 6) == ["7 ", "7 "], "one more is not worth a click"
    assert await run(page, "folded_list.js", LIST, [], 0, 6) == ["0 ", "0 "]


ASKED = """
const seen = [];
let asking;
await new Promise((resolve) => {
  asking = lib.askEvery({
    ask: async () => seen.length + 1,
    shown: (answer) => {
      seen.push(answer);
      if (answer === 1) asking.now();
      else resolve();
    },
    failed: (error) => error && seen.push(String(error)),
    everyMs: 3600000,
  });
});
asking.stop();
return seen;
"""


async def test_what_is_asked_again_while_it_is_shown_is_shown(page: Browser) -> None:
    assert await run(page, "asking.js", ASKED) == [1, 2]


async def test_gates_are_said_in_words(page: Browser) -> None:
    given = [{}, {"good": 0.995, "missed_polls": None, "alarms": 0}, {"missed_polls": 0.01, "alarms": 2}]
    assert await run(page, "rollout_view.js", "return given.map(lib.gatesText)", *given) == [
        "none",
        "at least 99.5% GOOD, no alarm",
        "at most 1% of the polls missed, at most 2 alarms",
    ]
