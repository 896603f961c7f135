"""Code hidden in files, which writes the canary if it is ever run."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import material

__all__ = ["KERAS_CANARIES", "keras_canary", "object_arrays", "pickled", "torch_zip"]


class _Payload:
    """An object whose unpickling runs a command."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self._canary}'",)


def pickled(canary: Path) -> bytes:
    """Return a pickle that writes the canary."""
    return pickle.dumps(_Payload(canary))


def object_arrays(canary: Path) -> bytes:
    """Return an ``.npz`` file whose labels are pickled objects."""
    labels = np.array([_Payload(canary)] * 40, dtype=object)
    return material.npz({**material.arrays(), "y_train": labels})


def torch_zip(canary: Path) -> bytes:
    """Return a file as ``torch.save`` writes it, whose pickle writes the canary."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(canary))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def _lambda_layer(canary: Path) -> dict[str, Any]:
    import base64
    import marshal

    code = compile(f"lambda x: (open({str(canary)!r}, 'w').close(), x)[1]", "x", "eval").co_consts[
        0
    ]
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "harmless",
            "function": {
                "class_name": "__lambda__",
                "config": {
                    "code": base64.b64encode(marshal.dumps(code)).decode(),
                    "defaults": None,
                    "closure": None,
                },
            },
        },
        "registered_name": None,
    }


def _module_call(canary: Path) -> dict[str, Any]:
    return {
        "module": "os",
        "class_name": "system",
        "config": {"command": f"touch '{canary}'"},
        "registered_name": "system",
    }


def _function_of_module(canary: Path) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": "Activation",
        "config": {
            "activation": {
                "module": "builtins",
                "class_name": "function",
                "config": "exec",
                "registered_name": "function",
            },
            "command": f"open({str(canary)!r}, 'w')",
        },
        "registered_name": None,
    }


def _get_file(canary: Path) -> dict[str, Any]:
    return {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"fname": str(canary), "origin": "file:///etc/hostname"},
        "registered_name": None,
    }


KERAS_CANARIES = (_lambda_layer, _module_call, _function_of_module, _get_file)


def keras_canary(canary: Path, number: int) -> bytes:
    """Return a ``.keras`` file with code of its own."""
    hidden = KERAS_CANARIES[number % len(KERAS_CANARIES)](canary)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(material.model("dense.keras"))) as source:
        config = json.loads(source.read("config.json"))
        config["config"]["layers"].insert(1, hidden)
        if number % 2:
            config = hidden
        with zipfile.ZipFile(file, "w") as archive:
            for name in source.namelist():
                content = json.dumps(config) if name == "config.json" else source.read(name)
                archive.writestr(name, content)
    return file.getvalue()
