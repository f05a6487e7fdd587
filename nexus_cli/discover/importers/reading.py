"""The bytes of a file, and how parsers say that it is broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


class MalformedError(ValueError):
    """The file is not what it says it is.

    Attributes:
        code: A catalogue code.
        line: From 1, 0 when unknown.
        column: From 1, 0 when unknown.
        hint: What to do.
    """

    def __init__(self, message: str, *, code: str = "NX6702", line: int = 0, column: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class SourceBytes:
    """One file as it was read.

    Attributes:
        path: Where it lies; other files that it names are looked for beside it.
        data: All of its bytes.
    """

    path: Path
    data: bytes

    @property
    def name(self) -> str:
        """For findings and `Discovery.source`."""
        return self.path.name

    def text(self) -> str:
        """The text: by its byte-order mark, else UTF-8, else Windows-1252 (older engineering tools)."""
        for mark, encoding in _BOMS:
            if self.data.startswith(mark):
                return self.data.decode(encoding, "replace")
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return self.data.decode("cp1252", "replace")
