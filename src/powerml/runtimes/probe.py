"""Look at a model in a process of its own, because a damaged file may crash the process.

Reads one JSON object from standard input, ``{"runtime": ..., "path": ..., "inputs": ...}``, and
writes one to standard output: ``{"inputs": [...]}`` or ``{"error": ...}``. `inputs` is null, or an
``.npz`` with the arrays on which the model is run once.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from powerml.errors import words_of
from powerml.runtimes.catalogue import find_runtime

RESULT = 3


def main() -> None:
    """Answer one question."""
    os.dup2(1, RESULT)
    os.dup2(2, 1)  # what the runtimes print is not the answer
    question = json.loads(sys.stdin.read())
    try:
        answer = _look(**question)
    except _NotStartedError as error:
        answer = {"not_started": str(error)}
    except Exception as error:  # runtimes raise whatever they like
        answer = {"error": words_of(error)}
    os.write(RESULT, json.dumps(answer).encode())


class _NotStartedError(Exception):
    """A runtime that cannot be imported: the model has nothing to do with it."""


def _look(runtime: str, path: str, inputs: str | None) -> dict[str, Any]:
    chosen = find_runtime(runtime)
    try:
        chosen.start()
    except (Exception, SystemExit) as error:
        raise _NotStartedError(words_of(error) or type(error).__name__) from error
    if inputs is None:
        session = chosen.load(path)
    else:
        with np.load(inputs, allow_pickle=False) as archive:
            arrays = list(archive.values())
        session = chosen.load(path, [array.shape for array in arrays])
        pairs = zip(session.inputs, arrays, strict=True)
        session.run({one.name: array for one, array in pairs})
    return {"inputs": [asdict(one) for one in session.inputs]}


if __name__ == "__main__":
    main()
