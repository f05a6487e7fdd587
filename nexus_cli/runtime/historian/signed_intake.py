"""Signed messages of external devices: checked when they arrive, since they may wait for the database longer than their window.

See docs/decisions/0097.
"""

from __future__ import annotations

from collections.abc import Callable

from nexus_cli.runtime.historian.dead_letters import DeadLetters
from nexus_cli.runtime.signed_values import Refused, SignedValues
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics


class SignedIntake:
    """Opens signed messages, and keeps why others were refused until a batch takes their letters.

    Attributes:
        values: The rules; `active` says whether any message has to pass here.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        wall_us: Callable[[], int],
        place: Callable[[str], str],
        undeclared: Callable[[str], None],
    ) -> None:
        """Join the parts.

        Args:
            topics: Of the site.
            wall_us: The machine's clock.
            place: The path under which messages of a declared path are refused, one of a bounded number; "" of a path
                that is not declared.
            undeclared: Counts a topic that is not declared.
        """
        self._topics, self._place, self._undeclared = topics, place, undeclared
        self.values = SignedValues(wall_us=wall_us)
        self._letters = DeadLetters()

    def open(self, message: Message) -> Message | None:
        """The message as it was before it was signed; None when it is refused, not declared, or old news."""
        path = self._topics.path(message.topic) or ""
        place = self._place(path)
        if not place:
            self._undeclared(message.topic)
            return None
        found = self.values.admit(message, path)
        if isinstance(found, Message):
            return found
        self._refuse(found, message, place)
        return None

    def _refuse(self, why: Refused, message: Message, place: str) -> None:
        if why.reason:
            self._letters.add(self._topics.tag(place), why.reason, detail=why.detail, payload=message.payload)

    @property
    def waiting(self) -> bool:
        """True while it keeps letters."""
        return len(self._letters) > 0

    def hand_over(self, letters: DeadLetters | None) -> None:
        """Move the letters into a batch; None drops them, where another historian has the same."""
        if letters is not None:
            letters.merge(self._letters)
        self._letters.clear()
