"""The emulator is found, or the error says what to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from powerml.boards import emulator as module
from powerml.boards import find_emulator, forget_arm_side
from powerml.boards.emulator import can_fetch_emulator, fetch_emulator, fetched_emulator_folder
from powerml.errors import SetupError
from powerml.progress import silent
from tests.boards.archives import QEMU, QEMU_HELP, Programs, make_tar

pytestmark = pytest.mark.usefixtures("boards")
STATIC_HELP = "-L path  set the prefix\n"


def test_an_emulator_on_path_is_found_with_its_version(programs: Programs) -> None:
    path = programs.add_qemu("10.0.2")
    emulator = find_emulator()
    assert (emulator.path, emulator.version) == (path, "10.0.2")


def test_without_an_emulator_the_command_that_installs_it_is_named(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("dnf", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(programs.folder))
    with pytest.raises(SetupError, match=r"not on PATH: install it with .*dnf install"):
        find_emulator()


def test_without_a_known_package_manager_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="install qemu-user with your system's package manager"):
        find_emulator()


def test_an_emulator_without_plug_ins_is_refused(programs: Programs) -> None:
    path = programs.add_qemu(said=STATIC_HELP)
    with pytest.raises(SetupError, match="built without plug-ins") as caught:
        find_emulator()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("version", ["5.2.0", "7.1.0"])
def test_an_older_emulator_is_refused(programs: Programs, version: str) -> None:
    programs.add_qemu(version)
    with pytest.raises(SetupError, match=f"is QEMU {version}, and boards need 7.2 or later"):
        find_emulator()


def test_an_emulator_that_fails_is_refused_with_its_words(programs: Programs) -> None:
    programs.add("qemu-aarch64", "#!/bin/sh\necho no such library >&2\nexit 127\n")
    with pytest.raises(SetupError, match=r"does not run \(no such library\)"):
        find_emulator()


def test_a_file_that_is_no_program_is_refused(programs: Programs) -> None:
    programs.add("qemu-aarch64", "\0")
    with pytest.raises(SetupError, match="does not run"):
        find_emulator()


def test_the_fetched_emulator_takes_the_place_of_one_without_plug_ins(programs: Programs) -> None:
    programs.add_qemu("10.0.13", said=STATIC_HELP)
    folder = fetched_emulator_folder()
    folder.mkdir(parents=True)
    emulator = Programs(folder).add_qemu("7.2.22")
    assert find_emulator() == module.Emulator(emulator, "7.2.22")
    assert forget_arm_side()
    with pytest.raises(SetupError, match="built without plug-ins"):
        find_emulator()


def test_an_emulator_on_path_with_plug_ins_comes_first(programs: Programs) -> None:
    fetched_emulator_folder().mkdir(parents=True)
    Programs(fetched_emulator_folder()).add_qemu("7.2.22")
    on_path = programs.add_qemu("9.0.0")
    assert find_emulator().path == on_path


@pytest.fixture
def fetching(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Let apt bring a package with an emulator of our own."""
    program = QEMU.format(version="7.2.22", help=QEMU_HELP.replace("\n", "\\n"))
    package = programs.folder / "content"
    package.write_bytes(make_tar({"./usr/bin/qemu-aarch64": program}, {}))
    url = "'http://localhost/qemu-user_7.2_amd64.deb' qemu-user_7.2_amd64.deb 5"
    programs.add(
        "apt-get",
        f'#!/bin/sh\ncase "$*" in *--print-uris*) echo "{url}";; '
        f"*download*) cp {package} qemu-user_7.2_amd64.deb;; esac\n",
    )
    programs.add("dpkg-deb", '#!/bin/sh\ncat "$2"\n')
    programs.add("apt-cache", "#!/bin/sh\n")
    programs.add_qemu("10.0.13", said=STATIC_HELP)
    keys = programs.folder / "keys"
    keys.touch()
    monkeypatch.setattr(module, "KEYS", str(keys))
    # In place of the loader, which takes the same arguments.
    loader = programs.add("loader", '#!/bin/sh\nshift 2\nexec "$@"\n')
    host = module.Host("amd64", str(loader), "usr/lib")
    monkeypatch.setattr(module, "HOSTS", dict.fromkeys(module.HOSTS, host))
    return programs


def test_debian_12s_emulator_is_fetched_without_root(boards: Path, fetching: Programs) -> None:
    assert can_fetch_emulator()
    assert fetch_emulator(silent) == find_emulator()
    assert find_emulator().path == fetched_emulator_folder() / "qemu-aarch64"
    assert sorted(path.name for path in boards.iterdir()) == [
        fetched_emulator_folder().name,
        "lock",
    ]


def test_an_emulator_that_cannot_be_fetched_leaves_nothing(
    boards: Path, fetching: Programs
) -> None:
    fetching.add("apt-get", "#!/bin/sh\necho 'E: Temporary failure resolving' >&2\nexit 100\n")
    with pytest.raises(SetupError, match="Temporary failure resolving"):
        fetch_emulator(silent)
    assert [path.name for path in boards.iterdir()] == ["lock"]


def test_the_fetched_emulator_hands_on_arguments_and_environment_as_they_are(
    fetching: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import json, os, sys; print(json.dumps([sys.argv[3:], dict(os.environ)]))"
    loader = fetching.add("loader-that-tells", f"#!{sys.executable}\n{program}\n")
    host = module.Host("amd64", str(loader), "usr/lib")
    monkeypatch.setattr(module, "HOSTS", dict.fromkeys(module.HOSTS, host))
    monkeypatch.setattr(module, "find_emulator", lambda: None)
    fetch_emulator(silent)
    environment = {"LC_ALL": "C.UTF-8"}
    command = [str(fetched_emulator_folder() / "qemu-aarch64"), "-L", "a b"]
    told = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    program_run = str(fetched_emulator_folder() / "usr/bin/qemu-aarch64")
    assert json.loads(told) == [[program_run, "-L", "a b"], environment]
