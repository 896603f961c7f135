"""The job of deployment in the guest: a runtime loads a model and runs it."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.guest import _client_requests as client_requests
from powerml.guest.nodes import find_code, profile_nodes
from powerml.guest.region import Moments, settle
from powerml.guest.request import PROFILED, DeploymentRequest
from powerml.runtimes import Feed, ProfiledSession, Runtime, Session, find_runtime

WARM_UP_MODELS = Path(__file__).parent / "warm_up"
# Python fits its byte code to the types that it meets, within some tens of runs in all.
WARM_UP_INFERENCES = 12
# The first run sets up, the second takes up the memory that the first has found out it needs.
SETTLING_INFERENCES = 1
SCRATCH = "warm-up"
# So large a mapping lies where nothing was before: what is gone from memory may still be cached.
UNSEEN_BYTES = 64 * 2**20


class DeploymentJob:
    """The job of loading and running a model. See `powerml.guest.region.Job`."""

    def __init__(self, runtime: str) -> None:
        self._runtime: Runtime = find_runtime(runtime)

    def start(self) -> None:
        """Import the runtime."""
        self._runtime.start()

    def versions(self) -> dict[str, str]:
        """Return the versions of the runtime."""
        return self._runtime.versions()

    def warm_up(self) -> Iterator[None]:
        """Load and run small models of several kinds, twice: later ones affect earlier ones."""
        model_format = self._runtime.format
        models = model_format.warm_up_models
        if models is None:
            models = tuple(sorted(WARM_UP_MODELS.glob(f"*{model_format.suffix}")))
        for _ in range(2):
            yield
            for model in models:
                session = self._runtime.load(str(model))
                shape = tuple(1 if isinstance(n, str) else n for n in session.inputs[0].shape)
                session = self._runtime.load(str(model), [shape])
                feeds = _feeds(session, [np.zeros((WARM_UP_INFERENCES, *shape), np.float32)])
                infer(session, feeds)
                self._warm_up_profiler(model, shape, feeds[:1])

    def _warm_up_profiler(self, model: Path, shape: tuple[int, ...], feeds: list[Feed]) -> None:
        """Have the runtime's own profiler translated too, which each child would do again."""
        load = getattr(self._runtime, "load_profiled", None)
        if load is None:
            return
        with _scratch_folder():
            profiled: ProfiledSession = load(str(model), [shape])
            infer(profiled.session, feeds)
            profiled.finish()
            if profiled.library:
                find_code(profiled.library)

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Count the loading and the inferences."""
        request = DeploymentRequest(**content)
        shapes = [tuple(shape) for shape in request.shapes]
        inputs = [_cold_array(f"{request.data}-{number}.npy") for number in range(len(shapes))]
        moments["built"] = client_requests.monotonic_seconds()
        settle()
        client_requests.charge_functions(request.profile)
        client_requests.zero_stats()
        client_requests.segment("load")
        session = self._load(request, shapes)
        blank = _feeds(session, [np.zeros((1, *one.shape[1:]), one.dtype) for one in inputs])
        infer(session, blank)
        client_requests.mark("load")
        client_requests.segment(None)
        feeds = _feeds(session, inputs)
        settle()
        client_requests.learn(request.profile)
        infer(session, blank * SETTLING_INFERENCES)
        moments["primed"] = client_requests.monotonic_seconds()
        # No inference at all: what the marks and the loop cost themselves. The second time counts.
        for name in ("settled", "nothing yet"):
            client_requests.mark(name)
            client_requests.segment("nothing")
            infer(session, [])
        client_requests.mark("nothing")
        client_requests.segment("inference")
        infer(session, feeds)
        client_requests.mark("over")
        client_requests.segment(None)
        client_requests.learn_no_more()
        if request.profile == PROFILED:
            profile_nodes(self._runtime, request, shapes, feeds[:1])

    def _load(self, request: DeploymentRequest, shapes: Sequence[tuple[int, ...]]) -> Session:
        return self._runtime.load(request.model, shapes, request.allowed)

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:
        """Count the same with cold caches at the start of `load`."""
        client_requests.start_instrumentation()
        self.run(content, moments)


job = DeploymentJob


@contextlib.contextmanager
def _scratch_folder() -> Iterator[None]:
    """Work in a folder beside the view for a while, and remove it with what was written there."""
    before = os.getcwd()
    folder = f"{sys.prefix}/../{SCRATCH}"
    os.mkdir(folder)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        for name in os.listdir(folder):
            os.remove(f"{folder}/{name}")
        os.rmdir(folder)


def _cold_array(path: str) -> NDArray[Any]:
    """Read an array that the simulated caches have not seen: the kernel writes it to fresh pages.

    numpy would read a small file through a buffer, and copy it from there.
    """
    with open(path, "rb", buffering=0) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
        size_bytes = math.prod(shape) * dtype.itemsize
        pages = memoryview(mmap.mmap(-1, UNSEEN_BYTES + size_bytes))[UNSEEN_BYTES:]
        file.readinto(pages)
    return np.ndarray(shape, dtype, pages)


def _feeds(session: Session, inputs: Sequence[NDArray[Any]]) -> list[Feed]:
    """Return a feed for each inference, from arrays in the order of the model's inputs."""
    names = [one.name for one in session.inputs]
    return [
        # An array of a scalar's shape too, which an index alone would make a number.
        {name: array[number, ...] for name, array in zip(names, inputs, strict=True)}
        for number in range(len(inputs[0]))
    ]


def infer(session: Session, feeds: Sequence[Feed]) -> None:
    """Run a model on each feed."""
    run = session.run
    for feed in feeds:
        run(feed)
