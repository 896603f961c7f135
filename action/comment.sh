#!/usr/bin/env bash
# Keep one comment of a pull request up to date. A token that may not write is a warning: the verdict
# stands without a comment, as for pull requests from forks.
#
# GH_TOKEN              token with the permission pull-requests: write
# POWERML_CONFIG        configuration, which tells several gates of a repository apart
# POWERML_FOLDER        folder with check.md
# POWERML_PULL_REQUEST  number of the pull request
set -euo pipefail

most_bytes=60000 # GitHub takes 65,536 characters
number=${POWERML_PULL_REQUEST:?}
case $number in
    *[!0-9]*) printf 'the number of a pull request is %q\n' "$number" >&2 && exit 2 ;;
esac

# Digits alone: the marker is a part of a jq program below.
mark="<!-- powerml-check $(printf '%s' "${POWERML_CONFIG:-.}" | cksum | cut -d ' ' -f 1) -->"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{
    printf '%s\n' "$mark"
    # Cut at a line, lest a character is cut in two.
    LC_ALL=C awk -v most="$most_bytes" '
        { size += length($0) + 1 }
        size > most { print "\n(cut: the summary of the workflow has all of it)"; exit }
        { print }
    ' "$POWERML_FOLDER/check.md"
} >"$body"

comments="repos/$GITHUB_REPOSITORY/issues/$number/comments"
warn() {
    printf '::warning title=powerml::%s\n' \
        "the comment could not be written: give the job the permission pull-requests: write"
    exit 0
}
found=$(gh api --paginate "$comments?per_page=100" \
    --jq ".[] | select(.body | startswith(\"$mark\")) | .id") || warn
known=${found%%$'\n'*}
if [ -n "$known" ]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" \
        --field "body=@$body" || warn
else
    gh api --silent --method POST "$comments" --field "body=@$body" || warn
fi
