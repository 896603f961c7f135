"""The process inside Valgrind.

``serve``: imports the framework with counting off, warms up with counting on, then forks a child
for each request. The children inherit the translated code and the warm caches; each starts from
the very same memory, which is what makes their counts equal.

``once``: for frameworks that start threads and cannot be forked. Does one request and ends.

``whole``: does one request with no regions, for a process that is counted as a whole.

The parent of the children must not change between two of them. So it reads requests of a fixed
length, never parses them, and keeps nothing; all that differs happens in the child.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from powerml.simulate import _client_requests as valgrind
from powerml.simulate.request import (
    HELLO_BYTES,
    NAME_BYTES,
    REHEARSAL,
    REQUEST_BYTES,
    Request,
)

REQUESTS = 0  # file descriptor on which the host sends requests
REPORTS = 3  # file descriptor on which it reads reports: standard output, put out of harm's way

Moments = dict[str, float]  # what a request has come to, and when: seconds of the monotonic clock

# Images, batch size and shape of each round. The first has the code translated that computes; the
# second leaves no first times of the framework behind, for which a few pixels do.
WARM_UP_ROUNDS = ((64, 32, (28, 28)), (8, 4, (8, 8)))
WARM_UP_EPOCHS = 2
WARM_UP_TOPOLOGIES = ("dffr:layers=1,width=4", "cnn:layers=1,filters=1,kernel=3")
# Counts do not depend on the seed of the native training: the simulated one is always the same.
SEED = 0


def main() -> None:
    """Run in the mode that the only argument names."""
    mode = sys.argv[1]
    if mode == "whole":
        _run_whole()
        return
    valgrind.die_with_parent()
    os.dup2(1, REPORTS)
    os.dup2(2, 1)
    # Whoever started this process and has ended since cannot be waited for.
    if os.read(REQUESTS, HELLO_BYTES) != b"%0*d" % (HELLO_BYTES, os.getppid()):
        return
    _import_framework()
    _report(b"imported")
    if mode == "once":
        _report(b"ready " + json.dumps(_guest()).encode())
        request = os.read(REQUESTS, REQUEST_BYTES)
        _measure(request, _run_once)
        _report(b"ended %s 0" % request[-NAME_BYTES:])
        _end()
    valgrind.start_instrumentation()
    for images, batch_size, shape in WARM_UP_ROUNDS:
        _report(b"warming %020d" % time.monotonic_ns())
        _warm_up(images, batch_size, shape)
    _report(b"warmed  %020d" % time.monotonic_ns())
    _settle()
    _report(b"ready " + json.dumps(_guest()).encode())
    _serve()


def _report(line: bytes) -> None:
    os.write(REPORTS, line + b"\n")


def _import_framework() -> None:
    import keras

    import powerml.families.cnn
    import powerml.families.dffr
    import powerml.simulate.steps  # noqa: F401 - imported for what it brings along

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    elif backend == "jax":
        import jax

        # A step that runs while the host goes on would fall into the next region.
        jax.config.update("jax_cpu_enable_async_dispatch", False)


def _warm_up(number: int, batch_size: int, shape: tuple[int, ...]) -> None:
    # Nothing is marked here: Valgrind goes on writing marks where it wrote the first one, and the
    # children could not be told apart.
    import numpy as np

    from powerml import training

    images = np.zeros((number, *shape), dtype=np.float32)
    labels = np.zeros(number, dtype=np.int64)
    for topology in WARM_UP_TOPOLOGIES:
        model = _build(topology, shape, 2, "default", SEED)
        training.fit(model, images, labels, batch_size, WARM_UP_EPOCHS)
        training.evaluate(model, images, labels, batch_size)


def _build(
    topology: str, input_shape: tuple[int, ...], classes: int, protocol: Any, seed: int
) -> Any:
    from powerml import training
    from powerml.topology import find_family, parse_topology

    parsed = parse_topology(topology)
    training.seed_everything(seed)
    family = find_family(parsed.family)
    return training.build_model(family, parsed.parameters, input_shape, classes, protocol)


def _settle() -> None:
    """Put away what the warm-up left, so that no collection falls into a region."""
    gc.collect()
    gc.freeze()
    gc.disable()


def _guest() -> dict[str, Any]:
    """What the simulated processor and the loaded libraries say of themselves."""
    import keras
    import numpy as np

    backend = keras.backend.backend()
    framework = sys.modules.get(backend) or __import__(backend)
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "software": {
            "python": platform.python_version(),
            "libc": " ".join(platform.libc_ver()),
            "numpy": np.__version__,
            "keras": keras.__version__,
            backend: str(framework.__version__),
        },
        "cpu_features": sorted({*simd.get("baseline", []), *simd.get("found", [])}),
    }


def _serve() -> NoReturn:
    # Children that have reported are not waited for, so nothing of them stays here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request = os.read(REQUESTS, REQUEST_BYTES)
        if len(request) != REQUEST_BYTES:
            _end()  # the host has closed the pipe: it is done
        if os.fork() == 0:
            _keep(request)
        # The next one takes this one's place in memory, so that every child finds the same heap.
        del request


def _keep(request: bytes) -> NoReturn:
    """Fork the measurement, wait for it and report how it ended, unless it has done so itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    valgrind.die_with_parent()
    name = request[-NAME_BYTES:]
    if name == REHEARSAL.encode():
        _end()
    pid = os.fork()
    if pid == 0:
        valgrind.die_with_parent()
        _measure(request, _run_phase)
        # It takes the kernel 0.1 s to take the process down, for which nobody has to wait.
        _report(b"ended %s 0" % name)
        _end()
    _report(b"started %s %d" % (name, os.getpid()))
    _, status = os.waitpid(pid, 0)
    _report(b"ended %s %d" % (name, os.waitstatus_to_exitcode(status)))
    _end()


def _end() -> NoReturn:
    """End at once: an orderly end would have Valgrind write the counts of the whole process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _measure(request: bytes, run: Callable[[Request, Moments], None]) -> None:
    """Do one request in its folder; leave there NAME.done, or NAME.error with the reason."""
    moments = {"forked": time.monotonic()}
    name = request[-NAME_BYTES:].decode()
    os.chdir(request[:-NAME_BYTES])
    try:
        with open(name, encoding="utf-8") as file:
            run(Request(**json.load(file)), moments)
        moments["ended"] = time.monotonic()
        with open(f"{name}.done", "w", encoding="utf-8") as file:
            json.dump({"process": os.getpid(), "moments_seconds": moments}, file)
    except BaseException as error:
        traceback.print_exc()
        with open(f"{name}.error", "w", encoding="utf-8") as file:
            file.write(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _region(name: str) -> Iterator[None]:
    """Count what happens inside, with the caches as they are."""
    _settle()
    valgrind.zero_stats()
    yield
    valgrind.dump_stats_at(name)


@contextlib.contextmanager
def _marked_region(request: Request, inputs: Any) -> Iterator[Any]:
    """Count the steps that are asked for; yields the callback that marks them."""
    from powerml.simulate.steps import Marks, only

    marks = Marks(request.marked_steps)
    with contextlib.ExitStack() as stack:
        if request.visits is not None:
            stack.enter_context(only(request.visits, inputs, request.touch_limit_bytes))
        _settle()
        valgrind.zero_stats()
        yield marks
        valgrind.mark("over")


def _model(request: Request) -> Any:
    shape = tuple(request.input_shape)
    return _build(request.topology, shape, request.classes, request.protocol, SEED)


def _data(request: Request, phase: str) -> tuple[Any, Any]:
    """Inputs and labels of a phase.

    numpy reads a file straight into an array: the kernel writes it, so the simulated caches have
    not seen the images when the region starts.
    """
    import numpy as np

    return (
        np.load(f"{request.data}-{phase}-inputs.npy", allow_pickle=False),
        np.load(f"{request.data}-{phase}-labels.npy", allow_pickle=False),
    )


def _run_phase(request: Request, moments: Moments) -> None:
    from powerml import training

    model = _model(request)
    moments["built"] = time.monotonic()
    inputs, labels = _data(request, request.phase)
    if request.phase == "training":
        with _marked_region(request, inputs) as marks:
            training.fit(model, inputs, labels, request.batch_size, request.epochs, callback=marks)
    else:
        _prime_inference(model, request, len(labels))
        moments["primed"] = time.monotonic()
        with _marked_region(request, inputs) as marks:
            training.evaluate(model, inputs, labels, request.batch_size, callback=marks)


def _prime_inference(model: Any, request: Request, images: int) -> None:
    """Have Keras set up its test function, on images that are not those to be measured."""
    import numpy as np

    from powerml import training

    count = min(request.batch_size, images)
    blank = np.zeros((count, *request.input_shape), dtype=np.float32)
    training.evaluate(model, blank, np.zeros(count, dtype=np.int64), count)


def _run_once(request: Request, _moments: Moments) -> None:
    """Count compilation, training and inference in one process that is not forked.

    The first pass over each shape of batch compiles. A second one leaves no first times behind.
    """
    from powerml import training

    model = _model(request)
    images, image_labels = _data(request, "training")
    inputs, labels = _data(request, "inference")
    few = _one_of_each_shape(len(images), request.batch_size)
    fewer = _one_of_each_shape(len(inputs), request.batch_size)

    def pass_over_shapes() -> None:
        training.fit(model, images[:few], image_labels[:few], request.batch_size, 1)
        training.evaluate(model, inputs[:fewer], labels[:fewer], request.batch_size)

    valgrind.start_instrumentation()
    with _region("compile"):
        pass_over_shapes()
    pass_over_shapes()
    with _region("training"):
        training.fit(model, images, image_labels, request.batch_size, request.epochs)
    with _region("inference"):
        training.evaluate(model, inputs, labels, request.batch_size)


def _one_of_each_shape(images: int, batch_size: int) -> int:
    """How many images make one full batch and one of what is left over."""
    return min(images, batch_size) + (images % batch_size if images > batch_size else 0)


def _run_whole() -> None:
    """Train, or evaluate, as one process from import to exit."""
    _import_framework()
    from powerml import training

    folder, _, name = sys.argv[2].rpartition("/")
    os.chdir(folder)
    with open(name, encoding="utf-8") as file:
        request = Request(**json.load(file))
    model = _model(request)
    inputs, labels = _data(request, request.phase)
    _settle()
    if request.phase == "training":
        training.fit(model, inputs, labels, request.batch_size, request.epochs)
    else:
        training.evaluate(model, inputs, labels, request.batch_size)


if __name__ == "__main__":
    main()
