"""Sites of the size of the 1,000-device plant for benchmarks: written out in full, and applied with patience."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nexus_cli.exit_codes import Exit
from tests.e2e.runtime import Runtime

APPLY_S = 600.0

TAG = (
    '              tag-{t:03d}: {{address: "holding:{a}", type: float32, order: ABCD, unit: V, '
    "range: [0, 500], deadband: 0.5, poll: 1s, description: measured value {t} of device {d}}}\n"
)


def write_flat_site(folder: Path, *, devices: int = 1000, tags: int = 41) -> Path:
    """One YAML file with every tag written out (41,000 tags are about 6.4 MB); gives its path."""
    parts = [
        "nexus: 1\nenterprise: acme\nsite: big\nretention: {process: {keep: 400d}}\ndefaults: {retention: process}\nareas:\n"
    ]
    per_line, per_area = 25, 250
    for d in range(devices):
        if d % per_area == 0:
            parts.append(f"  area-{d // per_area}:\n    lines:\n")
        if d % per_line == 0:
            parts.append(f"      line-{d // per_line}:\n        devices:\n")
        parts.append(
            f"          device-{d:04d}:\n            protocol: modbus\n"
            f"            connection: {{host: 127.{1 + d // 60000}.{d // 250 % 250}.{d % 250 + 1}, unit_id: {d % 200 + 1}}}\n"
            "            tags:\n"
        )
        parts.extend(TAG.format(t=t, a=t * 2, d=d) for t in range(tags))
    path = folder / "site.yaml"
    path.write_text("".join(parts), encoding="utf-8")
    return path


def apply_site(runtime: Runtime) -> None:
    """Apply the runtime's `site.yaml`; on a busy machine a device of a thousand may not have answered yet."""
    done = subprocess.run(
        [sys.executable, "-m", "nexus_cli", "apply", "site.yaml", "--yes"],
        cwd=runtime.folder,
        env=runtime.environment("cli"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=APPLY_S,
    )
    if done.returncode not in (Exit.OK, Exit.PARTLY):
        raise RuntimeError(f"apply ended with {done.returncode}: {done.stderr[-2000:]}")
