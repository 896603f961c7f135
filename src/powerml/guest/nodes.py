"""Costs of a model's nodes, each charged to a segment of its own.

A runtime with a profiler of its own looks at the clock before and after each node, and each look
begins a segment. A runtime without one is watched at the entries of its operators.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from powerml.guest import _client_requests as client_requests
from powerml.guest.request import (
    FUNCTIONS_FILE,
    NODES_FILE,
    OPERATORS_FILE,
    DeploymentRequest,
)
from powerml.runtimes import Feed, ProfiledSession, Runtime

__all__ = ["find_code", "profile_nodes"]

SETTLING_INFERENCES = 1
# A segment of this name is not simulated: instrument/hierarchy.h.
UNCOUNTED = "uncounted"


def profile_nodes(
    runtime: Runtime,
    request: DeploymentRequest,
    shapes: Sequence[tuple[int, ...]],
    feeds: Sequence[Feed],
) -> None:
    """Run a model once more with its nodes in segments; write what all segments have cost."""
    told: dict[str, Any] = {}
    client_requests.segment(UNCOUNTED)
    if (load := getattr(runtime, "load_profiled", None)) is not None:
        profiled: ProfiledSession = load(request.model, shapes, request.allowed)
        code = find_code(profiled.library) if profiled.library else None
        client_requests.segment(None)
        for _ in range(SETTLING_INFERENCES):
            profiled.session.run(feeds[0])
        if code is not None and profiled.looks:
            client_requests.segment_looks(True)
            client_requests.sift(code.start, code.end)
        elif code is not None:
            end = _end_of_call()
            with open(OPERATORS_FILE, "rb") as file:
                places = [code.base + place for (place,) in struct.iter_unpack("=Q", file.read())]
            entries = sorted([*places, end])
            told["end"] = entries.index(end)
            client_requests.watch(struct.pack(f"={len(entries)}Q", *entries))
        with contextlib.ExitStack() as stack:
            if profiled.model is not None:
                from powerml.guest.layers import inference_in_segments

                stack.enter_context(inference_in_segments(profiled.model))
            profiled.session.run(feeds[0])
        client_requests.sift(0, 0)
        client_requests.segment_looks(False)
        client_requests.segment(UNCOUNTED)
        client_requests.watch(b"")
        told.update(profiled.finish())
    client_requests.tell(f"{os.getpid()}.{FUNCTIONS_FILE}")
    with open(f"{os.getpid()}.{NODES_FILE}", "x", encoding="utf-8") as file:
        file.write(json.dumps(told))


class _Code(NamedTuple):
    """A library's file, and the addresses of its code in this process."""

    path: str
    base: int
    start: int
    end: int


@functools.cache
def find_code(library: str) -> _Code:
    """Find a library that this process has loaded; in a child it lies where it lay before."""
    ranges = []
    with open("/proc/self/maps", encoding="utf-8") as file:
        content = file.read()
    # Few of its many lines are looked at one by one.
    at = content.find(library)
    while at >= 0:
        end_of_line = content.index("\n", at)
        line = content[content.rfind("\n", 0, at) + 1 : end_of_line]
        addresses, access, offset, _, _, path = line.split(maxsplit=5)
        start, end = (int(one, 16) for one in addresses.split("-"))
        ranges.append((start, end, access[2] == "x", int(offset, 16), path))
        at = content.find(library, end_of_line)
    if not ranges:
        raise OSError(f"no file of {library} is mapped")
    base = min(start - offset for start, _, _, offset, _ in ranges if offset == 0)
    code = [(start, end) for start, end, is_code, _, _ in ranges if is_code]
    return _Code(ranges[0][-1], base, min(code)[0], max(end for _, end in code))


def _end_of_call() -> int:
    """Return the address of the code by which a runtime comes back to Python."""
    import ctypes

    back = ctypes.pythonapi.PyEval_RestoreThread
    return int(ctypes.cast(back, ctypes.c_void_p).value or 0)
