"""Preparation: what was asked for, checked and written down as a workload with its material.

Everything that can be refused is refused here, before anything is started.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras, select_backend
from powerml.datasets import (
    DEFAULT_VALIDATION,
    REQUIRED_ARRAYS,
    Dataset,
    array_names,
    load_dataset,
    read_arrays,
)
from powerml.errors import ModelError, UsageError
from powerml.export import require_exporter
from powerml.inputs import (
    digest_of_arrays,
    inputs_from_arrays,
    inputs_from_dataset,
    open_dimensions_of,
    random_inputs,
    resolve_inputs,
)
from powerml.model_formats import RUNTIME_OF, check_format, file_digest, format_of
from powerml.models import check_runs, read_inputs
from powerml.room import require_room
from powerml.runtimes import DEFAULT_RUNTIME, Input, Runtime, require_runtime
from powerml.simulate.launch import require_installed
from powerml.topology import Topology
from powerml.user_texts import printable
from powerml.workload import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCHS,
    DEFAULT_INFERENCE_BATCH,
    DEFAULT_INFERENCES,
    Deployment,
    Material,
    ModelFile,
    ModelInput,
    ModelWorkload,
    Protocol,
    Workload,
    check_at_least_one,
    check_seed,
    make_workload,
)

__all__ = ["DEFAULT_DATA", "Wanted", "make_deployment", "prepare_file", "prepare_topology"]

DEFAULT_DATA = "mnist_small"
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Wanted:
    """What was asked for; see `powerml.measure`.

    `evaluates`: a topology is run as in the paper unless a runtime is named. `whole`: the meter
    counts whole processes, of topologies alone.
    """

    data: str | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    epochs: int = DEFAULT_EPOCHS
    protocol: Protocol = "default"
    runtime: str | None = None
    inference_batch: int | None = None
    inferences: int = DEFAULT_INFERENCES
    dimensions: Mapping[str, int] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    validation: float = DEFAULT_VALIDATION
    seed: int = 0
    evaluates: bool = False
    whole: bool = False


def prepare_topology(topology: Topology, wanted: Wanted) -> tuple[Workload, Dataset]:
    """Prepare a topology to be trained and run.

    Raises
    ------
    SetupError
        A Keras backend, the runtime or the export to it is not installed.
    UsageError
        What was asked for cannot be done.
    """
    for given, what in ((wanted.dimensions, "--dim"), (wanted.allowed, "--allow-code")):
        if given:
            raise UsageError(f"{what} is for a model's file, and {topology} is a topology")
    backend = select_backend()
    dataset = load_dataset(wanted.data or DEFAULT_DATA, wanted.validation)
    deployment = _deployment(wanted, backend)
    return _on_dataset(topology, dataset, wanted, backend, deployment), dataset


def _on_dataset(
    topology: Topology,
    dataset: Dataset,
    wanted: Wanted,
    backend: str,
    deployment: Deployment | None,
) -> Workload:
    if deployment is not None:
        require_room(
            deployment.samples * math.prod(dataset.input_shape) * FLOAT_BYTES,
            f"the input of {deployment.inferences} inferences",
            "give fewer --inferences, or a smaller --inference-batch",
        )
    return make_workload(
        topology,
        dataset,
        batch_size=wanted.batch_size,
        epochs=wanted.epochs,
        protocol=wanted.protocol,
        backend=backend,
        validation=wanted.validation,
        seed=wanted.seed,
        deployment=deployment,
    )


def make_deployment(
    runtime: str | None,
    inference_batch: int | None,
    inferences: int,
    backend: str,
    *,
    evaluates: bool,
) -> Deployment | None:
    """How a Keras model is run: None for the paper's way, Keras's ``evaluate``.

    Parameters
    ----------
    runtime
        Name of the runtime, None for the default.
    inference_batch, inferences
        Samples in a batch, None for the default; batches that are counted.
    backend
        The backend that Keras exports from.
    evaluates
        Whether the paper's way is the default.

    Raises
    ------
    SetupError
        The runtime, or the export to it, is not installed.
    UsageError
        A number is below 1, or an option does not go with the paper's way.
    """
    batch = DEFAULT_INFERENCE_BATCH if inference_batch is None else inference_batch
    check_at_least_one(inference_batch=batch, inferences=inferences)
    if runtime is None and evaluates:
        if inference_batch is not None:
            raise UsageError(
                "the paper's inference runs over the test samples in batches of the training's "
                "size: leave out --inference-batch, or add --runtime"
            )
        return None
    chosen = require_runtime(runtime or DEFAULT_RUNTIME)
    require_exporter(chosen, backend)
    return Deployment(runtime=chosen.name, batch_size=batch, inferences=inferences)


def _deployment(wanted: Wanted, backend: str) -> Deployment | None:
    return make_deployment(
        wanted.runtime,
        wanted.inference_batch,
        wanted.inferences,
        backend,
        evaluates=wanted.evaluates,
    )


def prepare_file(path: Path, wanted: Wanted) -> tuple[Workload | ModelWorkload, Material]:
    """Prepare a model's file to be run; a ``.keras`` file with a dataset to be trained too.

    Raises
    ------
    ModelError
        The file cannot be used.
    SetupError
        What runs it is not installed.
    UsageError
        What was asked for cannot be done.
    """
    check_format(path)
    check_at_least_one(inferences=wanted.inferences)
    check_seed(wanted.seed)
    if wanted.whole:
        raise UsageError("the meter cachegrind measures topologies: give a file to callgrind")
    made_for = require_runtime(RUNTIME_OF[format_of(path)])
    is_keras = made_for.suffix == ".keras"
    if not is_keras and wanted.runtime not in (None, made_for.name):
        raise UsageError(
            f"a {made_for.suffix} file runs in {made_for.name}, not in {wanted.runtime}: "
            "leave out --runtime"
        )
    if not is_keras and wanted.allowed:
        raise UsageError(f"--allow-code is for .keras files: a {made_for.suffix} file has no code")
    if not is_keras:
        return _to_be_run(path, wanted, made_for, None)
    backend = select_backend()
    if wanted.data is not None and not _holds_inputs(path, wanted):
        return _to_be_trained(path, wanted, backend)
    runtime = require_runtime(wanted.runtime or DEFAULT_RUNTIME)
    require_exporter(runtime, backend)
    return _to_be_run(path, wanted, runtime, backend)


def _holds_inputs(path: Path, wanted: Wanted) -> bool:
    """Whether the data is an array for each input rather than a dataset."""
    if wanted.data is None or not wanted.data.endswith(".npz"):
        return False
    names = array_names(Path(wanted.data))
    if set(REQUIRED_ARRAYS) <= set(names):
        return False
    return any(one.name in names for one in read_inputs(path, wanted.allowed))


def _to_be_run(
    path: Path, wanted: Wanted, runtime: Runtime, backend: str | None
) -> tuple[ModelWorkload, ModelFile]:
    digest = file_digest(path)
    found = read_inputs(path, wanted.allowed)
    arrays, dataset = _data_for(found, wanted)
    dimensions = {**open_dimensions_of(found, arrays or {}), **wanted.dimensions}
    inputs, batch_size = resolve_inputs(found, wanted.inference_batch, dimensions)
    if runtime.suffix == ".keras":
        require_installed(_modules(wanted.allowed), backend)
    require_room(
        wanted.inferences * sum(_bytes_of(one) for one in inputs),
        f"the input of {wanted.inferences} inferences",
        "give fewer --inferences, a smaller --inference-batch or --dim",
    )
    if arrays is not None:
        given = inputs_from_arrays(inputs, wanted.inferences, arrays, str(wanted.data))
    elif dataset is not None:
        given = inputs_from_dataset(inputs, wanted.inferences, dataset)
    else:
        given = random_inputs(inputs, wanted.inferences, wanted.seed)
    if runtime.suffix == format_of(path) and runtime.suffix != ".keras":
        check_runs(path, runtime, [given[one.name] for one in inputs])
    workload = ModelWorkload(
        model=path.name,
        model_digest=digest,
        allowed=wanted.allowed,
        inputs=inputs,
        data=None if wanted.data is None else printable(wanted.data),
        data_digest=_data_digest(arrays, dataset),
        backend=backend,
        seed=wanted.seed,
        deployment=Deployment(
            runtime=runtime.name, batch_size=batch_size, inferences=wanted.inferences
        ),
    )
    return workload, ModelFile(path, inputs=given)


def _modules(allowed: tuple[str, ...]) -> list[str]:
    return [name.partition(":")[0] for name in allowed if ":" in name]


def _bytes_of(one: ModelInput) -> int:
    return math.prod(one.shape) * np.dtype(one.dtype).itemsize


def _data_for(
    found: list[Input], wanted: Wanted
) -> tuple[dict[str, NDArray[Any]] | None, Dataset | None]:
    """Arrays by the names of the inputs, or a dataset, or neither."""
    if wanted.data is None:
        return None, None
    if wanted.data.endswith(".npz"):
        names = array_names(Path(wanted.data))
        if not set(REQUIRED_ARRAYS) <= set(names):
            return read_arrays(Path(wanted.data), [one.name for one in found]), None
    return None, load_dataset(wanted.data, wanted.validation)


def _data_digest(arrays: Mapping[str, NDArray[Any]] | None, dataset: Dataset | None) -> str | None:
    if dataset is not None:
        return dataset.digest
    return None if arrays is None else digest_of_arrays(arrays)


def _to_be_trained(path: Path, wanted: Wanted, backend: str) -> tuple[Workload, ModelFile]:
    """Prepare a ``.keras`` file to be trained further on a dataset, and run."""
    # The classes of a model that is there have their numbers.
    dataset = load_dataset(str(wanted.data), wanted.validation, renumber=False)
    found = read_inputs(path, wanted.allowed)
    inputs, fixed = resolve_inputs(found, None, wanted.dimensions)
    if not isinstance(found[0].shape[0], str):
        raise ModelError(
            f"{path} has fixed its batch at {fixed}, so it cannot be trained in batches of other "
            "sizes: save it with an open batch, or leave out --data"
        )
    require_installed(_modules(wanted.allowed), backend)
    dataset = _fitting(dataset, path, [one.shape[1:] for one in inputs])
    _check_outputs(path, wanted.allowed, dataset)
    deployment = _deployment(wanted, backend)
    check_at_least_one(batch_size=wanted.batch_size, epochs=wanted.epochs)
    workload = Workload(
        topology=path.name,
        model_digest=file_digest(path),
        allowed=wanted.allowed,
        data=dataset.name,
        data_digest=dataset.digest,
        validation=wanted.validation,
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        training_samples=len(dataset.train),
        inference_samples=len(dataset.test),
        batch_size=wanted.batch_size,
        epochs=wanted.epochs,
        protocol=wanted.protocol,
        backend=backend,
        seed=wanted.seed,
        deployment=deployment,
    )
    return workload, ModelFile(path, dataset=dataset)


def _fitting(dataset: Dataset, path: Path, shapes: list[tuple[int, ...]]) -> Dataset:
    """Return the dataset in the shape of the model's one input; one channel may be left out."""
    if len(shapes) != 1:
        raise ModelError(f"{path} has {len(shapes)} inputs: only a model of one can be trained")
    wanted, found = shapes[0], dataset.input_shape
    if wanted == found:
        return dataset
    if [n for n in wanted if n != 1] != [n for n in found if n != 1]:
        raise ModelError(
            f"{path} takes inputs of shape {wanted}, {dataset.name} has {found}: "
            "give data of the model's shape"
        )

    def reshaped(part: str) -> Any:
        split = getattr(dataset, part)
        return replace(split, samples=split.samples.reshape(-1, *wanted))

    return replace(dataset, **{part: reshaped(part) for part in ("train", "validation", "test")})


def _check_outputs(path: Path, allowed: tuple[str, ...], dataset: Dataset) -> None:
    import_keras()
    from powerml.runtimes.keras import load_keras

    outputs = load_keras(str(path), allowed, compile_too=False).outputs
    if len(outputs) != 1:
        raise ModelError(f"{path} has {len(outputs)} outputs: a classifier has one")
    shape = outputs[0].shape
    if len(shape) != 2 or shape[1] < dataset.classes:  # noqa: PLR2004 - samples, classes
        raise ModelError(
            f"{path} has an output of shape {shape}: {dataset.name} needs (samples, "
            f"{dataset.classes} classes)"
        )
