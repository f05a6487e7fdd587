#!/usr/bin/env bash
# One command of NEXUS as a step of a workflow. What came from outside is only ever an argument, never text of this script.
set -euo pipefail
site="$NEXUS_CI_SITE" folder="$NEXUS_CI_FOLDER" report="" code=0
mkdir -p "$folder"
rm -f "$folder/nexus.plan"
where=("$site")
[ -z "${NEXUS_CI_ENV:-}" ] || where+=(--env "$NEXUS_CI_ENV")
allowed=()
while IFS= read -r line; do [ -z "$line" ] || allowed+=(--allow "$line"); done <<<"${NEXUS_CI_ALLOW:-}"

# A value of several lines can't end early and define another output: its delimiter is random.
output() {
    local mark
    mark="end-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    printf '%s<<%s\n%s\n%s\n' "$1" "$mark" "$2" "$mark" >>"${GITHUB_OUTPUT:?}"
}

field() { # field FILE KEY: a value of the plan's JSON
    python3 -c 'import json, sys; found = json.load(open(sys.argv[1])).get(sys.argv[2]); print("" if found is None else json.dumps(found) if not isinstance(found, str) else found)' "$1" "$2"
}

# The comment of the pull request, one for each site and overlay; where it may not be written, the job's summary has the text.
comment() { # comment WORD FILE
    local key=()
    [ -z "${NEXUS_CI_ENV:-}" ] || key=(--key "$1 $site $NEXUS_CI_ENV")
    [ "${NEXUS_CI_COMMENT:-true}" = true ] || return 0
    [ "${GITHUB_EVENT_NAME:-}" = pull_request ] || return 0
    nexus comment "$2" "${key[@]}" || echo "::notice title=NEXUS::no comment could be written; its text is in the job's summary"
}

case "$NEXUS_CI_COMMAND" in
validate)
    report="$folder/validate.sarif"
    nexus validate "${where[@]}" --format sarif >"$report" || code=$?
    nexus validate "${where[@]}" --format github || true
    ;;
plan)
    report="$folder/plan.md"
    more=()
    [ "${NEXUS_CI_PROBE:-false}" != true ] || more+=(--probe)
    nexus plan "${where[@]}" "${allowed[@]}" "${more[@]}" --out "$folder/nexus.plan" --format json >"$folder/plan.json" || code=$?
    if [ -s "$folder/nexus.plan" ]; then
        nexus show "$folder/nexus.plan" --format markdown >"$report"
        GITHUB_STEP_SUMMARY="" nexus show "$folder/nexus.plan" --format github
        output effect "$(field "$folder/plan.json" effect)"
        changes=true
        [ "$(field "$folder/plan.json" resource_changes)" != "[]" ] || changes=false
        output changes "$changes"
        cat "$report" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
        comment plan "$report"
        if [ "${NEXUS_CI_FAIL_ON_HAZARD:-false}" = true ] && [ "$code" = 0 ] && [ "$(field "$folder/plan.json" applyable)" = false ] && [ "$changes" = true ]; then code=3; fi
    fi
    ;;
test)
    report="$folder/test.xml"
    nexus test "${where[@]}" --junit "$report" --format github || code=$?
    ;;
drift)
    report="$folder/drift.md"
    nexus drift "${where[@]}" --format markdown >"$report" || code=$?
    cat "$report" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
    [ ! -s "$report" ] || comment drift "$report"
    ;;
apply)
    report="$folder/apply.json"
    more=()
    [ -z "${NEXUS_CI_EFFECT:-}" ] || more+=(--effect "$NEXUS_CI_EFFECT")
    [ -z "${NEXUS_CI_CONFIRM_WITHIN:-}" ] || more+=(--confirm-within "$NEXUS_CI_CONFIRM_WITHIN")
    while IFS= read -r line; do [ -z "$line" ] || more+=(--approval "$line"); done <<<"${NEXUS_CI_APPROVALS:-}"
    nexus apply "${where[@]}" "${allowed[@]}" "${more[@]}" --yes --format json >"$report" || code=$?
    ;;
*)
    echo "::error title=NEXUS::the input 'command' is validate, plan, test, drift or apply"
    exit 1
    ;;
esac
output exit "$code"
output report "$report"
exit "$code"
