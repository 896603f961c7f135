#!/usr/bin/env bash
# Tell where the counts are kept, and a key of all versions that they may depend on.
#
# A key that names too much costs one simulation; one that names too little costs nothing either,
# for powerML looks counts up by their own keys.
set -euo pipefail

folder="${RUNNER_TEMP:-/tmp}/powerml-counts"
mkdir -p "$folder"
versions=$(
    uname -m
    valgrind --version
    python --version
    python -m pip freeze --disable-pip-version-check | LC_ALL=C sort
)
digest=$(printf '%s' "$versions" | sha256sum | cut -c 1-16)
{
    printf 'folder=%s\n' "$folder"
    printf 'key=powerml-counts-%s\n' "$digest"
} >>"$GITHUB_OUTPUT"
