"""The steps of the action, run as GitHub's runner does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parent.parent
ACTION = REPOSITORY / ".github" / "actions" / "nexus"


def as_github(
    folder: Path, *, environment: Mapping[str, str] | None = None, **inputs: str
) -> tuple[int, str, dict[str, str]]:
    """Run the action's steps as a runner does: defaults, inputs as variables, bash, an output file. Exit code, text, outputs.

    Args:
        folder: Where the job's checkout is.
        environment: Variables of the job.
        inputs: Of the step; `_` for `-`.
    """
    inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
    action = YAML(typ="safe").load((ACTION / "action.yml").read_text(encoding="utf-8"))
    values = {name: str(each.get("default", "")) for name, each in action["inputs"].items()} | inputs
    output = folder / "output.txt"
    output.write_text("")
    ours = {key for key in os.environ if key.startswith(("NEXUS_", "GITHUB_"))} - {"NEXUS_LOCKS"}
    said, code = "", 0
    for step in action["runs"]["steps"]:
        variables = {
            name: values[match[1]]
            for name, text in step["env"].items()
            if (match := re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", text))
        }
        assert len(variables) == len(step["env"])
        whole = {
            **{key: value for key, value in os.environ.items() if key not in ours},
            **variables,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "RUNNER_TEMP": str(folder),
            **(environment or {}),
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder,
            env=whole,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        said, code = said + done.stdout + done.stderr, done.returncode
        if code:
            break
    outputs = dict(re.findall(r"(\w+)<<(?:end-\w+)\n(.*?)\nend-\w+\n", output.read_text(), re.DOTALL))
    return code, said, outputs
