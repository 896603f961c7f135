"""Stand-ins for an installed Valgrind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def install_valgrind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "3.99.0", prefix: str = "fake"
) -> Path:
    """Put a Valgrind first in the path that knows its version and the folder of its tools alone."""
    tools = folder / prefix / "libexec" / "valgrind"
    programs = folder / prefix / "bin"
    tools.mkdir(parents=True)
    programs.mkdir()
    (tools / "default.supp").touch()
    launcher = programs / "valgrind"
    launcher.write_text(
        "#!/bin/sh\n"
        f"echo valgrind-{version}\n"
        f"echo '--1:1:launcher launching {tools}/none-amd64-linux' >&2\n"
    )
    launcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return tools
