"""The file in which a Dask scheduler leaves its address."""

from __future__ import annotations

import json
import re
from pathlib import Path

from powerml.errors import UsageError
from powerml.files.foreign import fault_of_path

__all__ = ["HIGHEST_PORT", "address_in"]

# Dask's schemes, with a host and a port.
ADDRESS = re.compile(r"(?:tcp|tls|ws|wss|ucx|ucxx)://(?:\[[0-9a-fA-F:.%]+\]|[^\s:/@]+):[0-9]{1,5}")
HIGHEST_PORT = 65535
MOST_BYTES = 2**20  # it also lists the workers that the scheduler had when it began
ADVICE = "give the file of dask scheduler --scheduler-file, or dask://HOST:PORT"


def address_in(path: Path) -> str:
    """Return the address of a scheduler, as in ``tcp://10.0.0.5:8786``.

    Raises
    ------
    UsageError
        It is no file of a scheduler's.
    """
    if fault := fault_of_path(path, ADVICE):
        raise UsageError(f"the scheduler file {path} {fault}")
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        content = None
    found = content.get("address") if isinstance(content, dict) else None
    if (
        not isinstance(found, str)
        or ADDRESS.fullmatch(found) is None
        or int(found.rpartition(":")[2]) > HIGHEST_PORT
    ):
        raise UsageError(f"the scheduler file {path} holds no address of a scheduler: {ADVICE}")
    return found
