"""A test as it is declared: what the devices hold at which moment, and what is expected."""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_cli.diagnostics import Place
from nexus_cli.drivers.base import Fault
from nexus_cli.json_value import JsonObject
from nexus_cli.wire.sample import Value

KINDS = ("sample", "topic", "alarm", "right", "row", "finding")
"""What can be expected, in the order in which a report shows it."""
STATES = ("cleared", "active", "acknowledged", "returned")
"""The states of an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a device holds for a tag from a moment on.

    Attributes:
        path: `area/line/device/tag`.
        at_ms: Since when, ms since the begin of the test.
        raw: The value as the driver decodes it, before scale and unit.
        fault: Why it has no good value; None when it has one.
        text: As it is written, for people: `raw 212`, `registers 0x4248 0x0000`.
        place: In the file.
    """

    path: str
    at_ms: int
    raw: Value
    fault: Fault | None = None
    text: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One assertion.

    Attributes:
        kind: One of `KINDS`.
        subject: Path, topic, name of an alarm, user or code that it is about.
        wanted: What is compared, by key; of `row` the rows are in `rows`.
        at_ms: The moment that it is about, ms since the begin; None is the end of the test.
        absent: There must be none.
        place: In the file.
    """

    kind: str
    subject: str
    wanted: JsonObject = field(default_factory=dict)
    at_ms: int | None = None
    absent: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test.

    Attributes:
        name: Unique in its file.
        file: As shown to people.
        place: Of its name.
        given: In the order of the file.
        expected: In the order of the file; at least one.
        end_ms: How long it runs, ms.
    """

    name: str
    file: str
    place: Place | None
    given: tuple[Given, ...]
    expected: tuple[Expectation, ...]
    end_ms: int
    description: str = ""

    @property
    def id(self) -> str:
        """What `--only` selects by: `file name/test name`, the file without folder and ending."""
        stem = self.file.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        return f"{stem}/{self.name}"
