"""Logs of the roles: one line per change of state, as text for people or JSON for machines, on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import orjson

from nexus_cli.diagnostics.printable import lines, one_line

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_QUIET = (
    "mqtt",
    "asyncio",
    "asyncua",
    "pymodbus",
    "httpx",
    "httpcore",
    "uvicorn",
    "aiosqlite",
    "sqlalchemy",
    "alembic",
    "amqtt",
    "asyncpg",
)

_VERBOSE = ("asyncua", "pymodbus", "asyncpg")
"""Their warnings log with a traceback what the role logs in a line of its own."""


def configure_logging(*, log_format: str = "text", log_level: str = "info", role: str = "") -> None:
    """Send everything to stderr in one form; libraries log only from warnings up.

    Args:
        log_format: `text` or `json`.
        log_level: `debug`, `info`, `warning` or `error`; anything else counts as `info`.
        role: Part of every line, e.g. `gateway gw-1`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(role) if log_format == "json" else _TextFormatter(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS.get(log_level, logging.INFO))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR if name in _VERBOSE else logging.WARNING)


def event(logger: logging.Logger, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log a change of state with its facts as fields; never a secret among them.

    Args:
        logger: Whose event it is.
        message: One sentence without the facts' values.
        level: A `logging` level.
        **fields: JSON values.
    """
    logger.log(level, message, extra={"fields": fields})


class _TextFormatter(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        facts = " ".join(f"{name}={_plain(value)}" for name, value in fields.items() if value != "")
        head = f"{_stamp(record.created)} {record.levelname.lower():7} {self._role}".rstrip()
        line = f"{head} {one_line(record.getMessage())}" + (f" {facts}" if facts else "")
        if record.exc_info:
            line += "\n" + lines(self.formatException(record.exc_info))
        return line


class _JsonFormatter(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:
            # Half a character of a device, or an integer beyond 64 bits: the slower encoder escapes the one and takes the other.
            return json.dumps(line, default=str)


def _plain(value: Any) -> str:
    text = one_line(str(value))
    return f'"{text}"' if " " in text or not text else text


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
