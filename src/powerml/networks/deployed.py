"""The model of a workload as its runtime gets it, and the memory that it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import LONGEST_MESSAGE, ExportError, UsageError, shortened
from powerml.memory.of_files import memory_of_file
from powerml.memory.record import Memory
from powerml.networks.export import export_once
from powerml.runtimes import FRAMEWORK, find_runtime
from powerml.signals import interruption_kept
from powerml.spaces.from_file import fault_of
from powerml.workloads.datasets import Dataset
from powerml.workloads.model_files import format_of
from powerml.workloads.workload import (
    AnyWorkload,
    Deployment,
    Material,
    ModelFile,
    ModelWorkload,
    OwnMaterial,
    OwnWorkload,
    TopologyWorkload,
    TrainedWorkload,
)

__all__ = ["dataset_of", "deployed_inputs", "exported_or_not", "memory_of"]


def dataset_of(material: Material) -> Dataset:
    """Return the dataset that a model is trained on; raises ``UsageError`` without one."""
    dataset = material.dataset if isinstance(material, (ModelFile, OwnMaterial)) else material
    if dataset is None:
        raise UsageError("a model that is to be trained needs --data")
    return dataset


def deployed_inputs(
    workload: TrainedWorkload | ModelWorkload, deployment: Deployment, material: Material
) -> list[NDArray[Any]]:
    """Return arrays of shape (inferences, batch, ...), one for each input of the model.

    Raises
    ------
    UsageError
        The material lacks the data or the arrays.
    """
    if workload.kind == "file":
        given = None if not isinstance(material, ModelFile) else material.inputs
        if given is None:
            raise UsageError(f"{workload.model} needs arrays for its inputs")
        return [given[one.name] for one in workload.inputs]
    dataset = dataset_of(material)
    samples = dataset.inputs(dataset.test, scaled=workload.scaled)
    # Where there are fewer samples than are asked for they come round again.
    batch_size = deployment.batch_size or 1
    chosen = samples[np.arange(deployment.inferences * batch_size) % len(samples)]
    return [chosen.reshape(deployment.inferences, batch_size, *samples.shape[1:])]


@interruption_kept()
def memory_of(workload: AnyWorkload, material: Material, *, allocated: bool) -> Memory | None:
    """Return the memory of a workload's deployed model, None if nothing is deployed.

    A topology is exported untrained, unless this process has exported it already.

    Parameters
    ----------
    workload, material
        The workload, and what it names by its digests.
    allocated
        True to run the model natively, too, and count what its runtime allocates.
    """
    deployment = workload.deployment
    if workload.kind == "load" or deployment is None:
        return None
    if deployment.runtime == FRAMEWORK:
        return Memory(remarks=["the memory is not known: the network is not exported"])
    inputs = deployed_inputs(workload, deployment, material)
    first = [array[0, ...] for array in inputs]

    def found(path: Path) -> Memory:
        name, allowed = deployment.runtime, workload.allowed
        return memory_of_file(path, name, first, allowed, allocated=allocated)

    suffix = find_runtime(deployment.runtime).format.suffix
    if isinstance(material, ModelFile) and format_of(material.path) == suffix:
        return found(material.path)
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        path = Path(folder) / f"model{suffix}"
        try:
            _write(workload, material, path, inputs)
        except ExportError as error:
            said = f"the memory is not known: {error}"
            return Memory(remarks=[shortened(said, LONGEST_MESSAGE)])
        return found(path)


@interruption_kept()
def exported_or_not(workload: OwnWorkload, material: OwnMaterial) -> tuple[OwnWorkload, str | None]:
    """Return the workload to be measured, and why its network is not exported if it cannot be.

    Its framework runs a network that cannot be exported.
    """
    deployment = workload.deployment
    if deployment is None:
        return workload, None
    inputs = deployed_inputs(workload, deployment, material)
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        path = Path(folder) / f"model{find_runtime(deployment.runtime).format.suffix}"
        try:
            export_once(workload, path, inputs, material)
        except ExportError as error:
            name = "Keras" if workload.framework == "keras" else "PyTorch"
            said = f"{workload.space} is run in {name}, for it cannot be exported: "
            said += _reason(error, material)
            instead = deployment.model_copy(update={"runtime": FRAMEWORK})
            otherwise = workload.model_copy(update={"deployment": instead})
            return otherwise, shortened(said, LONGEST_MESSAGE)
    return workload, None


def _reason(error: ExportError, material: OwnMaterial) -> str:
    """Return why a network is not exported, with the line of the user's file; no advice."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    where = fault_of(cause, material.space.code)
    return f"{where}: {error}".rpartition(": add --runtime ")[0] or f"{where}: {error}"


def _write(
    workload: TrainedWorkload | ModelWorkload,
    material: Material,
    path: Path,
    inputs: Sequence[NDArray[Any]],
) -> None:
    if isinstance(workload, (TopologyWorkload, OwnWorkload)):
        export_once(workload, path, inputs, material)
    elif isinstance(material, ModelFile) and material.exported is not None:
        path.write_bytes(material.exported)
    else:
        raise ExportError(f"{workload.title} was not exported to {path.suffix}")
