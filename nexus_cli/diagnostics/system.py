"""The operating system's own words for an error, without what libraries put around them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_AROUND = re.compile(r"Connect call failed|Multiple exceptions:|All connection attempts failed")
"""asyncio names the address as a tuple, and all of them where a name has several; anyio hides the reason behind it."""
_NUMBER = re.compile(r"\[Errno (\d+)\]")


def system_words(error: BaseException) -> str:
    """Why a system call failed, such as `connection refused` or `no route to host`; never empty."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not _AROUND.search(text):
        return text
    number = system_number(error)
    words = os.strerror(number) if number else "no connection"
    return words[:1].lower() + words[1:]


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
