"""The roles that are there unless a site writes its own of that name."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.model.access import Role

SHIPPED: Mapping[str, Role] = {
    "admin": Role(
        read=["**"],
        write=["**"],
        publish=["*"],
        subscribe=["*"],
        run=["*"],
        acknowledge=["*"],
        apply=["**"],
        admin=True,
        clearance="restricted",
        description="Everything, people and passwords too.",
    ),
    "engineer": Role(
        read=["**"],
        write=["**"],
        publish=["*"],
        subscribe=["*"],
        run=["*"],
        acknowledge=["*"],
        apply=["**"],
        clearance="confidential",
        description="Sees, writes and changes the plant.",
    ),
    "operator": Role(
        read=["**"],
        write=["**"],
        run=["*"],
        acknowledge=["*"],
        description="Sees the plant, writes what is writable, runs sequences, acknowledges alerts.",
    ),
    "viewer": Role(read=["**"], alerts=["*"], description="Sees the plant and its alerts."),
}
