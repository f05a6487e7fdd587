"""Topics: built and read in one place.

Tag topics are `{enterprise}/{site}/{area}/{line}/{device}/{tag}`; platform topics are below
`_nexus/{enterprise}/{site}/`, which no user grant covers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PLATFORM = "_nexus"
SLUG = r"[a-z0-9][a-z0-9._-]*"
_SLUG = re.compile(SLUG + r"\Z")


def is_slug(text: str) -> bool:
    """True when the text may be one level of a path."""
    return _SLUG.match(text) is not None


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one site.

    Attributes:
        enterprise: First level.
        site: Second level.
    """

    enterprise: str
    site: str

    @property
    def live(self) -> str:
        """Prefix of the tag topics, without a trailing slash."""
        return f"{self.enterprise}/{self.site}"

    @property
    def platform(self) -> str:
        """Prefix of the platform topics, without a trailing slash."""
        return f"{PLATFORM}/{self.enterprise}/{self.site}"

    def tag(self, path: str) -> str:
        """The live topic of `area/line/device/tag`."""
        return f"{self.live}/{path}"

    def path(self, topic: str) -> str | None:
        """The path of a live topic, or None when the topic is not below this site."""
        prefix = self.live + "/"
        return topic[len(prefix) :] if topic.startswith(prefix) else None

    def data(self, gateway: str, device: str) -> str:
        """Where a gateway publishes the frames of a device (`area/line/device`)."""
        return f"{self.platform}/data/{gateway}/{device}"

    def batches(self, gateway: str) -> str:
        """Where a gateway publishes frame batches: frames of all its devices."""
        return f"{self.platform}/data/{gateway}"

    def gap(self, gateway: str) -> str:
        """Where a gateway reports samples that are known to be missing."""
        return f"{self.platform}/gap/{gateway}"

    def committed(self, gateway: str) -> str:
        """Where the historian announces what is stored (retained)."""
        return f"{self.platform}/committed/{gateway}"

    def config(self, gateway: str) -> str:
        """Where control says that a deployment is waiting (retained)."""
        return f"{self.platform}/config/{gateway}"

    def observed(self, gateway: str) -> str:
        """Where a gateway says what it runs (retained)."""
        return f"{self.platform}/observed/{gateway}"

    def health(self, role: str, name: str) -> str:
        """Health of one process (retained, with a last will)."""
        return f"{self.platform}/health/{role}/{name}"

    def alert(self, name: str) -> str:
        """State of one alert (retained)."""
        return f"{self.platform}/alert/{name}"

    def command(self, path: str, principal: str) -> str:
        """Where a principal asks for a write to `area/line/device/tag`."""
        return f"{self.platform}/cmd/{path}/{principal}"

    def response(self, gateway: str, principal: str, command_id: str) -> str:
        """Where a gateway answers a command. The broker binds the gateway's level, so no user can answer for another gateway."""
        return f"{self.platform}/response/{gateway}/{principal}/{command_id}"

    def canary(self, principal: str) -> str:
        """Where a role proves at start that the broker lets it publish and subscribe."""
        return f"{self.platform}/canary/{principal}"

    def audit(self, gateway: str) -> str:
        """Where a gateway reports how commands ended, for the record."""
        return f"{self.platform}/audit/{gateway}"

    def browse(self, gateway: str, principal: str) -> str:
        """Where a principal asks a gateway to browse one of its links."""
        return f"{self.platform}/browse/{gateway}/{principal}"

    def split_command(self, topic: str) -> tuple[str, str] | None:
        """Path `area/line/device/tag` and principal of a command's topic, or None when it is not one."""
        prefix = f"{self.platform}/cmd/"
        if not topic.startswith(prefix):
            return None
        path, slash, principal = topic[len(prefix) :].rpartition("/")
        return (path, principal) if slash and principal and path.count("/") == 3 else None

    def split_response(self, topic: str, principal: str) -> tuple[str, str] | None:
        """Gateway and command id of an answer to a principal, or None when it is not one."""
        prefix = f"{self.platform}/response/"
        if not topic.startswith(prefix):
            return None
        levels = topic[len(prefix) :].split("/")
        return (levels[0], levels[2]) if len(levels) == 3 and levels[1] == principal and all(levels) else None

    def split_data(self, topic: str) -> tuple[str, str] | None:
        """Gateway and device path of a frame's topic, or None when it is not one."""
        prefix = f"{self.platform}/data/"
        if not topic.startswith(prefix):
            return None
        gateway, slash, device = topic[len(prefix) :].partition("/")
        return (gateway, device) if slash and gateway and device else None


def matches(filter_: str, topic: str) -> bool:
    """True when an MQTT filter (`+`, `#`) covers a topic, by MQTT 3.1.1 §4.7 (`#` and `+` first never cover `$…`)."""
    if topic.startswith("$") and filter_[:1] in ("+", "#"):
        return False
    wanted, have = filter_.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return position == len(wanted) - 1
        if position >= len(have) or (level != "+" and level != have[position]):
            return False
    return len(wanted) == len(have)


def meet(one: str, other: str) -> bool:
    """True when a topic exists that two filters both cover."""
    left, right = one.split("/"), other.split("/")
    if (one[:1] == "$" or other[:1] == "$") and left[0] != right[0]:
        return False
    for have, want in zip(left, right, strict=False):
        if "#" in (have, want):
            return True
        if have != want and "+" not in (have, want):
            return False
    longer = max(left, right, key=len)
    return len(left) == len(right) or longer[min(len(left), len(right))] == "#"


def glob_to_filter(glob: str) -> str:
    """A path glob (`*` one level, `**` the rest) as an MQTT filter."""
    levels = ["#" if level == "**" else "+" if level == "*" else level for level in glob.split("/")]
    return "/".join(levels)
