"""CLI sessions beside a runtime: `tests/scripts/runtime/*.txt`.

As `tests/test_scripts.py`, with a broker, a database, the roles and a Modbus server on loopback that counts. Beside
`$ nexus …` a session has `$ edit FILE OLD => NEW`, `$ kill PART`, `$ start PART`, `$ settle` (until every device gives values) and
`$ write FILE` with the lines after it. What differs from run to run (times, digests, ports, spans) is written as `[..]`; JSON is not
compared but validated against its published schema.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from tests.e2e.plant import Plant
from tests.sessions import REGENERATE, Step, agrees, parse, render

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "tests" / "scripts" / "runtime"
SCHEMAS = {
    "plan": "plan",
    "apply": "applied",
    "rollback --plan": "plan",
    "rollback": "applied",
    "confirm": "confirmed",
    "deployments show": "deployment",
    "deployments": "deployments",
    "diff": "diff",
    "drift": "drift",
    "lock break": "lock-broken",
    "lock": "lock",
    "audit": "audit",
    "purge start --dry-run": "purge-preview",
    "purge list": "purges",
    "purge": "purge",
    "keep list": "kept-series",
    "keep end": "keep-ended",
    "adopt series": "series-adoption",
    "rollout list": "rollouts",
    "rollout show": "rollout",
}
"""The published schema of a command's JSON: of the first entry whose words the command has."""
_FILE = re.compile(r"^-- (?P<name>\S+) --\n", re.MULTILINE)
_CHANGING = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\b\d{4}-\d\d-\d\d\b|\b\d[\d,]*(?= samples?\b)"
    r"|\b\d\d:\d\d:\d\d(?:\.\d+)?\b"
    r"|\b(?:sha256:)?[0-9a-f]{12,64}\b"
    r"|\b[0-9A-HJKMNP-TV-Z]{26}\b"
    r"|(?<=127\.0\.0\.1:)\d+"
    r"|\b\d[\d,.]* ?(?:ms|µs|s|min|B|KB|MB|kB|KiB|MiB)\b(?! ->)"
)
"""What differs from run to run."""
_OF_THE_MOMENT = re.compile(r"^(?:Load of links|Measured|Not known):\n(?:  .*\n)*\n?", re.MULTILINE)
"""Blocks of a plan that depend on how long the runtime has been up: `tests/integration/test_plan_facts.py` has them."""
_COUNTS = re.compile(
    r" \([\d,]+ samples? since [^()]*\)|: [\d,]+ samples? since [^;\n]*; they go when their retention ends, or by `nexus purge`|: no samples[^;\n]*"
)
"""How many samples a series has at the moment."""
_WAVES = re.compile(r"^  rollout \d+: .*\n(?:  (?!= ).*\n)*", re.MULTILINE)
"""Progress of a rollout: which states are seen depends on when control is asked. `tests/integration/test_rollout_cli.py` has them."""

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]


class Session(Plant):
    """The runtime of one script, and its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, devices=0)

    def write_site(self, devices: int | None = None) -> None:
        """The script's own files are there already."""

    def run(self, step: Step) -> Step:
        """Carry out one step and give what was seen."""
        verb, _, rest = step.command.partition(" ")
        if verb == "nexus":
            return self._nexus(step.command)
        if verb == "edit":
            self._edit(rest)
        elif verb == "write":
            (self.folder / rest).write_text(step.expected + "\n", encoding="utf-8")
            return step
        elif verb == "kill":
            self.kill_part(rest)
        elif verb == "start":
            self.start_part(rest)
            if rest in self.roles:
                self.wait_ready(rest)
        elif verb == "settle":
            self._settle()
        else:
            raise AssertionError(f"a session has no {verb!r}")
        return Step(step.command, "", 0)

    def _nexus(self, command: str) -> Step:
        words = shlex.split(command)
        done = self.cli(*words[1:])
        said = (done.stdout + done.stderr).replace(f"{self.folder}/", "")
        if "json" in words and done.stdout.strip():
            name = next(schema for key, schema in SCHEMAS.items() if set(key.split()) <= set(words[1:]))
            schema = json.loads((REPOSITORY / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
            jsonschema.validate(json.loads(done.stdout), schema)
            said = f"valid against schemas/{name}.schema.json\n{done.stderr}"
        said = _WAVES.sub("", _COUNTS.sub("", _OF_THE_MOMENT.sub("", said)))
        lines = [_CHANGING.sub("[..]", line).rstrip() for line in said.splitlines()]
        return Step(command, "\n".join(lines).strip("\n"), done.returncode)

    def _edit(self, rest: str) -> None:
        name, _, change = rest.partition(" ")
        old, _, new = change.partition(" => ")
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def _settle(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = json.loads(self.nexus("status", "--format", "json"))
            links = [link for each in found.get("links", []) for link in [each]]
            if links and all(link.get("state") == "up" for link in links):
                return
            time.sleep(0.2)
        raise AssertionError(f"not every link is up: {self.cli('status').stdout}")


@pytest.fixture
def session(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Session, list[Step], str]]:
    """A runtime with the script's files, its steps, and the script's text before them."""
    script: Path = request.param
    text = script.read_text(encoding="utf-8")
    sections = list(_FILE.finditer(text))
    assert sections and sections[-1]["name"] == "session", "a script ends with `-- session --`"
    running = Session(tmp_path / "plant")
    try:
        for at, section in enumerate(sections[:-1]):
            body = text[section.end() : sections[at + 1].start()]
            target = running.folder / section["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(body.replace("PORT", str(running.device_port)), encoding="utf-8")
        running.start()
        yield running, parse(text[sections[-1].end() :]), text[: sections[-1].end()]
    finally:
        running.stop()


@pytest.mark.parametrize("session", sorted(SCRIPTS.glob("*.txt")), ids=lambda path: path.stem, indirect=True)
def test_session(session: tuple[Session, list[Step], str], request: pytest.FixtureRequest) -> None:
    running, steps, head = session
    seen = []
    for step in steps:
        actual = running.run(step)
        seen.append(actual)
        if not REGENERATE:
            assert agrees(step.expected, actual.expected), (
                f"$ {step.command}\nexpected:\n{step.expected}\n\nseen:\n{actual.expected}"
            )
            assert actual.code == step.code, f"$ {step.command}"
    if REGENERATE:
        script: Path = request.node.callspec.params["session"]
        script.write_text(head + render(seen), encoding="utf-8")
