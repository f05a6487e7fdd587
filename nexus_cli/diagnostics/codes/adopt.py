"""Codes of what is adopted into a site (NX4204 to NX4209, NX4310 to NX4319)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX4204",
        slug="broker-rights-unanswered",
        exit=Exit.OUTSIDE,
        hint="is the dynamic security plug-in loaded, and may this user publish to $CONTROL/dynamic-security/v1?",
        summary="A broker does not answer questions about its dynamic security.",
        why="Mosquitto drops a question of a user who may not ask, and one that no plug-in takes, without a word.",
        bad=console("nexus adopt access --from-broker mqtt://broker.plant --user reader --into site.yaml"),
        good=console("nexus adopt access --from-broker mqtt://broker.plant --user admin --into site.yaml"),
    ),
    Code(
        id="NX4205",
        slug="broker-rights-unreadable",
        exit=Exit.OUTSIDE,
        summary="The answer of a broker about its rights can't be read.",
        why="Half an answer would be half of the rules: a denial could be missing. So nothing is adopted.",
        bad=text("a version of the plug-in that answers in another form"),
        good=console("nexus adopt access /var/lib/mosquitto/dynamic-security.json --into site.yaml"),
    ),
    Code(
        id="NX4206",
        slug="broker-rights-changed",
        exit=Exit.OUTSIDE,
        hint="run it again when nobody changes them",
        summary="The rights of a broker were changed while they were read.",
        why="They are read twice, list by list. Of two states together somebody could get the rights of both.",
        bad=text("a script that adds clients all the time"),
        good=text("the same command a moment later"),
    ),
    Code(
        id="NX4207",
        slug="broker-rights-address",
        exit=Exit.FINDINGS,
        summary="The address is no broker whose rights can be asked for.",
        why="Mosquitto is asked over MQTT, EMQX over its REST API. Of other brokers their files are read.",
        bad=console("nexus adopt access --from-broker https://broker.plant --into site.yaml"),
        good=console("nexus adopt access --from-broker emqx --into site.yaml"),
    ),
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
