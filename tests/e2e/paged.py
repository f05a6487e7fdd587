"""A whole runtime with web in front of one drive, people of several kinds, and a browser that one of them uses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.browser import Browser
from tests.e2e.commanded import SITE, Commanded
from tests.servers import free_port

DRIVE = "hall/line-1/drive"
PEOPLE = """
views:
  line: {priority: 1, filters: ["hall/line-1/**"], description: The line that everything waits for.}
  edge: {priority: 2, filters: ["spBv1.0/plant/+/edge"]}
  orders: {priority: 6, filters: ["erp/orders/+"]}
alerts:
  too-warm: {tag: hall/line-1/drive/setpoint, above: 80, severity: critical, description: The drive is too warm.}
  drive-hot:
    tag: hall/line-1/drive/setpoint
    above: 70
    priority: high
    group: drives
    description: The drive is hot.
    response: Open the damper.
    consequence: The motor is lost.
  drive-warm: {tag: hall/line-1/drive/setpoint, above: 60, priority: low, group: drives, description: The drive is warm.}
access:
  roles:
    operator:
      read: ["**"]
      write: ["**"]
      run: ["*"]
      acknowledge: ["*"]
      publish: ["*"]
      subscribe: ["*"]
    engineer: {read: ["**"], apply: ["**"]}
    admin: {read: ["**"], admin: true}
    viewer: {read: ["**"], alerts: ["*"]}
  users:
    otto: {role: operator}
    erik: {role: engineer}
    vera: {role: viewer}
    ada: {role: admin}
"""


MESSAGES = """
messages:
  edge: {topic: "spBv1.0/plant/{kind}/edge"}
  notes: {topic: "notes/{name}"}
"""


class Paged(Commanded):
    """The runtime of commands with the role web, and users with passwords.

    Attributes:
        passwords: By user.
    """

    more_principals = ("nexus.web",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.roles = (*self.roles, "web")
        self.ports["web"] = free_port()
        self.passwords: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.ports['web']}"

    def start(self) -> None:
        """Start every part, apply the site, and make passwords."""
        super().start()
        (self.folder / "site.yaml").write_text(
            SITE.format(port=self.drive.port).replace("\nmessages:\n", MESSAGES) + PEOPLE
        )
        self.apply("--allow", "acl-widen=**")
        made = json.loads(self.nexus("access", "rotate", "otto", "erik", "vera", "ada", "--format", "json"))
        self.passwords = {each["principal"]: each["password"] for each in made["passwords"]}
        self.wait_ready("web")


async def logged_in(page: Browser, runtime: Paged, user: str, view: str) -> None:
    """Open a view of the page as a user."""
    await page.open(f"{runtime.url}/#/{view}")
    await page.type("input[name=user]", user)
    await page.type("input[name=password]", runtime.passwords[user])
    await page.press("Enter")
    await page.wait_text(".who", user)


async def go(page: Browser, view: str) -> None:
    """Another view."""
    await page.run("location.hash = arguments[0]", f"#/{view}")


_BUTTON = """
const found = [...document.querySelectorAll('button:not([role=tab])')]
  .find((each) => each.textContent === arguments[0] && !each.disabled && each.offsetParent);
found?.click();
return Boolean(found);
"""


async def press_button(page: Browser, label: str) -> None:
    """Click the button with this label, once there is one that can be clicked."""
    await page.wait(lambda: page.run(_BUTTON, label), f"a button {label!r}")


_LINK = "const found = document.querySelector(arguments[0]); found?.click(); return Boolean(found);"


async def press_link(page: Browser, css: str) -> None:
    """Click the first link that a selector finds, once there is one: found and clicked at once, as lists are drawn again."""
    await page.wait(lambda: page.run(_LINK, css), f"a link {css}")


async def quiet(page: Browser, *, refused: Sequence[str] = ()) -> None:
    """Nothing stands in the console but the browser's own line about each request that was refused on purpose."""
    lines = await page.console()
    assert [each for each in lines if "Failed to load resource" not in each] == []
    assert len(lines) == len(refused) and all(path in line for path, line in zip(refused, lines, strict=True)), lines
