"""The runtimes' aarch64 wheels: their pinned checksums, their download and their unpacking."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from powerml.boards.unpacking import place_inside
from powerml.errors import SetupError

__all__ = ["BOARD_RUNTIMES", "Wheel", "fetch_wheel", "pinned_wheels", "pins_digest", "unpack_wheel"]

BOARD_RUNTIMES = ("onnxruntime", "litert")  # those that have a wheel here
PINS = Path(__file__).parent / "wheels.toml"
# What pip says of a network that is not there. It then says too that no version matches.
NO_NETWORK = ("connection broken", "Max retries exceeded", "Could not fetch URL", "ProxyError")
OTHER_HASH = "DO NOT MATCH THE HASHES"
NO_VERSION = ("No matching distribution", "Could not find a version")
NO_PIP = "No module named pip"
# Tests, types and headers; a second copy of ONNX Runtime and a GPU's part, which nothing loads.
LEFT_OUT = (
    "*.pyi",
    "*.a",
    "*/tests/test_*",
    "*/tests/data/*",
    "*/tests/examples/*",
    "numpy/f2py/*",
    "numpy/_core/include/*",
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/ThirdPartyNotices.txt",
    "onnxruntime/tools/*",
    "onnxruntime/transformers/*",
    "onnxruntime/quantization/*",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
)


class Wheel(BaseModel):
    """One wheel of the package index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="version of the package, that of constraints.txt")
    file: str = Field(pattern=r"^[\w.]+-[\w.]+-[\w.]+-[\w.]+-[\w.]+\.whl$", description="file name")
    size_bytes: PositiveInt = Field(description="size of the file in bytes")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file")

    @property
    def platforms(self) -> list[str]:
        """The platforms that the file name lists."""
        return self.file.removesuffix(".whl").rsplit("-", 1)[1].split(".")


@cache
def pinned_wheels() -> Mapping[str, Mapping[str, Wheel]]:
    """Return the pinned wheels by version of Python, such as ``3.11``, and by package."""
    content = tomllib.loads(PINS.read_text(encoding="utf-8"))
    return {
        python: {name: Wheel(**wheel) for name, wheel in packages.items()}
        for python, packages in content.items()
    }


def pins_digest() -> str:
    """Return the SHA-256 over the names and checksums of all pinned wheels."""
    pins = [
        (python, name, wheel.file, wheel.sha256)
        for python, packages in pinned_wheels().items()
        for name, wheel in packages.items()
    ]
    return hashlib.sha256(json.dumps(sorted(pins)).encode()).hexdigest()


def fetch_wheel(name: str, wheel: Wheel, python: str, folder: Path) -> Path:
    """Download a wheel through pip, with the user's own settings of index and proxy.

    Raises
    ------
    SetupError
        There is no pip or no network, the index has no such wheel, or its checksum differs.
    """
    wanted = f"{name}=={wheel.version}"
    requirements = folder / f"{name}.txt"
    requirements.write_text(f"{wanted} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--retries", "2"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", python]
    for platform in wheel.platforms:
        command += ["--platform", platform]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    # Constraints of the user's own carry no hashes.
    environment = {**os.environ, "PIP_CONSTRAINT": os.devnull, "LC_ALL": "C"}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, errors="replace"
    )
    path = folder / wheel.file
    if ended.returncode != 0:
        raise _error_of(wanted, python, f"{ended.stdout}\n{ended.stderr}")
    if not path.is_file():
        raise SetupError(
            f"the package index has another wheel of {wanted} than {wheel.file}: "
            "unset pip's own settings of an index, or upgrade powerML"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise _other_checksum(wanted)
    return path


def _error_of(wanted: str, python: str, said: str) -> SetupError:
    """Return the error for what pip has said."""
    if OTHER_HASH in said:
        return _other_checksum(wanted)
    if any(words in said for words in NO_NETWORK):
        return SetupError(
            f"{wanted} cannot be downloaded, because the package index cannot be reached: connect "
            "to the network, or set pip's proxy or index, then run powerml machines prepare again"
        )
    if any(words in said for words in NO_VERSION):
        return SetupError(
            f"the package index has no aarch64 wheel of {wanted} for Python {python}: "
            "upgrade powerML, or set pip's index to one that has it"
        )
    if NO_PIP in said:
        return SetupError(
            "this Python has no pip to download wheels with: run python -m ensurepip "
            "(uv pip install pip in an environment of uv), then powerml machines prepare again"
        )
    lines = [line for line in said.splitlines() if line.startswith("ERROR:")] or [said.strip()]
    return SetupError.quoting(
        f"{wanted} cannot be downloaded", lines[-1], "mend that, then run powerml machines prepare"
    )


def _other_checksum(wanted: str) -> SetupError:
    return SetupError(
        f"the wheel of {wanted} has another checksum than powerML pins, and was refused: "
        "check pip's index and proxy, then run powerml machines prepare again"
    )


def unpack_wheel(path: Path, folder: Path) -> None:
    """Unpack a wheel into a folder of packages.

    Raises
    ------
    SetupError
        It is no wheel, or a name in it leads out of the folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                target = place_inside(folder, entry.filename, path.name, LEFT_OUT)
                if target is None or entry.is_dir():
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(entry))
    except zipfile.BadZipFile as error:
        raise SetupError(
            f"{path.name} is no wheel ({error}): run powerml machines prepare again"
        ) from error
