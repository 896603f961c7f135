#!/bin/sh
# Install what pip cannot, where it is absent: Valgrind with its headers and libraries, gcc, and
# Debian's parts of Python that a virtual environment and a C extension need. Of the emulator of Arm
# boards, which is optional, a failure is told and ignored.
set -eu
python=$1

missing=""
command -v valgrind >/dev/null && [ -f /usr/include/valgrind/pub_tool_basics.h ] || missing="valgrind"
command -v cc >/dev/null && [ -f /usr/include/stdint.h ] || missing="$missing gcc libc6-dev"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
"$python" -c '
import pathlib, sysconfig
raise SystemExit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())
' || missing="$missing python3-dev"
optional=""
command -v qemu-aarch64 >/dev/null || optional="qemu-user"
[ -n "$missing$optional" ] || exit 0

if ! command -v apt-get >/dev/null; then
    [ -n "$missing" ] || exit 0
    echo "install these with your system's package manager, then run make again: $missing" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" -eq 0 ] || as_root="sudo"
apt_install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"
}
if [ -n "$missing" ]; then
    echo "installing $missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # one word for each package
    apt_install $missing
fi
if [ -n "$optional" ]; then
    echo "installing $optional"
    [ -z "$as_root" ] || as_root="sudo -n" # nobody is asked for a password for it
    { $as_root apt-get update -qq && apt_install --no-install-recommends "$optional"; } ||
        echo "$optional could not be installed: Arm boards need it, nothing else" >&2
fi
