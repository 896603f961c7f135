"""Archives are unpacked into their folder, and nothing leads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.boards.unpacking import drop_dangling, place_inside, unpack_package
from powerml.boards.wheels import unpack_wheel
from powerml.errors import SetupError
from tests.boards.archives import Programs, make_tar, make_wheel


@pytest.fixture
def package(tmp_path: Path, programs: Programs) -> Path:
    """A package whose content `dpkg-deb` prints as it is."""
    programs.add("dpkg-deb", '#!/bin/sh\ncat "$2"\n')
    return tmp_path / "package.deb"


def test_a_wheel_is_unpacked_without_its_tests_and_types(tmp_path: Path) -> None:
    names = (
        "numpy/core.py",
        "numpy/core.pyi",
        "numpy/tests/test_core.py",
        "numpy/tests/_natype.py",
    )
    wheel = make_wheel(tmp_path / "one.whl", dict.fromkeys(names, "text"))
    unpack_wheel(wheel, tmp_path / "out")
    found = sorted(path.name for path in (tmp_path / "out").rglob("*.py*"))
    assert found == ["_natype.py", "core.py"]


@pytest.mark.parametrize("name", ["../evil.py", "a/../../evil.py", "/etc/evil", "a\\..\\evil"])
def test_a_wheel_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path / "one.whl", {name: "evil"})
    with pytest.raises(SetupError, match=r"one\.whl holds .*evil.*, which leads out of its folder"):
        unpack_wheel(wheel, tmp_path / "out")
    assert not list(tmp_path.rglob("evil*"))


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "one.whl"
    wheel.write_text("<html>", encoding="utf-8")
    with pytest.raises(SetupError, match=r"one\.whl is no wheel"):
        unpack_wheel(wheel, tmp_path / "out")


def test_the_folders_that_debian_merged_become_one(tmp_path: Path, package: Path) -> None:
    package.write_bytes(make_tar({"./lib/ld.so": "loader", "./usr/lib/libc.so": "libc"}, {}))
    unpack_package(package, tmp_path / "root", ())
    assert (tmp_path / "root/usr/lib/ld.so").read_text(encoding="utf-8") == "loader"
    assert (tmp_path / "root/usr/lib/libc.so").stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "root/lib").exists()


def test_absolute_links_stay_inside_the_root(tmp_path: Path, package: Path) -> None:
    package.write_bytes(
        make_tar({"./lib/libc.so.6": "libc"}, {"./usr/lib/libc.so": "/lib/libc.so.6"})
    )
    root = tmp_path / "root"
    unpack_package(package, root, ())
    link = root / "usr/lib/libc.so"
    assert link.is_symlink()
    assert link.resolve() == root / "usr/lib/libc.so.6"


def test_a_link_out_of_the_root_is_refused(tmp_path: Path, package: Path) -> None:
    package.write_bytes(make_tar({}, {"./usr/link": "../../../etc"}))
    with pytest.raises(SetupError, match=r"package\.deb holds .*etc.*, which leads out"):
        unpack_package(package, tmp_path / "root", ())


def test_left_out_files_leave_no_dangling_links(tmp_path: Path, package: Path) -> None:
    package.write_bytes(make_tar({"./etc/site.py": "site"}, {"./usr/site.py": "/etc/site.py"}))
    root = tmp_path / "root"
    unpack_package(package, root, ("etc*",))
    drop_dangling(root)
    assert not [path for path in root.rglob("*") if path.is_symlink() or path.is_file()]


def test_a_damaged_package_is_refused(tmp_path: Path, package: Path) -> None:
    package.write_bytes(b"no archive at all")
    with pytest.raises(SetupError, match=r"package\.deb is damaged"):
        unpack_package(package, tmp_path / "root", ())


def test_names_with_dots_are_no_way_out(tmp_path: Path) -> None:
    assert place_inside(tmp_path, "a/..b", "one") == tmp_path / "a/..b"
    assert place_inside(tmp_path, "a/b.pyi", "one", ("*.pyi",)) is None
