"""Codes of what is adopted into a site (NX4310 to NX4319)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX4310",
        slug="not-broker-rights",
        exit=Exit.FINDINGS,
        summary="The file holds no rights of a broker that can be read.",
        why="A file that is read wrongly would give rights that no user had.",
        bad=console("nexus adopt access mosquitto.conf --into site.yaml"),
        good=console("nexus adopt access /etc/mosquitto/acl --into site.yaml"),
    ),
    Code(
        id="NX4311",
        slug="adopt-without-site",
        exit=Exit.FINDINGS,
        summary="What is adopted needs a site file without errors.",
        why="Rights and topics are compared with what the site declares, and what a gateway publishes is published by no one else.",
        bad=console("nexus adopt access acl --into missing.yaml"),
        good=console("nexus validate site.yaml"),
    ),
    Code(
        id="NX4312",
        slug="adopted-wider",
        exit=Exit.FINDINGS,
        summary="What is adopted would allow more than the broker did; nothing was written.",
        why="The rights of the site were asked beside the rules of the broker, grant by grant.",
        bad=text("a user of the site has the same name and more rights"),
        good=text("give the user of the site another name, or take its other roles away"),
    ),
)
