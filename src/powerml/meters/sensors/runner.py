"""The child of a native measurement: trains or runs a network in regions of several runs.

Called as ``python -P -m powerml.meters.sensors.runner PARENT REPORTS``. The first line of standard
input is a request, each further one the number of runs of a region. A region is set up first, and
begins at the line ``go``. Lines of JSON on the descriptor `REPORTS` answer.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["main"]

SEED = 0  # what a network costs does not depend on it
PR_SET_PDEATHSIG = 1
# Networks that are built before a region together have at most so many bytes of weights.
NETWORKS_BYTES = 512 * 2**20
WEIGHT_BYTES = 4 * 4  # weights, gradients, and the two moments of Adam
SETTLING_INFERENCES = 3


class NativeJob(Protocol):
    """Work that can be repeated."""

    most_runs: int
    """Runs that a region may have."""

    def start(self) -> None:
        """Import, build and warm up."""

    def set_up(self, runs: int) -> None:
        """Prepare what so many runs use up."""

    def run(self, runs: int) -> None:
        """Do the work of a region."""


class KerasJob:
    """A phase in Keras: training, or the paper's inference.

    Each training is that of a network of its own, as the simulated one is. On backends that compile
    it is that of one network, which has compiled before.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._trains = request["phase"] == "training"
        self._networks: list[Any] = []
        self.most_runs = sys.maxsize

    def start(self) -> None:
        """Import Keras, build the network and run the phase once."""
        from powerml.runtimes import find_runtime

        find_runtime("keras").start()
        stem = f"{self._request['data']}-{self._request['phase']}"
        self._inputs = np.load(f"{stem}-inputs.npy", allow_pickle=False)
        self._labels = np.load(f"{stem}-labels.npy", allow_pickle=False)
        self._networks = [self._build()]
        bytes_each = WEIGHT_BYTES * max(1, int(self._networks[0].count_params()))
        self._once(self._networks[0])
        if self._is_fresh:
            self.most_runs = max(1, NETWORKS_BYTES // bytes_each)

    @property
    def _is_fresh(self) -> bool:
        import keras

        return bool(self._trains and keras.backend.backend() == "torch")

    def set_up(self, runs: int) -> None:
        """Build a network for each training."""
        if self._is_fresh:
            self._networks = [self._build() for _ in range(runs)]

    def run(self, runs: int) -> None:
        """Train the networks, or evaluate the one."""
        for number in range(runs):
            self._once(self._networks[number % len(self._networks)])
        _wait_for_gpu()

    def _once(self, network: Any) -> None:
        from powerml.networks import model as networks

        batch_size, epochs = self._request["batch_size"], self._request["epochs"]
        if self._trains:
            networks.fit(network, self._inputs, self._labels, batch_size, epochs)
        else:
            networks.evaluate(network, self._inputs, self._labels, batch_size)

    def _build(self) -> Any:
        from powerml.networks import model as networks
        from powerml.spaces import find_space, parse_topology

        request = self._request
        networks.seed_everything(SEED)
        task = request.get("task", networks.CLASSIFICATION)
        if request["model"] is not None:
            return networks.load_trainable(request["model"], request["allowed"], task)
        topology = parse_topology(request["topology"])
        return networks.build_model(
            find_space(topology.space),
            topology.parameters,
            tuple(request["input_shape"]),
            request["classes"],
            request["protocol"],
            task=task,
        )


class InferenceJob:
    """The inferences of a model in a runtime."""

    most_runs = sys.maxsize

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request

    def start(self) -> None:
        """Import the runtime, load the model and run it a few times."""
        from powerml.runtimes import find_runtime

        request = self._request
        runtime = find_runtime(request["runtime"])
        runtime.start()
        shapes = [tuple(shape) for shape in request["shapes"]]
        session = runtime.load(request["model"], shapes, request["allowed"])
        arrays: Sequence[NDArray[Any]] = [
            np.load(f"{request['data']}-{number}.npy", allow_pickle=False)
            for number in range(len(shapes))
        ]
        names = [one.name for one in session.inputs]
        self._run = session.run
        self._feeds = [
            {name: array[number, ...] for name, array in zip(names, arrays, strict=True)}
            for number in range(len(arrays[0]))
        ]
        for feed in (self._feeds * SETTLING_INFERENCES)[:SETTLING_INFERENCES]:
            self._run(feed)

    def set_up(self, runs: int) -> None:
        """Do nothing: runs use nothing up."""

    def run(self, runs: int) -> None:
        """Run all inferences so many times."""
        run, feeds = self._run, self._feeds
        for _ in range(runs):
            for feed in feeds:
                run(feed)
        _wait_for_gpu()


def main(arguments: Sequence[str]) -> None:
    """Do a request until the host closes standard input."""
    parent, descriptor = map(int, arguments)
    _end_with(parent)
    with os.fdopen(descriptor, "w", encoding="utf-8", buffering=1) as reports:
        request = json.loads(sys.stdin.readline())
        job: NativeJob = (InferenceJob if "runtime" in request else KerasJob)(request)
        job.start()
        reports.write(json.dumps(_described(request, job)) + "\n")
        for line in sys.stdin:
            _region(job, int(line), reports)


def _region(job: NativeJob, runs: int, reports: Any) -> None:
    job.set_up(runs)
    gc.collect()
    reports.write("{}\n")
    if not sys.stdin.readline():
        return
    start, begun = time.time(), time.monotonic()
    job.run(runs)
    ended, end = time.monotonic(), time.time()
    reports.write(json.dumps({"start": start, "end": end, "seconds": ended - begun}) + "\n")


def _described(request: dict[str, Any], job: NativeJob) -> dict[str, Any]:
    """Describe this process for the fingerprint."""
    from powerml.runtimes import find_runtime

    return {
        "software": {
            "python": ".".join(map(str, sys.version_info[:3])),
            "numpy": np.__version__,
            **find_runtime(request.get("runtime", "keras")).versions(),
        },
        "most_runs": job.most_runs,
        "has_gpu": _has_gpu(),
    }


def _has_gpu() -> bool:
    """Return whether Keras has imported a backend that runs on a GPU."""
    if "keras" not in sys.modules:
        return False
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_available())
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


def _wait_for_gpu() -> None:
    """Wait until the GPU has done all: torch returns before. The others return their results."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
