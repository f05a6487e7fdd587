"""Workflows and the action: what `actionlint` and `zizmor` say of them, and what their pins are.

actionlint is a Go program that `make peers` installs; where it can't be had, its test says so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.action_runner import ACTION, REPOSITORY, as_github

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def actionlint() -> str:
    """The program, or a loud skip."""
    found = shutil.which(str(Path(__file__).parent / "peers" / "bin" / "actionlint")) or shutil.which("actionlint")
    if found is None:
        pytest.skip("no actionlint: `make peers` installs it (it needs Go)")
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def test_actionlint_has_nothing_to_say() -> None:
    done = run(actionlint(), "-no-color", *map(str, WORKFLOWS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_zizmor_has_nothing_to_say(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("zizmor")
    done = run(str(program), "--offline", "--no-progress", ".github")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr
    # The same check finds what it is there for.
    (tmp_path / "bad.yml").write_text(
        "on: pull_request\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - uses: actions/checkout@v4\n      - run: echo ${{ github.event.pull_request.title }}\n"
    )
    bad = run(str(program), "--offline", "--no-progress", str(tmp_path / "bad.yml"))
    assert bad.returncode != 0
    assert "template-injection" in bad.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_credentials_do_not_stay(path: Path) -> None:
    workflow = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert steps
    for step in steps:
        assert step["uses"].startswith("./") or PINNED.fullmatch(step["uses"]), step["uses"]
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_nothing_from_outside_becomes_text_of_a_script() -> None:
    action = YAML(typ="safe").load((ACTION / "action.yml").read_text(encoding="utf-8"))
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]
    given = {name for step in action["runs"]["steps"] for name in step["env"]}
    used = set(re.findall(r"NEXUS_CI_[A-Z_]+", (ACTION / "run.sh").read_text() + (ACTION / "install.sh").read_text()))
    assert used == given


@pytest.fixture
def site(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "sites" / "demo", tmp_path / "demo")
    return tmp_path


def test_validate_writes_sarif_and_says_its_exit_code(site: Path) -> None:
    code, said, outputs = as_github(site, command="validate", site="demo")
    assert (code, outputs) == (0, {"exit": "0", "report": ".nexus-ci/validate.sarif"}), said
    assert '"runs"' in (site / ".nexus-ci" / "validate.sarif").read_text()


def test_a_finding_fails_the_step_and_is_an_annotation(site: Path) -> None:
    path = site / "demo" / "site.yaml"
    path.write_text(path.read_text().replace("\nareas:", "\nareass: {}\nareas:", 1))
    code, said, outputs = as_github(site, command="validate", site="demo")
    assert (code, outputs["exit"]) == (1, "1")
    assert "::error" in said and "NX1001" in said


def test_an_input_is_never_a_command(site: Path) -> None:
    code, said, _ = as_github(site, command="validate", site='demo"; touch owned; echo "$(touch owned)')
    assert code == 1, said
    assert not (site / "owned").exists()
    code, said, _ = as_github(site, command="validate\ntouch owned", site="demo")
    assert code == 1 and "the input 'command' is" in said
    assert not (site / "owned").exists()


COMPONENT = REPOSITORY / "ci" / "gitlab" / "nexus.yml"


def test_each_line_of_a_job_is_text() -> None:
    """`pip install --only-binary :all: -- X` without quotes is a mapping, which GitLab refuses."""
    head, jobs = YAML(typ="safe").load_all(COMPONENT.read_text(encoding="utf-8"))
    assert all(each["description"] for each in head["spec"]["inputs"].values())
    for job in jobs.values():
        for line in [*job.get("before_script", []), *job.get("script", [])]:
            assert isinstance(line, str)
            assert "$[[" not in line, "an input would become text of a script"


@pytest.mark.slow
def test_gitlabs_jobs_run(site: Path) -> None:
    """With the shell executor of gitlab-ci-local, and this NEXUS instead of an installed one."""
    program = Path(__file__).parent / "peers" / "node_modules" / ".bin" / "gitlab-ci-local"
    if not program.exists() or shutil.which("rsync") is None:
        pytest.skip("no gitlab-ci-local or no rsync: `make peers` installs the first (it needs Node.js)")
    shutil.copy(COMPONENT, site / "nexus.yml")
    (site / ".gitlab-ci.yml").write_text(
        "include:\n  - local: nexus.yml\n    inputs: {site: demo}\n"
        f"default: {{}}\n.nexus:\n  before_script: ['mkdir -p .nexus-ci', 'export PATH=\"{Path(sys.executable).parent}:$PATH\"']\n"
    )
    git = ["git", "-C", str(site), "-c", "user.name=n", "-c", "user.email=n@acme.example"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["remote", "add", "origin", "https://gitlab.example/acme/plant.git"],
        ["add", "-A"],
        ["commit", "-q", "-m", "Site"],
    ):
        subprocess.run([*git, *command], check=True, capture_output=True)
    for job, report in (("nexus-validate", "validate.xml"), ("nexus-test", "test.xml")):
        done = subprocess.run(
            [str(program), "--force-shell-executor", job],
            cwd=site,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert list(site.rglob(report)), done.stdout
