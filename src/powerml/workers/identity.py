"""Identity of a worker: the installation and the processor that its results depend on."""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from powerml.meters.simulator.launch import surroundings
from powerml.workers.orders import Identity

__all__ = ["differences", "identity", "most_common"]

# The packages that a training, an export or a measured process runs.
SOFTWARE = (
    "ai-edge-litert",
    "jax",
    "jaxlib",
    "keras",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "optuna",
    "powerml",
    "scikit-learn",
    "scipy",
    "tensorflow",
    "tensorflow-cpu",
    "torch",
)
MOST_SHOWN = 4
LONGEST_SHOWN = 40


def identity(backend: str, *, simulates: bool) -> Identity:
    """Describe this process, as plain JSON.

    Parameters
    ----------
    backend
        The Keras backend of the run.
    simulates
        Whether the run's meter simulates, which needs Valgrind.

    Raises
    ------
    SetupError
        Valgrind is not installed.
    """
    found: Identity = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "software": _software(),
        "code": _code_digest(),
        "backend": backend,
    }
    if simulates:
        around = surroundings(backend)
        valgrind = around["valgrind"][1]
        found |= {
            "libc": around["libc"],
            "valgrind": valgrind,
            "environment": around["environment"],
            "cpu_flags": sorted(around["cpu_flags"]),
        }
    return found


def _software() -> dict[str, str]:
    found = {}
    for name in SOFTWARE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _code_digest() -> str:
    """Return the SHA-256 of powerML's own code, all of it."""
    package = Path(sys.modules["powerml"].__file__ or "").parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".c", ".h", ".toml"} and path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(package)} {len(content)} ".encode())
            digest.update(content)
    return digest.hexdigest()


def differences(one: Identity, other: Identity) -> list[str]:
    """List the differences of two workers, each as ``software.numpy 2.1, not 2.0``."""
    found = _differences(one, other, "")
    return [*found[:MOST_SHOWN], "..."] if len(found) > MOST_SHOWN else found


def _differences(one: Any, other: Any, where: str) -> list[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return [
            line
            for key in sorted({*one, *other})
            for line in _differences(one.get(key), other.get(key), f"{where}.{key}".lstrip("."))
        ]
    if one == other:
        return []
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
        gone, new = sorted(set(other) - set(one)), sorted(set(one) - set(other))
        said = [f"without {' '.join(gone)}"] if gone else []
        said += [f"with {' '.join(new)}"] if new else []
        return [f"{where} {_shown(', '.join(said))}"]
    if where == "code":
        return ["other code of powerML"]
    return [f"{where} {_shown(one)}, not {_shown(other)}"]


def _shown(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def most_common(identities: Sequence[Identity], preferred: Identity | None) -> Identity:
    """Return the preferred identity if a worker has it, else that of most, the first of equals."""
    if preferred is not None and preferred in identities:
        return preferred
    texts = [repr(sorted(one.items())) for one in identities]
    counted = Counter(texts)
    return max(zip(texts, identities, strict=True), key=lambda pair: counted[pair[0]])[1]
