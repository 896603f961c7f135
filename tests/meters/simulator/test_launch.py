"""Nothing of the user's shell reaches the counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from powerml.errors import SetupError
from powerml.guest.request import NAME_BYTES, REQUEST_BYTES, announcement
from powerml.machines import load_machine
from powerml.meters.simulator import launch
from powerml.meters.simulator.view import open_view


def test_the_environment_is_the_same_whatever_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    before = launch.environment("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    assert launch.environment("torch") == before
    assert before["PYTHONHASHSEED"] == "0"
    assert before["OMP_NUM_THREADS"] == "1"


def test_the_simulated_caches_are_given_on_the_command_line(tmp_path: Path) -> None:
    geometry = load_machine("xeon-x5650").simulated_geometry
    with open_view(tmp_path, launch.environment(None)) as view:
        command = launch.callgrind(geometry, None, view, "serve", "loads").command
    assert {"--I1=32768,4,64", "--D1=32768,8,64", "--LL=12582912,24,64"} <= set(command)


def test_without_the_c_extension_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SetupError, match="apt-get install gcc python3-dev valgrind"):
        launch.require_client_requests()


@pytest.mark.parametrize("folder", ["/tmp/a", "/tmp/a-much-longer-name/below/another"])  # noqa: S108
def test_announcements_have_one_length_and_keep_their_meaning(folder: str) -> None:
    name = "request-00000001"
    message = announcement(Path(folder), name)
    assert len(message) == REQUEST_BYTES
    assert message[-NAME_BYTES:].decode() == name
    assert Path(message[:-NAME_BYTES].decode().replace("//", "/").lstrip("/")) == Path(folder[1:])


def test_a_folder_with_too_long_a_path_is_refused() -> None:
    with pytest.raises(SetupError, match="set TMPDIR to a short one"):
        announcement(Path("/" + "x" * 600), "request-00000001")


@pytest.mark.parametrize(
    ("place", "matters"),
    [
        ("report/sentences.py", False),
        ("cli/tables/studies.py", False),
        ("search/run.py", False),
        ("guest/steps.py", True),
        ("instrument/tool.c", True),
        ("instrument/build.py", False),
        ("networks/model.py", True),
        ("networks/export.py", True),
        ("spaces/dffr.py", True),
        ("runtimes/onnxruntime.py", True),
        ("meters/simulator/composition.py", True),
        ("guest/warm_up/even.onnx", True),
    ],
)
def test_only_a_change_of_what_counts_depend_on_empties_their_cache(
    place: str, matters: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "powerml"
    shutil.copytree(launch.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(launch, "PACKAGE", package)
    monkeypatch.setattr(launch, "INSTRUMENT", package / "instrument")
    monkeypatch.setattr(launch, "WARM_UP", package / "guest" / "warm_up")
    before = launch.code_digest([])
    with (package / place).open("ab") as file:
        file.write(b"\n# a word more\n")
    assert (launch.code_digest([]) != before) is matters


def test_all_that_counts_depend_on_is_there() -> None:
    assert [place for place in launch.COUNTED if not (launch.PACKAGE / place).exists()] == []


@pytest.mark.parametrize("job", ["training", "loads", "deployment:onnxruntime"])
def test_the_key_of_the_cache_knows_all_that_the_guest_imports_of_powerml(
    job: str, tmp_path: Path
) -> None:
    environment = launch.environment("torch")
    with open_view(tmp_path, environment) as view:
        sources = view.sources(job, launch.WORKER_MODULE, environment)
    prefix = "packages/powerml/"
    imported = [source.removeprefix(prefix) for source in sources if source.startswith(prefix)]
    assert imported
    assert [path for path in imported if not path.startswith(launch.COUNTED)] == []
