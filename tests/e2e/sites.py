"""The shipped sites, copied with free ports for a test."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.project.text import load

SITES = Path(__file__).parents[2] / "sites"


def copy_site(name: str, folder: Path, *, ports: Mapping[int, int]) -> Path:
    """Copy a shipped site into a folder, its ports replaced; gives its site file."""
    shutil.copytree(SITES / name, folder, dirs_exist_ok=True)
    for path in folder.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for old, new in ports.items():
            text = text.replace(f"port: {old}", f"port: {new}").replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        path.write_text(text, encoding="utf-8")
    return folder / "site.yaml"


def devices_of(site: Path) -> list[DeviceConfig]:
    """The devices of a site in normal form; the site must be valid."""
    outcome = load(site)
    assert outcome.ok, [finding.message for finding in outcome.findings]
    return [device_from_json(attributes) for _, attributes in outcome.unwrap().snapshot.of_kind("device")]
