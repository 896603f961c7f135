"""apt is asked for what Python and the runtimes need, and its failures are told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from powerml.boards.debian import NEEDED, Apt, choose_python, parse_uris, ubuntu_sources
from powerml.errors import SetupError
from tests.boards.archives import Programs

PRINTED = """\
'http://deb.debian.org/debian/pool/main/g/glibc/libc6_2.36-9%2bdeb12u14_arm64.deb' \
libc6_2.36-9+deb12u14_arm64.deb 2324660 MD5Sum:96654eb25919c6f15deb9848c0f06601
'http://deb.debian.org/debian/pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14%2bdeb12u1_arm64.deb' \
libstdc++6_12.2.0-14+deb12u1_arm64.deb 556608 MD5Sum:99943b91f41a237fc306bf120d70b985
'http://deb.debian.org/debian-security/pool/main/o/openssl/libssl3_3.0.22-1_arm64.deb' \
libssl3_3.0.22-1_arm64.deb 1829128 
'http://deb.debian.org/debian/pool/main/m/media-types/media-types_10.0.0_all.deb' \
media-types_10.0.0_all.deb 26136 MD5Sum:90fd2adb74d07dcc8875d93b1fa12833
"""  # noqa: W291 - as apt prints it where only SHA-256 is known
SUPPORTED = ("3.11", "3.12", "3.13")


def test_packages_and_sizes_are_read_from_what_apt_prints() -> None:
    assert parse_uris(PRINTED) == {
        "libc6": 2324660,
        "libstdc++6": 556608,
        "libssl3": 1829128,
        "media-types": 26136,
    }


def test_packages_that_nothing_loads_are_left_out(tmp_path: Path, programs: Programs) -> None:
    programs.add("apt-get", f"#!/bin/sh\ncat <<'END'\n{PRINTED}END\n")
    needed = Apt(tmp_path / "apt").needed(["python3.11-minimal"], NEEDED)
    assert sorted(needed) == ["libc6", "libssl3", "libstdc++6"]


def test_the_newest_python_with_wheels_is_taken() -> None:
    packages = "python3.9-minimal\npython3.11-minimal\npython3.13-minimal\npython3.14-minimal\n"
    assert choose_python(packages, SUPPORTED) == "3.13"


def test_a_distribution_without_such_a_python_is_refused() -> None:
    with pytest.raises(SetupError, match=r"has Python 3\.9 for arm64, and the runtimes need 3\.11"):
        choose_python("python3.9-minimal\npython3-minimal\n", SUPPORTED)


def test_without_a_network_apts_reason_is_told(tmp_path: Path, programs: Programs) -> None:
    programs.add("apt-cache", "#!/bin/sh\n")
    apt = Apt(tmp_path / "apt")
    said = "W: Failed to fetch http://deb.debian.org/InRelease  Temporary failure resolving 'deb'\n"
    with pytest.raises(SetupError, match=r"\(Temporary failure resolving 'deb'\): connect to the"):
        apt.python(SUPPORTED, said)


def test_a_package_that_apt_refuses_is_told(tmp_path: Path, programs: Programs) -> None:
    programs.add("apt-get", "#!/bin/sh\necho 'E: Hash Sum mismatch' >&2\nexit 100\n")
    with pytest.raises(SetupError, match=r"cannot be fetched \(Hash Sum mismatch\)"):
        Apt(tmp_path / "apt").download(["libc6"])


def test_downloaded_packages_have_their_versions_and_checksums(
    tmp_path: Path, programs: Programs
) -> None:
    programs.add("apt-get", "#!/bin/sh\nprintf deb > zlib1g_1%3a1.2.13_arm64.deb\n")
    (package,) = Apt(tmp_path / "apt").download(["zlib1g"])
    assert (package.name, package.version) == ("zlib1g", "1:1.2.13")
    assert package.sha256 == hashlib.sha256(b"deb").hexdigest()


def test_the_systems_own_state_of_apt_stays_untouched(tmp_path: Path, programs: Programs) -> None:
    programs.add("apt-get", '#!/bin/sh\nprintf "%s\\n" "$@" >&2\n')
    said = Apt(tmp_path / "apt").update()
    for option in ("Dir::State", "Dir::State::status", "Dir::Cache", "Dir::State::lists"):
        assert f"{option}={tmp_path / 'apt'}" in said


def test_a_system_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="apt-get is not there: run powerml in a Debian or Ubuntu"):
        Apt(tmp_path / "apt")


def test_ubuntu_has_its_arm64_packages_on_another_server() -> None:
    sources = ubuntu_sources('NAME="Ubuntu"\nUBUNTU_CODENAME=noble\n')
    assert sources is not None
    assert [line.split()[-2] for line in sources.splitlines()] == [
        "noble",
        "noble-updates",
        "noble-security",
    ]
    assert ubuntu_sources("ID=debian\nVERSION_CODENAME=bookworm\n") is None
