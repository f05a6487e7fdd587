"""The operating system's own words for an error, without what libraries put around them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_CLOSED = ("ReadError", "WriteError", "CloseError", "RemoteProtocolError")
"""What the HTTP library calls a connection that ended in the middle."""
_AROUND = re.compile(r"Connect call failed|Multiple exceptions:|All connection attempts failed")
"""asyncio names the address as a tuple, and all of them where a name has several; anyio hides the reason behind it."""
_NUMBER = re.compile(r"\[Errno (\d+)\]")


def system_words(error: BaseException) -> str:
    """Why a system call failed, such as `connection refused` or `no route to host`; never empty."""
    text = getattr(error, "strerror", None) or str(error) or _without_words(error)
    if not _AROUND.search(text):
        return text
    number = system_number(error)
    words = os.strerror(number) if number else "no connection"
    return words[:1].lower() + words[1:]


def _without_words(error: BaseException) -> str:
    """Of an error that says nothing: the name of a Python class does not help at a machine."""
    if number := system_number(error):
        words = os.strerror(number)
        return words[:1].lower() + words[1:]
    name = type(error).__name__
    if isinstance(error, TimeoutError) or name.endswith("Timeout"):
        return "no answer in time"
    if isinstance(error, (ConnectionError, EOFError)) or name in _CLOSED:
        return "the connection was closed without an answer"
    return name


def system_number(error: BaseException) -> int:
    """The `errno` of an error or of what caused it, 0 when there is none."""
    return next((number for one in _chain(error) if (number := _number(one))), 0)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int:
    found = getattr(error, "errno", None)
    return found if isinstance(found, int) else next((int(text) for text in _NUMBER.findall(str(error))), 0)
