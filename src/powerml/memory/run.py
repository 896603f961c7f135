"""Load and run a model in a process of its own, whose allocations are counted.

Takes a line of JSON on standard input, and answers by one on standard output: ``{"allocated": ...,
"shapes": ...}`` or ``{"error": ...}``. The process is started by `powerml.memory.allocated`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from powerml.errors import words_of
from powerml.runtimes.base import Feed, Runtime
from powerml.runtimes.catalogue import find_runtime

RESULT = 3
# The first inference sets up, the second takes what the first has found out it needs.
INFERENCES = 2


def main() -> None:
    """Answer the question."""
    os.dup2(1, RESULT)
    os.dup2(2, 1)  # what the runtimes print is not the answer
    try:
        answer = _answer(json.loads(sys.stdin.readline()))
    except (Exception, SystemExit) as error:  # runtimes raise whatever they like
        answer = {"error": words_of(error) or type(error).__name__}
    os.write(RESULT, json.dumps(answer).encode() + b"\n")


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    runtime = find_runtime(question["runtime"])
    with np.load(question["arrays"], allow_pickle=False) as archive:
        arrays = list(archive.values())
    answer: dict[str, Any] = {"allocated": None, "shapes": None}
    if question["resized"]:
        answer["shapes"] = _resized(question["path"], arrays)
    if question["counted"]:
        runtime.start()
        answer["allocated"] = _allocated(runtime, question, arrays)
    return answer


def _allocated(
    runtime: Runtime, question: dict[str, Any], arrays: Sequence[np.ndarray[Any, Any]]
) -> int:
    counter = ctypes.CDLL(None)
    for name in ("powerml_allocated_now", "powerml_allocated_peak"):
        getattr(counter, name).restype = ctypes.c_longlong

    def once() -> None:
        shapes = [array.shape for array in arrays]
        session = runtime.load(question["path"], shapes, question["allowed"])
        names = [one.name for one in session.inputs]
        feed: Feed = dict(zip(names, arrays, strict=True))
        for _ in range(INFERENCES):
            session.run(feed)

    once()  # what is imported and set up for any model is there before
    gc.collect()
    before = counter.powerml_allocated_now()
    once()
    return int(counter.powerml_allocated_peak()) - int(before)


def _resized(path: str, arrays: Sequence[np.ndarray[Any, Any]]) -> dict[int, list[int]]:
    """Return the shapes of a LiteRT model's tensors by number, for these inputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # A delegate would put tensors of its own into the place of the file's.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(path, num_threads=1, experimental_op_resolver_type=plain)
    for one, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.resize_tensor_input(one["index"], array.shape, strict=True)
    interpreter.allocate_tensors()
    return {one["index"]: one["shape"].tolist() for one in interpreter.get_tensor_details()}


if __name__ == "__main__":
    main()
