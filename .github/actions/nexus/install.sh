#!/usr/bin/env bash
# Installs NEXUS into a virtual environment of its own, from wheels alone, and puts it on the PATH of the later steps.
set -euo pipefail
if [ -z "${NEXUS_CI_VERSION:-}" ]; then
    command -v nexus >/dev/null || { echo "::error title=NEXUS::set the input 'version', or install nexus in a step before"; exit 1; }
    exit 0
fi
venv="${RUNNER_TEMP:?}/nexus-venv"
"${NEXUS_CI_PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -- "$NEXUS_CI_VERSION"
echo "$venv/bin" >>"${GITHUB_PATH:?}"
