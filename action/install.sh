#!/usr/bin/env bash
# Install Valgrind, and powerML with the versions that this commit pins.
#
# POWERML_REQUIREMENT  what pip installs; empty for this commit
# POWERML_EXTRAS       extras, separated by commas; may be empty
# POWERML_INDEX        one more package index; may be empty
# POWERML_BOARDS       true for the emulator of Arm boards
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

packages=()
command -v valgrind >/dev/null && [ -f /usr/include/valgrind/pub_tool_basics.h ] || packages+=(valgrind)
command -v cc >/dev/null || packages+=(gcc libc6-dev)
if [ "${POWERML_BOARDS:-false}" = true ] && ! command -v qemu-aarch64 >/dev/null; then
    packages+=(qemu-user)
fi
if [ "${#packages[@]}" -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${packages[@]}"
fi

options=(--quiet --disable-pip-version-check)
[ -z "${POWERML_INDEX:-}" ] || options+=(--extra-index-url "$POWERML_INDEX")
requirement=${POWERML_REQUIREMENT:-}
if [ -z "$requirement" ]; then
    options+=(--constraint "$here/constraints.txt")
    requirement=$here
fi
[ -z "${POWERML_EXTRAS:-}" ] || requirement="${requirement}[${POWERML_EXTRAS}]"
python -m pip install "${options[@]}" "$requirement"
