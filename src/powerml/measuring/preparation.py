"""Preparation: a request, checked and described as a workload with its material.

Everything invalid is refused here, before anything is started.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import select_backend
from powerml.errors import (
    LONGEST_MESSAGE,
    ExportError,
    ModelError,
    UnknownNameError,
    UsageError,
    shortened,
)
from powerml.files.room import require_room
from powerml.files.texts import printable
from powerml.measuring.options import MeasureOptions
from powerml.meters.simulator.launch import require_installed
from powerml.networks.deployed import exported_or_not
from powerml.networks.export import export_proved
from powerml.networks.own_training import (
    make_own_workload,
    own_arrays,
    require_default_training,
)
from powerml.progress import Notify
from powerml.runtimes import (
    DEFAULT_RUNTIME,
    KERAS_SUFFIX,
    Input,
    Runtime,
    require_exporter,
    require_runtime,
)
from powerml.spaces import Topology, find_space, parse_topology, topology_of
from powerml.spaces.from_file import SUFFIX, find_code, load_space, split_own
from powerml.spaces.trial import answers_of
from powerml.spaces.values import read_values
from powerml.workloads.datasets import Dataset
from powerml.workloads.inputs import (
    digest_of_arrays,
    inputs_from_arrays,
    inputs_from_dataset,
    open_dimensions_of,
    random_inputs,
    remarks_on,
    resolve_inputs,
)
from powerml.workloads.metrics import check_metric
from powerml.workloads.model_files import (
    Probe,
    check_format,
    file_digest,
    is_model_file,
    load_model,
    read_inputs,
    runtime_of,
)
from powerml.workloads.npz_files import array_names, read_arrays
from powerml.workloads.splits import TRAIN_ARRAYS
from powerml.workloads.uses import signature_remarks, uses_of_file, uses_of_keras
from powerml.workloads.workload import (
    AnyWorkload,
    Deployment,
    Material,
    ModelFile,
    ModelInput,
    ModelWorkload,
    OwnMaterial,
    OwnWorkload,
    TopologyWorkload,
    TrainedFileWorkload,
    check_at_least_one,
    check_seed,
    make_workload,
)

__all__ = ["DEFAULT_DATA", "prepare", "prepare_file", "prepare_own", "prepare_topology"]

DEFAULT_DATA = "mnist_small"
DEFAULT_OWN_DATA = "digits"  # of a user's own space, as of a search
FLOAT_BYTES = 4


def prepare(
    model: str | Topology | Path, wanted: MeasureOptions, notify: Notify
) -> tuple[AnyWorkload, Material]:
    """Prepare a workload of any kind; see `powerml.measure`.

    Raises
    ------
    SetupError
        What trains or runs it is not installed.
    UsageError
        What was asked for cannot be done.
    ExportError
        A Keras model cannot be exported for the runtime that was asked for.
    """
    own = None if isinstance(model, Topology) else split_own(str(model))
    if own is not None and own[0].partition(":")[0].endswith(SUFFIX):
        return prepare_own(*own, wanted, notify)
    if isinstance(model, Path) or (isinstance(model, str) and is_model_file(model)):
        return prepare_file(Path(model), wanted, notify)
    if own is not None:
        return prepare_own(*own, wanted, notify)
    if isinstance(model, Topology):
        topology = topology_of(find_space(model.space), model.parameters)
    else:
        topology = parse_topology(model)
    workload, dataset = prepare_topology(topology, wanted)
    if dataset.remark:
        notify(dataset.remark)
    return workload, dataset


def prepare_topology(
    topology: Topology, wanted: MeasureOptions
) -> tuple[TopologyWorkload, Dataset]:
    """Prepare a topology to be trained and run.

    Raises
    ------
    SetupError
        A Keras backend, the runtime or the export to it is not installed.
    UsageError
        What was asked for cannot be done.
    """
    for given, what in ((wanted.dimensions, "--dim"), (wanted.allow_code, "--allow-code")):
        if given:
            raise UsageError(f"{what} is for a model's file, and {topology} is a topology")
    backend = select_backend()
    dataset = wanted.load_dataset(wanted.data or DEFAULT_DATA)
    deployment = wanted.deployment(backend)
    return _on_dataset(topology, dataset, wanted, backend, deployment), dataset


def prepare_own(
    place: str, values: str, wanted: MeasureOptions, notify: Notify
) -> tuple[OwnWorkload, OwnMaterial]:
    """Prepare a network of a user's own space to be trained and run.

    Parameters
    ----------
    place
        The file or the module of the space.
    values
        The parameters, as in ``units=16,rate=0.01``.
    wanted
        The options.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    SpaceError
        The space cannot be used, or its code failed.
    SetupError
        A Keras backend, the runtime or the export to it is not installed.
    UsageError
        What was asked for cannot be done.
    """
    for given, what in ((wanted.dimensions, "--dim"), (wanted.allow_code, "--allow-code")):
        if given:
            raise UsageError(f"{what} is for a model's file, and {place} is a space")
    if wanted.protocol == "paper" or wanted.counts_whole_processes:
        raise UsageError(
            f"{place} is no space of the paper: leave out --protocol paper and --meter cachegrind"
        )
    check_at_least_one(batch_size=wanted.batch_size, epochs=wanted.epochs)
    check_seed(wanted.seed)
    backend = select_backend()
    space = load_space(find_code(place))
    require_default_training(space, wanted.early_stopping)
    chosen = read_values(values)
    arrays = own_arrays(space) if wanted.data is None else None
    if arrays is None:
        dataset = wanted.load_dataset(wanted.data or DEFAULT_OWN_DATA)
    else:
        dataset = wanted.check_arrays(arrays, space.code.main)
    for said in (dataset.remark, dataset.unscaled_target):
        if said is not None:
            notify(said)
    deployment = wanted.deployment(backend, is_own=True)
    workload, built = make_own_workload(
        space,
        dataset,
        answers_of(chosen, space.name),
        epochs=wanted.epochs,
        protocol=wanted.protocol,
        backend=backend,
        validation=wanted.validation,
        seed=wanted.seed,
        deployment=deployment,
        metric=wanted.metric,
        batch_size=wanted.batch_size,
    )
    if unknown := [name for name in chosen if name not in built.trial.params]:
        raise UnknownNameError(f"parameter of {space.name}", unknown[0], built.trial.params)
    material = OwnMaterial(space, dataset, space.code.files())
    if wanted.runtime is None:
        workload, said = exported_or_not(workload, material)
        if said is not None:
            material = replace(material, remarks=(said,))
    return workload, material


def _on_dataset(
    topology: Topology,
    dataset: Dataset,
    wanted: MeasureOptions,
    backend: str,
    deployment: Deployment | None,
) -> TopologyWorkload:
    if deployment is not None:
        require_room(
            (deployment.samples or deployment.inferences)
            * math.prod(dataset.input_shape)
            * FLOAT_BYTES,
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
        metric=wanted.metric,
    )


def prepare_file(
    path: Path, wanted: MeasureOptions, notify: Notify = lambda _message: None
) -> tuple[TrainedFileWorkload | ModelWorkload, ModelFile]:
    """Prepare a model's file to be run; a ``.keras`` file with a dataset to be trained too.

    A Keras model that cannot be exported runs in Keras, unless another runtime was asked for.
    `notify` is called with one line of text at each stage.

    Raises
    ------
    ModelError
        The file cannot be used.
    SetupError
        What runs it is not installed.
    UsageError
        What was asked for cannot be done.
    ExportError
        A Keras model cannot be exported for the runtime that was asked for.
    """
    check_format(path)
    check_at_least_one(inferences=wanted.inferences)
    check_seed(wanted.seed)
    if wanted.counts_whole_processes:
        raise UsageError(
            "the meter cachegrind measures topologies: give a file to the meter simulator"
        )
    made_for = require_runtime(runtime_of(path))
    is_keras = made_for.format.suffix == KERAS_SUFFIX
    if not is_keras and wanted.runtime not in (None, made_for.name):
        raise UsageError(
            f"a {made_for.format.suffix} file runs in {made_for.name}, not in {wanted.runtime}: "
            "leave out --runtime"
        )
    if not is_keras and wanted.allow_code:
        raise UsageError(
            f"--allow-code is for .keras files: a {made_for.format.suffix} file has no code"
        )
    if not is_keras:
        with Probe(path, made_for) as probe:
            return _to_be_run(path, wanted, made_for, None, notify, probe=probe)
    backend = select_backend()
    if wanted.data is not None and not _holds_inputs(path, wanted):
        return _to_be_trained(path, wanted, backend, notify)
    runtime = require_runtime(wanted.runtime or DEFAULT_RUNTIME)
    require_exporter(runtime, backend)
    return _to_be_run(path, wanted, runtime, backend, notify)


def _holds_inputs(path: Path, wanted: MeasureOptions) -> bool:
    """Tell arrays for each input from a dataset."""
    if wanted.data is None or not wanted.data.endswith(".npz"):
        return False
    names = array_names(Path(wanted.data))
    if set(TRAIN_ARRAYS) <= set(names):
        return False
    return any(one.name in names for one in read_inputs(path, wanted.allow_code))


def _to_be_run(
    path: Path,
    wanted: MeasureOptions,
    runtime: Runtime,
    backend: str | None,
    notify: Notify,
    *,
    probe: Probe | None = None,
) -> tuple[ModelWorkload, ModelFile]:
    """Prepare a model to be run; a `probe` looks at it unless Keras does."""
    digest = file_digest(path)
    is_keras = probe is None
    found = read_inputs(path, wanted.allow_code) if probe is None else probe.inputs()
    if not found:
        raise ModelError(
            f"{path} takes no input, so it computes the same at every run, once and for all: "
            "give a model with inputs"
        )
    uses = uses_of_keras(load_model(path, wanted.allow_code)) if is_keras else uses_of_file(path)
    arrays, dataset = _data_for(found, wanted)
    dimensions = {
        **open_dimensions_of(found, arrays or {}, batch_first=is_keras),
        **wanted.dimensions,
    }
    inputs, batch_size = resolve_inputs(
        found, wanted.inference_batch, dimensions, uses=uses, batch_first=is_keras
    )
    require_room(
        wanted.inferences * sum(_bytes_of(one) for one in inputs),
        f"the input of {wanted.inferences} inferences",
        "give fewer --inferences, a smaller --inference-batch or --dim",
    )
    remarks = signature_remarks(path)
    if arrays is not None:
        source = str(wanted.data)
        given = inputs_from_arrays(inputs, wanted.inferences, arrays, source, batch_size)
    elif dataset is not None:
        given = inputs_from_dataset(inputs, wanted.inferences, dataset, batch_size)
    else:
        given = random_inputs(inputs, wanted.inferences, wanted.seed, uses)
        remarks += remarks_on(inputs, uses)
    exported = None
    if is_keras and runtime.format.suffix != KERAS_SUFFIX:
        ordered = [given[one.name] for one in inputs]
        runtime, exported, said = _exported(path, wanted, runtime, ordered, notify)
        remarks += said
    if runtime.format.suffix == KERAS_SUFFIX:
        require_installed(_modules(wanted.allow_code), backend)
    if probe is not None:
        probe.check_runs([given[one.name] for one in inputs])
    workload = ModelWorkload(
        model=path.name,
        model_digest=digest,
        allowed=wanted.allow_code,
        inputs=inputs,
        data=None if wanted.data is None else printable(wanted.data),
        data_digest=_data_digest(arrays, dataset),
        backend=backend,
        seed=wanted.seed,
        deployment=Deployment(
            runtime=runtime.name, batch_size=batch_size, inferences=wanted.inferences
        ),
    )
    return workload, ModelFile(path, inputs=given, exported=exported, remarks=remarks)


def _exported(
    path: Path,
    wanted: MeasureOptions,
    runtime: Runtime,
    inputs: Sequence[NDArray[Any]],
    notify: Notify,
) -> tuple[Runtime, bytes | None, tuple[str, ...]]:
    """Export a Keras model for a runtime; run it in Keras if none was named and the export fails.

    Returns ------- The runtime, the exported file, and remarks.
    """
    notify(f"exporting {path.name} for {runtime.name}")
    model = load_model(path, wanted.allow_code)
    remarks: list[str] = []

    def unrolled(layer: str, steps: int) -> None:
        said = f"the recurrence of {layer} is exported as {steps} copies of its step"
        if said not in remarks:
            remarks.append(said)
            notify(f"{said}, which takes long")

    try:
        with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
            target = Path(folder) / f"model{runtime.format.suffix}"
            export_proved(model, target, runtime.name, inputs, unrolled)
            return runtime, target.read_bytes(), tuple(remarks)
    except ExportError as error:
        if wanted.runtime is not None:
            raise
        said = f"{path.name} is run in Keras, for it cannot be exported: {error}"
        said = shortened(said, LONGEST_MESSAGE)
        notify(said)
        return require_runtime("keras"), None, (said,)


def _modules(allowed: tuple[str, ...]) -> list[str]:
    return [name.partition(":")[0] for name in allowed if ":" in name]


def _bytes_of(one: ModelInput) -> int:
    return math.prod(one.shape) * np.dtype(one.dtype).itemsize


def _data_for(
    found: list[Input], wanted: MeasureOptions
) -> tuple[dict[str, NDArray[Any]] | None, Dataset | None]:
    """Arrays by the names of the inputs, or a dataset, or neither."""
    if wanted.data is None:
        return None, None
    if wanted.data.endswith(".npz"):
        names = array_names(Path(wanted.data))
        if not set(TRAIN_ARRAYS) <= set(names):
            return read_arrays(Path(wanted.data), [one.name for one in found]), None
    return None, wanted.load_dataset(wanted.data)


def _data_digest(arrays: Mapping[str, NDArray[Any]] | None, dataset: Dataset | None) -> str | None:
    if dataset is not None:
        return dataset.digest
    return None if arrays is None else digest_of_arrays(arrays)


def _to_be_trained(
    path: Path, wanted: MeasureOptions, backend: str, notify: Notify
) -> tuple[TrainedFileWorkload, ModelFile]:
    """Prepare a ``.keras`` file to be trained further on a dataset, and run."""
    # The classes of a model that is there have their numbers.
    dataset = wanted.load_dataset(str(wanted.data), renumber=False)
    if dataset.remark:
        notify(dataset.remark)
    found = read_inputs(path, wanted.allow_code)
    inputs, fixed = resolve_inputs(found, None, wanted.dimensions, batch_first=True)
    if not isinstance(found[0].shape[0], str):
        raise ModelError(
            f"{path} has fixed its batch at {fixed}, so it cannot be trained in batches of other "
            "sizes: save it with an open batch, or leave out --data"
        )
    require_installed(_modules(wanted.allow_code), backend)
    dataset = _fitting(dataset, path, [one.shape[1:] for one in inputs])
    _check_outputs(path, wanted.allow_code, dataset)
    deployment = wanted.deployment(backend)
    check_at_least_one(batch_size=wanted.batch_size, epochs=wanted.epochs)
    exported: bytes | None = None
    remarks: tuple[str, ...] = ()
    if deployment is not None and deployment.runtime != "keras":
        samples = dataset.inputs(dataset.test, scaled=wanted.protocol != "paper")
        shape = ModelInput(
            name=inputs[0].name,
            shape=(deployment.batch_size or 1, *dataset.input_shape),
            dtype="float32",
        )
        cut = inputs_from_arrays(
            [shape], deployment.inferences, {shape.name: samples}, dataset.name, shape.shape[0]
        )
        chosen, exported, remarks = _exported(
            path, wanted, require_runtime(deployment.runtime), list(cut.values()), notify
        )
        deployment = deployment.model_copy(update={"runtime": chosen.name})
    workload = TrainedFileWorkload(
        model=path.name,
        model_digest=file_digest(path),
        allowed=wanted.allow_code,
        data=dataset.name,
        data_digest=dataset.digest,
        validation=wanted.validation,
        target=dataset.target,
        test_share=dataset.test_share,
        input_shape=dataset.input_shape,
        task=dataset.task,
        classes=dataset.outputs,
        training_samples=len(dataset.train),
        inference_samples=len(dataset.test),
        batch_size=wanted.batch_size,
        epochs=wanted.epochs,
        protocol=wanted.protocol,
        metric=check_metric(wanted.metric, dataset.task, dataset.outputs),
        backend=backend,
        seed=wanted.seed,
        deployment=deployment,
    )
    return workload, ModelFile(path, dataset=dataset, exported=exported, remarks=remarks)


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
    outputs = load_model(path, allowed).outputs
    if len(outputs) != 1:
        raise ModelError(f"{path} has {len(outputs)} outputs: only a model of one can be trained")
    shape, wanted = outputs[0].shape, dataset.outputs
    is_wider = dataset.task == "classification" and len(shape) == 2 and shape[1] > wanted  # noqa: PLR2004 - samples, classes
    if tuple(shape[1:]) != (wanted,) and not is_wider:
        what = "columns" if dataset.classes is None else "classes"
        raise ModelError(
            f"{path} has an output of shape {shape}: {dataset.name} needs (samples, "
            f"{wanted} {what})"
        )
