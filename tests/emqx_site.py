"""A site whose rights are pushed to EMQX, in two versions; and a cluster that other tenants use."""

from __future__ import annotations

import copy
from pathlib import Path

import orjson

from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import load
from tests.emqx_server import Session, State, shared_state

PASSWORD = "planted-broker-password-"
SUFFIX = "@acme.chicago"
SITE = """
nexus: 1
enterprise: acme
site: chicago
areas:
  packaging:
    lines:
      line-1:
        devices:
          filler:
            protocol: modbus
            connection: {host: 10.0.0.5}
            tags:
              level: {address: "holding:0", type: float32, unit: mm}
              setpoint: {address: "holding:2", type: float32, unit: mm, range: [0, 90], writable: true}
          capper:
            protocol: modbus
            connection: {host: 10.0.0.6}
            tags:
              torque: {address: "holding:0", type: float32}
gateways:
  gw-1: {select: [FIRST]}
  gw-2: {select: []}
access:
  roles:
    watcher: {read: [packaging/**]}
    half: {read: [packaging/line-1/filler/**]}
    setter: {read: [packaging/**], write: [packaging/line-1/filler/setpoint]}
  users:
"""
OLD = (
    SITE.replace("FIRST", '"line:packaging/line-1"')
    + "    anna: {role: watcher}\n    ben: {role: setter}\n    carl: {role: watcher}\n"
)
NEW = (
    SITE.replace("FIRST", '"device:packaging/line-1/filler"')
    + "    anna: {role: half}\n    ben: {role: setter}\n    dora: {role: watcher}\n"
)
PRINCIPALS = (
    "nexus.control",
    "nexus.historian",
    "nexus.web",
    "nexus.worker",
    "nexus.cli",
    "nexus.gateway.gw-1",
    "nexus.gateway.gw-2",
)
PEOPLE = ("anna", "ben", "carl", "dora")
STRANGERS = (
    "anna@acme.chicago2",
    "ben@acme.chicag",
    "x@acmechicago",
    "@acme.chicago",
    "anna",
    "nexus.control@other.site",
)


def snapshot_of(text: str, folder: Path) -> Snapshot:
    """The snapshot of a site file."""
    folder.mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    loaded = load(folder)
    assert loaded.value is not None, [item.message for item in loaded.findings]
    return loaded.value.snapshot


def write_home(home: Path) -> Path:
    """A `.nexus` folder with broker passwords for every principal and person."""
    home.mkdir(mode=0o700, exist_ok=True)
    broker = {name: f"{PASSWORD}{name}" for name in (*PRINCIPALS, *PEOPLE)}
    (home / "credentials.json").write_bytes(orjson.dumps({"broker": broker, "api": {}, "database": {}}))
    return home


def tenants() -> State:
    """A cluster with other tenants on it, whose names nearly match."""
    state = shared_state()
    for number, name in enumerate(STRANGERS):
        state.users[name] = {"password_hash": f"{number:064x}", "salt": "00", "is_superuser": number == 0}
        state.rules[name] = [{"topic": f"t/{number}/#", "permission": "allow", "action": "all"}]
        state.sessions[f"other-{number}"] = Session(f"other-{number}", name)
    return state


def strangers_of(state: State) -> State:
    """What belongs to the others, for comparison."""
    others = copy.deepcopy(state)
    others.users = {name: each for name, each in state.users.items() if name in STRANGERS}
    others.rules = {name: each for name, each in state.rules.items() if name in STRANGERS}
    others.sessions = {name: each for name, each in state.sessions.items() if each.username in STRANGERS}
    return others
