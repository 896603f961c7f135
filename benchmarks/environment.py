"""How long the installation takes, and how large the environment is (2 minutes).

python benchmarks/environment.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LARGEST_SHOWN = 6


def main() -> None:
    """Install what ``make`` installs into a fresh environment, and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        index = os.environ.get("TORCH_INDEX")
        more = ["--extra-index-url", index] if index else []
        package = f"{ROOT}[torch,dev]"
        subprocess.run([*pip, "install", "--quiet", *constraints, *more, package], check=True)
        seconds = time.monotonic() - started
        packages = next((environment / "lib").glob("python*/site-packages"))
        sizes = {entry.name: _bytes(entry) for entry in packages.iterdir()}
        print(f"install: {seconds:.0f} s, {_bytes(environment) / 2**20:.0f} MiB in all, of which")
        for name in sorted(sizes, key=lambda name: -sizes[name])[:LARGEST_SHOWN]:
            print(f"  {name:20}{sizes[name] / 2**20:8.0f} MiB")


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


if __name__ == "__main__":
    main()
