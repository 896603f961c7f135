"""The pinned wheels are those of constraints.txt, and no others are taken."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from powerml.boards.wheels import Wheel, fetch_wheel, pinned_wheels
from powerml.errors import SetupError
from tests.boards.archives import make_wheel

CONSTRAINTS = Path(__file__).parent.parent.parent / "constraints.txt"
FILE = "powerml_no_such_package-1.0-py3-none-any.whl"
NAME = "powerml-no-such-package"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the whole index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def _put(index: Path) -> Wheel:
    """Put a wheel into an index; return its pin."""
    info = "powerml_no_such_package-1.0.dist-info"
    path = make_wheel(
        index / FILE,
        {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        },
    )
    content = path.read_bytes()
    return Wheel(
        version="1.0",
        file=FILE,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_the_versions_are_those_of_the_constraints() -> None:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert set(pinned_wheels()) >= {"3.11", "3.12", "3.13"}
    for python, packages in pinned_wheels().items():
        assert set(packages) == {"numpy", "onnxruntime", "ai-edge-litert"}, python
        versions = {name: wheel.version for name, wheel in packages.items()}
        assert versions == {name: pinned[name] for name in packages}, "run scripts/pin_wheels.py"


def test_every_pinned_wheel_is_of_its_python_and_aarch64() -> None:
    for python, packages in pinned_wheels().items():
        tag = f"cp{python.replace('.', '')}"
        for wheel in packages.values():
            assert f"-{tag}-{tag}-" in wheel.file
            assert all(one.endswith("_aarch64") for one in wheel.platforms)


def test_a_wheel_with_the_pinned_checksum_is_taken(index: Path, out: Path) -> None:
    wheel = _put(index)
    assert fetch_wheel(NAME, wheel, "3.11", out) == out / FILE


def test_a_wheel_with_another_checksum_is_refused_by_name(index: Path, out: Path) -> None:
    wheel = _put(index).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(SetupError, match=rf"the wheel of {NAME}==1\.0 has another checksum") as one:
        fetch_wheel(NAME, wheel, "3.11", out)
    assert "\n" not in str(one.value)


def test_a_version_that_the_index_lacks_is_named(index: Path, out: Path) -> None:
    wheel = _put(index).model_copy(update={"version": "2.0"})
    with pytest.raises(SetupError, match=rf"no aarch64 wheel of {NAME}==2\.0 for Python 3\.12"):
        fetch_wheel(NAME, wheel, "3.12", out)


def test_without_a_network_the_error_says_what_to_do(
    out: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = _put(index)
    (index / FILE).unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    # Nobody listens there, as where there is no network.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(SetupError, match="index cannot be reached: connect to the network") as one:
        fetch_wheel(NAME, wheel, "3.11", out)
    assert "\n" not in str(one.value)
