"""Look at a model in a process of its own: a damaged file may take the process down that reads it.

Reads one JSON object from standard input, ``{"runtime": ..., "path": ..., "shapes": ...}``, and
writes one to standard output: ``{"inputs": [...]}`` or ``{"error": ...}``. With shapes the model is
run once, on zeros.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

from powerml.runtimes import find_runtime

RESULT = 3


def main() -> None:
    """Answer one question."""
    os.dup2(1, RESULT)
    os.dup2(2, 1)  # what the runtimes print is not the answer
    question = json.loads(sys.stdin.read())
    try:
        answer = _look(**question)
    except Exception as error:  # runtimes raise whatever they like
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    os.write(RESULT, json.dumps(answer).encode())


def _look(runtime: str, path: str, shapes: list[list[int]] | None) -> dict[str, Any]:
    chosen = find_runtime(runtime)
    chosen.start()
    given = None if shapes is None else [tuple(shape) for shape in shapes]
    session = chosen.load(path, given)
    if given is not None:
        pairs = zip(session.inputs, given, strict=True)
        session.run({one.name: np.zeros(shape, one.dtype) for one, shape in pairs})
    return {"inputs": [one.model_dump() for one in session.inputs]}


if __name__ == "__main__":
    main()
