"""Pin the aarch64 wheels of the runtimes: their names, sizes and checksums for each Python.

Run it after a change of constraints.txt. It downloads every wheel once, through pip.

    .venv/bin/python scripts/pin_wheels.py
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = ROOT / "src/powerml/boards/wheels.toml"
# What the import of the runtimes needs; their other dependencies are for tools beside them.
PACKAGES = ("numpy", "onnxruntime", "ai-edge-litert")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# glibc 2.17 to 2.36, that of Debian 12: no system with these Pythons is older.
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))
HEAD = (
    "# The aarch64 wheels of the runtimes. Written by scripts/pin_wheels.py from the package index."
)


def pinned_versions() -> dict[str, str]:
    """Return the versions of the packages that constraints.txt names."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    versions = dict(line.split("==") for line in lines if "==" in line)
    return {name: versions[name] for name in PACKAGES}


def download(name: str, version: str, python: str, folder: Path) -> Path | None:
    """Download one wheel; None if there is none for that Python."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    command += ["--dest", str(folder), f"{name}=={version}"]
    if subprocess.run(command, check=False).returncode != 0:
        return None
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> None:
    """Write the file, without the Pythons for which a package has no wheel."""
    lines = [HEAD]
    for python in PYTHONS:
        tables: list[str] = []
        for name, version in pinned_versions().items():
            with tempfile.TemporaryDirectory() as folder:
                wheel = download(name, version, python, Path(folder))
                if wheel is None:
                    print(f"{name} {version} has no aarch64 wheel for Python {python}")
                    break
                content = wheel.read_bytes()
                tables += [
                    "",
                    f'["{python}".{name}]',
                    f'version = "{version}"',
                    f'file = "{wheel.name}"',
                    f"size_bytes = {len(content)}",
                    f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
                ]
        else:
            lines += tables
    OUT.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
