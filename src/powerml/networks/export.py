"""Export: a Keras model as a runtime's file, and the check of its outputs.

Keras does the export; it is imported when it is needed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras, keras_alone
from powerml.errors import ExportError, PowerMLError, SetupError, text_of
from powerml.networks.native import build_topology
from powerml.networks.numbering import numbered_from_the_start
from powerml.networks.own_training import build_own
from powerml.networks.recurrence import as_operators
from powerml.networks.seeding import keras_seeds_from
from powerml.runtimes import (
    FRAMEWORK,
    KERAS_SUFFIX,
    Exporter,
    find_runtime,
    require_runtime,
    runtimes_by_suffix,
)
from powerml.workloads.workload import Material, OwnMaterial, OwnWorkload, TopologyWorkload

__all__ = [
    "CHECKED_SAMPLES",
    "TOLERANCE",
    "export_checked",
    "export_model",
    "export_module",
    "export_once",
    "export_proved",
    "export_topology",
    "is_module",
    "largest_difference",
]

# Largest difference of an output, such as a probability; of one beyond 1, relative to its largest
# value. float32 has 24 bits, 6e-8: sums in another order differ by some 1e-7 (the winners of
# benchmarks/deployment.py by up to 1.5e-7), and what is computed otherwise by far more than 1e-5.
TOLERANCE = 1e-5
CHECKED_SAMPLES = 100
CHECKED_INFERENCES = 100  # of those that are measured: as many as a winner has samples
MODULE_SUFFIX = ".onnx"
ADVICE_FOR_MODULES = "try torch.onnx.export on it, and give its file"
SEED = 0  # counts do not depend on the values of the weights
MOST_EXPORTS = 32  # that are kept in memory: some for each trial that is under way
Unrolled = Callable[[str, int], None]
_exports: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
_exports_lock = threading.Lock()


def _nothing(_layer: str, _steps: int) -> None:
    """Ignore a layer that is exported step by step."""


def export_once(
    workload: TopologyWorkload | OwnWorkload,
    path: Path,
    inputs: Sequence[NDArray[Any]],
    material: Material = None,
) -> None:
    """Write the export of a workload's network, which is exported once in a process.

    The most recent exports are kept. See `export_topology`.
    """
    deployment = workload.deployment
    if deployment is None:
        raise TypeError(workload)
    key = (
        workload.name,
        workload.input_shape,
        workload.task,
        workload.classes,
        workload.protocol,
        workload.backend,
        workload.code_digest if workload.kind == "own" else None,
        deployment.batch_size,
        path.suffix,
    )
    with _exports_lock:
        kept = _exports.get(key)
    if kept is not None:
        path.write_bytes(kept)
        return
    export_topology(workload, path, inputs, material)
    with _exports_lock:
        _exports[key] = path.read_bytes()
        while len(_exports) > MOST_EXPORTS:
            _exports.popitem(last=False)


def export_topology(
    workload: TopologyWorkload | OwnWorkload,
    path: Path,
    inputs: Sequence[NDArray[Any]],
    material: Material = None,
) -> None:
    """Build a workload's network, untrained, and export it with a check of its outputs.

    Parameters
    ----------
    workload
        A topology, or a network of a user's own space, with a deployment.
    path
        Where to; its suffix is the format.
    inputs
        Arrays of shape (inferences, *shape of the input), one for each input of the model.
    material
        The space of a user's own network.

    Raises
    ------
    ExportError
        Its framework cannot export it, or the export's outputs differ.
    """
    import_keras()
    from powerml.networks.model import seed_everything

    if workload.deployment is None:
        raise TypeError(workload)
    with numbered_from_the_start():
        with keras_alone(), keras_seeds_from(SEED):
            seed_everything(SEED)
            if workload.kind == "topology":
                model = build_topology(workload)
            elif isinstance(material, OwnMaterial):
                model = build_own(workload, material)
            else:
                raise TypeError(material)
        export_proved(model, path, workload.deployment.runtime, inputs)


def export_proved(
    model: Any,
    path: Path,
    runtime_name: str,
    inputs: Sequence[NDArray[Any]],
    unrolled: Unrolled = _nothing,
) -> float:
    """Export a network for the exact shapes of its inputs, and check its outputs.

    The batch of a Keras model is left open if it can be, with outputs that agree, and fixed
    otherwise. That of a PyTorch module is fixed.

    Parameters
    ----------
    model
        The Keras model, or a ``torch.nn.Module``.
    path
        Where to; its suffix is the format that the runtime reads. It is not there after an error.
    runtime_name
        What it is to run in.
    inputs
        Arrays of shape (inferences, *shape of the input), in the order of the model's inputs.
    unrolled
        Called with the name of a recurrent layer that is exported step by step, and its steps.

    Returns ------- The largest difference of an output; see `largest_difference`.

    Raises
    ------
    ExportError
        It cannot be exported, or an output differs by more than `TOLERANCE`.
    """
    shapes = [array.shape[1:] for array in inputs]
    if is_module(model):
        return _export_module_proved(model, path, runtime_name, inputs)
    if path.suffix == KERAS_SUFFIX:
        export_model(model, path, shapes)
        return 0.0
    unproved: ExportError | None = None
    for fixed in (False, True):
        try:
            export_model(model, path, shapes, fixed=fixed, unrolled=unrolled)
            difference = largest_difference(model, path, runtime_name, inputs)
        except ExportError as error:
            unproved = error
        else:
            # A NaN is no small difference.
            if difference <= TOLERANCE:
                return difference
            unproved = ExportError(
                f"the model {model.name} computes other outputs in {runtime_name}: they differ by "
                f"up to {difference:.2g}, more than {TOLERANCE:g}; add --runtime keras"
            )
        path.unlink(missing_ok=True)
        if not _exporter_to(path.suffix).leaves_batch_open:
            break
    raise unproved or ExportError(f"the model {model.name} cannot be exported")


def is_module(model: object) -> bool:
    """Return whether an object is a module of PyTorch, and no Keras model."""
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    if torch is None or not isinstance(model, torch.nn.Module):
        return False
    # In Keras on torch a model is a module, too.
    return keras is None or not isinstance(model, keras.Model)


def _export_module_proved(
    module: Any, path: Path, runtime_name: str, inputs: Sequence[NDArray[Any]]
) -> float:
    import torch

    name = type(module).__name__
    if path.suffix != MODULE_SUFFIX:
        raise ExportError(
            f"the PyTorch network {name} is exported to {MODULE_SUFFIX} alone: leave out --runtime"
        )
    example_inputs = tuple(torch.from_numpy(array[0].copy()) for array in inputs)
    export_module(module, example_inputs, path, f"add --runtime {FRAMEWORK}")
    difference = largest_difference(module, path, runtime_name, inputs)
    if difference <= TOLERANCE:
        return difference
    path.unlink(missing_ok=True)
    raise ExportError(
        f"the network {name} computes other outputs in {runtime_name}: they differ by up to "
        f"{difference:.2g}, more than {TOLERANCE:g}: look for parts that are random, or that "
        "differ between training and evaluation"
    )


def export_model(
    model: Any,
    path: Path,
    shapes: Sequence[tuple[int, ...]],
    *,
    fixed: bool = False,
    unrolled: Unrolled = _nothing,
) -> None:
    """Write a Keras model as ``.onnx``, ``.tflite`` or ``.keras``, by the path's suffix.

    Parameters
    ----------
    model, path
        The model, and where to.
    shapes
        Shapes of its inputs with the batch. A format that can leave the batch open does so, unless
        `fixed` or the model fixes it.
    fixed
        Fix the batch in any format.
    unrolled
        Called with the name of a recurrent layer that is exported step by step, and its steps.

    Raises
    ------
    ExportError
        Keras cannot export it.
    """
    import keras

    with keras_alone():
        if path.suffix == KERAS_SUFFIX:
            model.save(path)
            return
        exporter = _exporter_to(path.suffix)
        inputs = _inputs_of(model, shapes)
        flat = keras.tree.flatten(inputs)

        def described(one: Any, shape: tuple[int, ...]) -> Any:
            is_open = exporter.leaves_batch_open and not fixed and one.shape[0] is None
            sizes = (None if is_open else shape[0], *shape[1:])
            return keras.InputSpec(shape=sizes, dtype=one.dtype, name=one.name)

        def packed(leaves: Sequence[Any]) -> Any:
            return keras.tree.pack_sequence_as(inputs, list(leaves))

        pairs = list(zip(flat, shapes, strict=True))
        zeros = packed([np.zeros(shape, one.dtype) for one, shape in pairs])
        signature = packed([described(one, shape) for one, shape in pairs])
        try:
            with _quietly(), as_operators(unrolled):
                # Layers that make their weights at their first call have none before it.
                model.predict_on_batch(zeros)
                exporter.write(model, str(path), signature)
        except Exception as error:  # exporters raise whatever they like
            path.unlink(missing_ok=True)
            raise ExportError.quoting(
                f"the model {model.name} cannot be exported to {path.suffix}",
                error,
                "add --runtime keras",
            ) from error


def _inputs_of(model: Any, shapes: Sequence[tuple[int, ...]]) -> Any:
    """Return a Keras model's inputs in their structure; of a class of its own, those it is given.

    Such a class says nothing of its inputs, and takes one of float32.
    """
    import keras

    if isinstance(model, keras.Sequential) and model.inputs:
        return model.inputs[0]
    if getattr(model, "inputs", None):
        return model.input
    [shape] = shapes
    return keras.KerasTensor((None, *shape[1:]), dtype="float32", name="input")


def export_module(
    module: Any, example_inputs: tuple[Any, ...], path: Path, advice: str = ADVICE_FOR_MODULES
) -> None:
    """Write a ``torch.nn.Module`` as ``.onnx``, for the shapes of its example inputs.

    Parameters
    ----------
    module
        The module; its mode is as before afterwards.
    example_inputs
        Tensors that it is called with.
    path
        Where to.
    advice
        The advice where it cannot be exported.

    Raises
    ------
    ExportError
        PyTorch cannot export it.
    SetupError
        What exports it is not installed.
    """
    import torch

    was_training = module.training
    try:
        with keras_alone(), _quietly():
            module.eval()
            torch.onnx.export(
                module,
                example_inputs,
                str(path),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except PowerMLError:
        raise
    except ImportError as error:
        raise SetupError.quoting(
            f"{path.stem} cannot be exported to ONNX", error, "pip install 'powerml[torch]'"
        ) from error
    except Exception as error:  # it runs the user's code
        path.unlink(missing_ok=True)
        raise ExportError.quoting(
            f"{type(module).__name__} cannot be exported to ONNX",
            _first_line_of_cause(error),
            advice,
        ) from error
    finally:
        module.train(was_training)


def _first_line_of_cause(error: BaseException) -> str:
    """Return the reason that an exporter gives: it wraps the reason in steps of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(text_of(error).strip().splitlines()), type(error).__name__)


def _exporter_to(suffix: str) -> Exporter:
    exporter = find_runtime(runtimes_by_suffix()[suffix]).format.exporter
    if exporter is None:
        raise ExportError(f"Keras exports no {suffix} files: add --runtime keras")
    return exporter


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporters' warnings and prints, which do not concern the user."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(_Muted(sys.stdout)),
            contextlib.redirect_stderr(_Muted(sys.stderr)),
            _torch_graphs_untold(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


class _Muted(io.TextIOBase):
    """A stream that drops what this thread writes. Others may show progress meanwhile."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return len(text)
        return int(self._stream.write(text))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())


class _Never:
    """A function that says no, and is false itself."""

    def __bool__(self) -> bool:
        return False

    def __call__(self) -> bool:
        return False


@contextlib.contextmanager
def _torch_graphs_untold() -> Iterator[None]:
    """Keep PyTorch 2.13 from printing graphs of failed exports to the standard output.

    It looks if this was wanted before, and tests the function in place of its result.
    """
    internals, name = getattr(sys.modules.get("torch"), "_C", None), "_jit_is_onnx_log_enabled"
    before = getattr(internals, name, None)
    if before is None:
        yield
        return
    setattr(internals, name, _Never())
    try:
        yield
    finally:
        setattr(internals, name, before)


def largest_difference(
    model: Any, exported: Path, runtime_name: str, inputs: Sequence[NDArray[Any]]
) -> float:
    """Run a network and its export on the same inputs; return the largest difference.

    The difference is absolute for outputs within -1 and 1, such as probabilities. Otherwise it is
    relative to the largest absolute value of the network's own output. It is NaN if only one of the
    two is not a number.

    Parameters
    ----------
    model
        The Keras model, or the module of PyTorch.
    exported
        The file that the runtime reads.
    runtime_name
        What it is run in.
    inputs
        Arrays of shape (inferences, *shape of the input), in the order of the model's inputs. The
        first few inferences are compared.

    Raises
    ------
    ExportError
        The runtime does not run it, or its inputs or outputs do not match the model's.
    """
    runtime = require_runtime(runtime_name)
    runtime.start()
    worst = [0.0]
    name = getattr(model, "name", type(model).__name__)
    try:
        session = runtime.load(str(exported), [array.shape[1:] for array in inputs])
        names = [one.name for one in session.inputs]
        for number in range(min(len(inputs[0]), CHECKED_INFERENCES)):
            arrays = [array[number] for array in inputs]
            found = session.run(dict(zip(names, arrays, strict=True)))
            with keras_alone():
                expected = _outputs(model, arrays)
            outputs = list(zip(_as_list(found), expected, strict=True))
            worst += [_difference(np.asarray(one), np.asarray(other)) for one, other in outputs]
    except Exception as error:  # runtimes raise whatever they like
        raise ExportError.quoting(
            f"the model {name}, exported, does not run in {runtime_name} as before",
            error,
            "leave out --runtime" if is_module(model) else "add --runtime keras",
        ) from error
    return float(np.max(worst))  # not Python's: it would lose a NaN


def _outputs(model: Any, arrays: Sequence[NDArray[Any]]) -> list[Any]:
    if not is_module(model):
        import keras

        outputs: list[Any] = keras.tree.flatten(model.predict_on_batch(_packed(model, arrays)))
        return outputs
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            found = model(*(torch.from_numpy(array.copy()) for array in arrays))
    finally:
        model.train(was_training)
    return [one.numpy() for one in _as_list(found)]


def _packed(model: Any, arrays: Sequence[NDArray[Any]]) -> Any:
    import keras

    if len(arrays) == 1 and not isinstance(getattr(model, "input", None), (list, tuple, dict)):
        return arrays[0]
    return keras.tree.pack_sequence_as(model.input, list(arrays))


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape:
        raise ValueError(f"an output of shape {found.shape} instead of {expected.shape}")
    if found.size == 0:
        return 0.0
    one, other = found.astype(np.float64), expected.astype(np.float64)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(one - other)).max()
    finite = np.abs(other[np.isfinite(other)])
    return float(apart / max(1.0, finite.max(initial=0.0)))


def export_checked(
    saved: Path,
    runtime_name: str,
    samples: NDArray[np.float32],
    batch_size: int,
    model: Any = None,
) -> tuple[Path, float]:
    """Export a saved network of one input beside itself, with a check of its outputs.

    Parameters
    ----------
    saved
        The ``.keras`` file, one of powerML's own.
    runtime_name, batch_size
        The runtime that it will run in, and the samples at once.
    samples
        Network inputs of shape (samples, ...), to compare the outputs on; the first are repeated to
        fill the last batch.
    model
        The network, where it has been read from the file.

    Returns
    -------
    The exported file, and the largest difference of an output.

    Raises
    ------
    ExportError
        It cannot be exported, or an output differs by more than `TOLERANCE`; nothing is left.
    """
    runtime = find_runtime(runtime_name)
    if model is None:
        import keras

        model = keras.saving.load_model(saved, safe_mode=True)
    path = saved.with_suffix(runtime.format.suffix)
    unfinished = saved.with_name(f"unfinished{runtime.format.suffix}")
    count = math.ceil(len(samples) / batch_size)
    filled = samples[np.arange(count * batch_size) % len(samples)]
    batches = filled.reshape(count, batch_size, *samples.shape[1:])
    try:
        difference = export_proved(model, unfinished, runtime_name, [batches])
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path, difference


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
