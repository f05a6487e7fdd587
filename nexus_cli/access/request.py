"""A question to a broker's rules, and the answer: the one form that the evaluator and every reader share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Wish = Literal["publish", "subscribe", "receive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client wants.

    Attributes:
        user: Its user name at the broker; "" for none (anonymous).
        wish: `publish` a message, `subscribe` to a filter, or `receive` a message of this topic.
        topic: A topic; for `subscribe` a filter, as the client sends it (`$share/group/` included).
        qos: 0 to 2: of the message, or the one that the subscription asks for.
        retain: True for a message to be retained.
        client_id: As the client gave it; "" when it does not matter.
    """

    user: str
    wish: Wish
    topic: str
    qos: int = 0
    retain: bool = False
    client_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer.

    Attributes:
        allowed: Yes or no.
        why: The line, grant or default that decides.
    """

    allowed: bool
    why: str


class Rules(Protocol):
    """Rules of one broker, read from its own file format; answers as that broker does."""

    def decide(self, request: Request) -> Verdict:
        """Answer a request."""
        ...
