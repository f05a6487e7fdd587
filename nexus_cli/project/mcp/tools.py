"""How a tool is declared: the name, arguments and answer of a method, with a title and a description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

from nexus_cli.project.mcp.answers import READS

Method = TypeVar("Method", bound=Callable[..., Any])


class _Declared(NamedTuple):
    title: str
    description: str
    annotations: ToolAnnotations


def tool(title: str, description: str, *, annotations: ToolAnnotations = READS) -> Callable[[Method], Method]:
    """Declare a method as a tool of its name."""

    def declare(method: Method) -> Method:
        method.__declared__ = _Declared(title, description, annotations)  # type: ignore[attr-defined]
        return method

    return declare


def add_tools(server: MCPServer[Any], tools: object) -> None:
    """Add every method that is declared as a tool, in the order of the class."""
    for name, method in vars(type(tools)).items():
        declared: _Declared | None = getattr(method, "__declared__", None)
        if declared is not None:
            server.add_tool(
                getattr(tools, name),
                title=declared.title,
                description=declared.description,
                annotations=declared.annotations,
            )
