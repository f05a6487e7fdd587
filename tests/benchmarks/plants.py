"""Sites of the size of the 1,000-device plant for benchmarks: written out in full, and applied with patience."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_cli.exit_codes import Exit
from tests.e2e.runtime import Runtime

APPLY_S = 600.0

TAG = (
    '              tag-{t:03d}: {{address: "holding:{a}", type: float32, order: ABCD, unit: V, '
    "range: [0, 500], deadband: 0.5, poll: 1s, description: measured value {t} of device {d}}}\n"
)


HEAD = "nexus: 1\nenterprise: acme\nsite: big\nretention: {process: {keep: 400d}}\ndefaults: {retention: process}\n"
PER_LINE, PER_AREA = 25, 250


def write_split_site(folder: Path, *, devices: int = 1000, tags: int = 41) -> Path:
    """The same site with a file for each line, 40 of them; gives the path of the site file."""
    (folder / "lines").mkdir()
    path = folder / "site.yaml"
    path.write_text(HEAD + "include: [lines/*.yaml]\n", encoding="utf-8")
    for first in range(0, devices, PER_LINE):
        head = f"areas:\n  area-{first // PER_AREA}:\n    lines:\n      line-{first // PER_LINE}:\n        devices:\n"
        text = head + "".join(_device(d, tags) for d in range(first, min(first + PER_LINE, devices)))
        (folder / f"lines/line-{first // PER_LINE:02d}.yaml").write_text(text, encoding="utf-8")
    return path


def change_a_device(file: Path, device: int, deadband: str) -> None:
    """Give the tag 7 of a device another deadband."""
    text = file.read_text(encoding="utf-8")
    end = text.index(f", poll: 1s, description: measured value 7 of device {device}}}")
    begin = text.rindex("deadband: ", 0, end)
    file.write_text(f"{text[:begin]}deadband: {deadband}{text[end:]}", encoding="utf-8")


def _device(d: int, tags: int) -> str:
    return "".join(
        [
            f"          device-{d:04d}:\n            protocol: modbus\n"
            f"            connection: {{host: 127.{1 + d // 60000}.{d // 250 % 250}.{d % 250 + 1}, unit_id: {d % 200 + 1}}}\n"
            "            tags:\n",
            *(TAG.format(t=t, a=t * 2, d=d) for t in range(tags)),
        ]
    )


def write_flat_site(folder: Path, *, devices: int = 1000, tags: int = 41) -> Path:
    """One YAML file with every tag written out (41,000 tags are about 6.4 MB); gives its path."""
    parts = [HEAD, "areas:\n"]
    for d in range(devices):
        if d % PER_AREA == 0:
            parts.append(f"  area-{d // PER_AREA}:\n    lines:\n")
        if d % PER_LINE == 0:
            parts.append(f"      line-{d // PER_LINE}:\n        devices:\n")
        parts.append(_device(d, tags))
    path = folder / "site.yaml"
    path.write_text("".join(parts), encoding="utf-8")
    return path


class Recorder(Runtime):
    """Broker, database and control: enough to record a site; nobody runs it.

    No gateway answers, so that every deployment ends partly (`Exit.PARTLY`): it is recorded all the same.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, site="acme/big", gateways=())
        self.roles = ("control",)


@contextmanager
def recorder() -> Iterator[tuple[Recorder, Path]]:
    """A started runtime in a folder of its own, with the site of `write_flat_site` not applied yet; and that file."""
    with tempfile.TemporaryDirectory() as folder:
        site = write_flat_site(Path(folder))
        runtime = Recorder(Path(folder))
        try:
            runtime.start()
            yield runtime, site
        finally:
            runtime.stop()


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
