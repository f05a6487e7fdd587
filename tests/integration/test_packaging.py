"""The wheel: builds, carries migrations, schemas and sites, and works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release builds it, in an environment of its own."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and (
        "No matching distribution found for hatchling" in done.stderr or "Connection" in done.stderr
    ):
        pytest.skip("the build backend (hatchling) could not be fetched: no package index answers")
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone in a folder; the libraries come from this environment."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True)
    return target


def _nexus(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "NEXUS_HOME": str(folder / ".nexus")}
    return subprocess.run(
        [sys.executable, "-m", "nexus_cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_carries_what_it_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "nexus_cli/_migrations/env.py" in names
    assert any(name.startswith("nexus_cli/_migrations/versions/") and name.endswith(".py") for name in names)
    assert "nexus_cli/_schemas/site.schema.json" in names
    assert "nexus_cli/_sites/demo/site.yaml" in names
    page = ROOT / "nexus_cli/runtime/web/page/static"
    files = {each.relative_to(ROOT).as_posix() for each in page.rglob("*") if each.is_file()}
    assert "nexus_cli/runtime/web/page/static/app.js" in files
    assert not files - set(names), "every file of the page"
    assert not [name for name in names if name.startswith(("tests/", "docs/")) or "/.nexus/" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import nexus_cli; print(nexus_cli.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(installed))
    version = _nexus(installed, tmp_path, "--version")
    assert version.returncode == 0
    started = _nexus(installed, tmp_path, "init")
    assert started.returncode == 0, started.stderr
    checked = _nexus(installed, tmp_path, "validate")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_finds_its_migrations_and_the_demo(installed: Path, tmp_path: Path) -> None:
    code = (
        "from nexus_cli.database.revision import scripts_folder\n"
        "from nexus_cli.project.demo import demo_site\n"
        "assert (scripts_folder() / 'env.py').is_file()\n"
        "assert (demo_site() / 'site.yaml').is_file()\n"
        "print(scripts_folder(), demo_site())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(installed)) == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    environment = {**os.environ, "_NEXUS_COMPLETE": f"{shell}_source"}
    done = subprocess.run(
        [sys.executable, "-m", "nexus_cli"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "_NEXUS_COMPLETE" in done.stdout


def test_commands_complete_without_importing_them() -> None:
    environment = {**os.environ, "_NEXUS_COMPLETE": "bash_complete", "COMP_WORDS": "nexus st", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "nexus_cli"], env=environment, capture_output=True, text=True, check=False
    )
    assert "plain,status" in done.stdout.split()
