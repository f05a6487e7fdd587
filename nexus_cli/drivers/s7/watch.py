"""Whether the CPU runs: a stopped one answers reads with the process image that it had, which looks alive.

Its state is asked for when a link opens and once a second while it is read. Not every device has it (LOGO! and S7-200
may keep silent, or close the connection, when they are asked), and that must cost nothing: the first question belongs to the
opening of a link, and who does not answer it is not asked again for a while.

Source: Siemens, "System Software for S7-300/400, System and Standard Functions", SZL 0x0424.

See docs/decisions/0037.
"""

from __future__ import annotations

from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.s7.userdata import RUNNING, STATES
from nexus_cli.wire.sample import Reason

EVERY_S = 1.0
"""Between two questions for the state."""
SILENT_FIRST_S = 600.0
"""How long a device is not asked that did not answer the question with which its link was opened."""
SILENT_LATER_S = 60.0
"""The same after a question among reads, which a device that had answered before did not survive."""


class Silence:
    """Who is not asked, by link; monotonic seconds come from the caller."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def asks(self, link: str, now_s: float) -> bool:
        """Whether a device may be asked."""
        return self._until_s.get(link, 0.0) <= now_s

    def keep(self, link: str, until_s: float) -> None:
        """It does not answer: leave it alone."""
        self._until_s[link] = until_s


class Watch:
    """What is known of one CPU's state.

    Attributes:
        code: Its state as SZL 0x0424 has it, 0 while it is not known.
        due_s: When to ask next, monotonic seconds; infinity when it has no such list.
    """

    def __init__(self) -> None:
        self.code = 0
        self.due_s = float("inf")

    def see(self, code: int, now_s: float) -> str:
        """Take note of a state (0: it reports none, and is not asked again).

        Returns:
            What changed, for people; "" when nothing did.
        """
        before, self.code = self.code, code
        self.due_s = now_s + EVERY_S if code else float("inf")
        if code == before or not (before or self.fault):
            return ""
        return f"the CPU is in {STATES.get(code, f'state {code}')}" if code else "the CPU no longer reports its state"

    @property
    def fault(self) -> Fault | None:
        """What values of a CPU that does not run are worth: the last ones that it had."""
        return Fault(Reason.SOURCE_UNCERTAIN, self.code, uncertain=True) if self.code and not self.runs else None

    @property
    def runs(self) -> bool:
        """Whether the program is being executed."""
        return self.code in RUNNING
