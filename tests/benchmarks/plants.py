"""Sites of the size of the 1,000-device plant, written out in full, for benchmarks."""

from __future__ import annotations

from pathlib import Path

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
