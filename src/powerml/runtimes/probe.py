"""Look at a model in a process of its own, because a damaged file may crash the process.

Answers each line of JSON on standard input by one on standard output. The first question is
``{"runtime": ..., "path": ...}``, answered by ``{"inputs": [...]}``. The second is
``{"arrays": ...}``, an ``.npz`` with the arrays on which the model is run once, answered by ``{}``.
An ``{"error": ...}`` or ``{"not_started": ...}`` is the last answer.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from powerml.errors import words_of
from powerml.runtimes.base import Runtime
from powerml.runtimes.catalogue import find_runtime

RESULT = 3


def main() -> None:
    """Answer both questions."""
    os.dup2(1, RESULT)
    os.dup2(2, 1)  # what the runtimes print is not the answer
    try:
        of_model = json.loads(sys.stdin.readline())
        runtime = _start(of_model["runtime"])
        _answer({"inputs": _inputs(runtime, of_model["path"])})
        if line := sys.stdin.readline():
            _run(runtime, of_model["path"], json.loads(line)["arrays"])
            _answer({})
    except _NotStartedError as error:
        _answer({"not_started": str(error)})
    except Exception as error:  # runtimes raise whatever they like
        _answer({"error": words_of(error)})


def _answer(answer: dict[str, Any]) -> None:
    os.write(RESULT, json.dumps(answer).encode() + b"\n")


class _NotStartedError(Exception):
    """A runtime that cannot be imported: the model has nothing to do with it."""


def _start(name: str) -> Runtime:
    runtime = find_runtime(name)
    try:
        runtime.start()
    except (Exception, SystemExit) as error:
        raise _NotStartedError(words_of(error) or type(error).__name__) from error
    return runtime


def _inputs(runtime: Runtime, path: str) -> list[dict[str, Any]]:
    return [asdict(one) for one in runtime.load(path).inputs]


def _run(runtime: Runtime, path: str, inputs: str) -> None:
    with np.load(inputs, allow_pickle=False) as archive:
        arrays = list(archive.values())
    session = runtime.load(path, [array.shape for array in arrays])
    pairs = zip(session.inputs, arrays, strict=True)
    session.run({one.name: array for one, array in pairs})


if __name__ == "__main__":
    main()
