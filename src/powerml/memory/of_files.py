"""The memory of a deployed model, from its file and its runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from powerml.errors import LONGEST_MESSAGE, shortened, words_of
from powerml.files.texts import printable
from powerml.memory.allocated import NativeRun, run_natively
from powerml.memory.liveness import Footprint, TensorGraph, UnknownGraphError, footprint_of
from powerml.memory.record import Memory
from powerml.runtimes import KERAS_SUFFIX
from powerml.workloads.model_files import external_files, format_of, load_model

__all__ = ["memory_of_file"]

SHOWN_TENSORS = 1


def memory_of_file(
    path: Path,
    runtime_name: str,
    inputs: Sequence[NDArray[Any]],
    allowed: Sequence[str] = (),
    *,
    allocated: bool,
) -> Memory:
    """Return the memory of a model that is run on such inputs.

    No code of the file is run, unless it is allowed by name. What cannot be found out is null, with
    a remark.

    Parameters
    ----------
    path
        The file that the runtime reads.
    runtime_name
        The runtime.
    inputs
        An array for each of its inputs in its order, with the batch.
    allowed
        Names of the file's own code that may be run.
    allocated
        True to load and run it natively, too, and count what is allocated.
    """
    shapes = [tuple(array.shape) for array in inputs]
    remarks: list[str] = []
    run = NativeRun()
    if allocated:
        run = run_natively(path, runtime_name, inputs, allowed, counted=True)
        if run.remark is not None:
            remarks.append(_sentence("what the runtime allocates is not known", run.remark))
    try:
        graph = _graph_of(path, runtime_name, shapes, inputs, allowed)
        footprint = Footprint(None, None) if graph is None else footprint_of(graph)
        why = f"{path.suffix} files are not analysed" if graph is None else None
        if footprint.unknown:
            several = len(footprint.unknown) - SHOWN_TENSORS
            more = f" and of {several} more" if several else ""
            first = printable(footprint.unknown[0])
            why = f"the graph leaves the size of {first}{more} open"
    except UnknownGraphError as error:
        footprint, why = Footprint(None, None), str(error)
    except Exception as error:  # parsers of foreign files raise whatever they like
        footprint, why = Footprint(None, None), f"the graph cannot be read: {words_of(error)}"
    if why is not None:
        remarks.append(_sentence("the memory of its graph is not known", why))
    return Memory(
        weights_bytes=footprint.weights_bytes,
        activations_bytes=footprint.activations_bytes,
        file_bytes=_file_bytes(path),
        allocated_bytes=run.allocated_bytes,
        remarks=remarks,
    )


def _graph_of(
    path: Path,
    runtime_name: str,
    shapes: Sequence[tuple[int, ...]],
    inputs: Sequence[NDArray[Any]],
    allowed: Sequence[str],
) -> TensorGraph | None:
    """Read a model's graph; None for a format that is not known."""
    suffix = format_of(path)
    if suffix == ".onnx":
        from powerml.memory.onnx_graph import onnx_graph

        return onnx_graph(path, shapes)
    if suffix == KERAS_SUFFIX:
        from powerml.memory.keras_graph import keras_graph

        return keras_graph(load_model(path, allowed), shapes)
    if suffix != ".tflite":
        return None
    from powerml.memory.tflite_graph import input_shapes, tflite_graph

    if input_shapes(path) == shapes:
        return tflite_graph(path, {})
    run = run_natively(path, runtime_name, inputs, allowed, counted=False, resized=True)
    if run.remark is not None:
        raise UnknownGraphError(run.remark)
    return tflite_graph(path, run.resized)


def _file_bytes(path: Path) -> int:
    beside = [path.parent / name for name in external_files(path)]
    return sum(one.stat().st_size for one in (path, *beside))


def _sentence(result: str, why: str) -> str:
    return shortened(f"{result}: {why}", LONGEST_MESSAGE)
