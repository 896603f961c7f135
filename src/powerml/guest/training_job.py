"""The job of training in the guest: Keras trains and evaluates a network, phase by phase."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from powerml.guest import _client_requests as client_requests
from powerml.guest.region import Moments, region, settle
from powerml.guest.request import (
    CLASSIFICATION,
    FUNCTIONS_FILE,
    NODES_FILE,
    PROFILED,
    Request,
)
from powerml.runtimes import find_runtime

# Samples, batch size and shape of each round. The first has the code translated that computes; the
# second leaves no first times of the framework behind, for which a few pixels do.
WARM_UP_ROUNDS = ((64, 32, (28, 28)), (8, 4, (8, 8)))
WARM_UP_EPOCHS = 2
WARM_UP_TOPOLOGIES = ("dffr:layers=1,width=4", "cnn:layers=1,filters=1,kernel=3")
PROFILED_STEPS = 4
# Counts do not depend on the seed of the native training: the simulated one is always the same.
SEED = 0


class TrainingJob:
    """The job of training and evaluating. See `powerml.guest.region.Job`."""

    def start(self) -> None:
        """Import Keras, for one thread."""
        import powerml.guest.steps  # noqa: F401 - imported for what it brings along

        find_runtime("keras").start()

    def versions(self) -> dict[str, str]:
        """Return the versions of the imported packages."""
        return find_runtime("keras").versions()

    def warm_up(self) -> Iterator[None]:
        """Build, train and evaluate small networks."""
        for samples, batch_size, shape in WARM_UP_ROUNDS:
            yield
            _warm_up(samples, batch_size, shape)

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Count one phase."""
        request = Request(**content)
        if request.profile == PROFILED:
            _profile_training(request)
        else:
            _run_phase(request, moments)

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:  # noqa: ARG002
        """Count several phases in a process that is not forked."""
        _run_once(Request(**content))


job = TrainingJob


def _warm_up(number: int, batch_size: int, shape: tuple[int, ...]) -> None:
    import numpy as np

    from powerml.networks import model as networks

    samples = np.zeros((number, *shape), dtype=np.float32)
    labels = np.zeros(number, dtype=np.int64)
    for topology in WARM_UP_TOPOLOGIES:
        model = _build(topology, shape, 2, "default", SEED)
        networks.fit(model, samples, labels, batch_size, WARM_UP_EPOCHS)
        networks.evaluate(model, samples, labels, batch_size)


def _build(
    topology: str,
    input_shape: tuple[int, ...],
    classes: int,
    protocol: Any,
    seed: int,
    *,
    task: str = CLASSIFICATION,
) -> Any:
    from powerml.networks import model as networks
    from powerml.spaces import find_space, parse_topology

    parsed = parse_topology(topology)
    networks.seed_everything(seed)
    space = find_space(parsed.space)
    return networks.build_model(space, parsed.parameters, input_shape, classes, protocol, task=task)


@contextlib.contextmanager
def _marked_region(request: Request, inputs: Any) -> Iterator[Any]:
    """Count the steps that are asked for; yields the callback that marks them."""
    from powerml.guest.steps import Marks, only

    marks = Marks(request.marked_steps)
    with contextlib.ExitStack() as stack:
        if request.visits is not None:
            stack.enter_context(only(request.visits, inputs, request.touch_limit_bytes))
        settle()
        client_requests.zero_stats()
        yield marks
        client_requests.mark("over")


def _model(request: Request) -> Any:
    if request.model is not None:
        from powerml.networks import model as networks

        networks.seed_everything(SEED)
        return networks.load_trainable(request.model, request.allowed, request.task)
    shape, task = tuple(request.input_shape), request.task
    return _build(request.topology, shape, request.classes, request.protocol, SEED, task=task)


def _data(request: Request, phase: str) -> tuple[Any, Any]:
    """Return the inputs and labels of a phase.

    numpy reads a file straight into an array: the kernel writes it, so the simulated caches have
    not seen the samples when the region starts.
    """
    import numpy as np

    return (
        np.load(f"{request.data}-{phase}-inputs.npy", allow_pickle=False),
        np.load(f"{request.data}-{phase}-labels.npy", allow_pickle=False),
    )


def _run_phase(request: Request, moments: Moments) -> None:
    from powerml.networks import model as networks

    model = _model(request)
    moments["built"] = client_requests.monotonic_seconds()
    inputs, labels = _data(request, request.phase)
    if request.phase == "training":
        with _marked_region(request, inputs) as marks:
            networks.fit(model, inputs, labels, request.batch_size, request.epochs, callback=marks)
    else:
        _prime_inference(model, request, len(labels))
        moments["primed"] = client_requests.monotonic_seconds()
        with _marked_region(request, inputs) as marks:
            networks.evaluate(model, inputs, labels, request.batch_size, callback=marks)


def _profile_training(request: Request) -> None:
    """Do the first steps of a training with each layer in a segment, and tell all but the first."""
    import json
    import os

    import keras

    from powerml.guest.layers import ProfiledSteps, training_in_segments
    from powerml.networks import model as networks

    # Layers without a name of their own are numbered from the first one again.
    keras.utils.clear_session(free_memory=False)
    model = _model(request)
    inputs, labels = _data(request, "training")
    size = request.batch_size
    steps = max(min(PROFILED_STEPS, len(inputs) // size - 1), 0)
    last = steps  # with a single step that one is told
    settle()
    client_requests.charge_functions(PROFILED)
    client_requests.zero_stats()
    counted = ProfiledSteps(last, f"{os.getpid()}.{FUNCTIONS_FILE}")
    with training_in_segments(model):
        taken = size * (steps + 1)
        networks.fit(model, inputs[:taken], labels[:taken], size, 1, callback=counted)
    with open(f"{os.getpid()}.{NODES_FILE}", "x", encoding="utf-8") as file:
        json.dump({"steps": max(steps, 1)}, file)


def _prime_inference(model: Any, request: Request, samples: int) -> None:
    """Have Keras set up its test function, on samples that are not those to be measured."""
    import numpy as np

    from powerml.networks import model as networks

    count = min(request.batch_size, samples)
    blank = np.zeros((count, *request.input_shape), dtype=np.float32)
    if request.task == CLASSIFICATION:
        labels = np.zeros(count, dtype=np.int64)
    else:
        labels = np.zeros((count, request.classes), dtype=np.float32)
    networks.evaluate(model, blank, labels, count)


def _run_once(request: Request) -> None:
    """Count compilation, training and, for ``all``, inference in one process.

    The first pass over each shape of batch compiles. A second one leaves no first times behind.
    """
    from powerml.networks import model as networks

    model = _model(request)
    also_inference = request.phase == "all"
    samples, sample_labels = _data(request, "training")
    inputs, labels = _data(request, "inference")
    few = _one_of_each_shape(len(samples), request.batch_size)
    fewer = _one_of_each_shape(len(inputs), request.batch_size)

    def pass_over_shapes() -> None:
        networks.fit(model, samples[:few], sample_labels[:few], request.batch_size, 1)
        if also_inference:
            networks.evaluate(model, inputs[:fewer], labels[:fewer], request.batch_size)

    client_requests.start_instrumentation()
    client_requests.zero_stats()
    with region("compile"):
        pass_over_shapes()
    pass_over_shapes()
    with region("training"):
        networks.fit(model, samples, sample_labels, request.batch_size, request.epochs)
    if also_inference:
        with region("inference"):
            networks.evaluate(model, inputs, labels, request.batch_size)
    client_requests.mark("over")


def _one_of_each_shape(samples: int, batch_size: int) -> int:
    """Count the samples of one full batch and of the smaller last one."""
    return min(samples, batch_size) + (samples % batch_size if samples > batch_size else 0)


def run_whole(content: dict[str, Any]) -> None:
    """Train, or evaluate, with no regions: the process is counted as a whole."""
    from powerml.networks import model as networks

    request = Request(**content)
    model = _model(request)
    inputs, labels = _data(request, request.phase)
    settle()
    if request.phase == "training":
        networks.fit(model, inputs, labels, request.batch_size, request.epochs)
    else:
        networks.evaluate(model, inputs, labels, request.batch_size)
