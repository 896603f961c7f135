"""Staging: the files of a measurement in the private folder, each written once.

Each file has a short name that depends only on its content. The measured process therefore sees
neither the path nor the name of a user's file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import UsageError
from powerml.guest.request import (
    DeploymentRequest,
    LoadRequest,
    OwnRequest,
    OwnTrainingRequest,
    Request,
    SpacePlace,
)
from powerml.meters.simulator.rows import RowPlan
from powerml.networks.deployed import dataset_of, deployed_inputs
from powerml.networks.export import export_once
from powerml.networks.native import training_labels
from powerml.runtimes import FRAMEWORK, Runtime, find_runtime
from powerml.workloads.inputs import digest_of_arrays
from powerml.workloads.model_files import external_files, file_digest, format_of
from powerml.workloads.workload import (
    Deployment,
    LoadWorkload,
    Material,
    ModelFile,
    ModelWorkload,
    OwnMaterial,
    OwnWorkload,
    TopologyWorkload,
    TrainedWorkload,
    Workload,
)

__all__ = ["Staging"]

# A workload that may have a model to be run.
Deployed = TrainedWorkload | ModelWorkload
NAME_LENGTH = 16


class Staging:
    """Writer of staged files into a folder. Several threads may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def training(self, workload: TrainedWorkload, material: Material, phase: str) -> Request:
        """Stage a phase in Keras and write its request.

        Raises
        ------
        UsageError
            It is a user's own network, which only the simulator trains.
        """
        if workload.kind == "own":
            raise UsageError(
                f"{workload.name} is trained by its own code, which the meter simulator counts: "
                "leave out --meter"
            )
        dataset = dataset_of(material)
        stem = f"{workload.data_digest[:16]}-{workload.protocol}-{workload.validation}"
        if workload.task == "regression":
            stem += f"-{workload.kind}"  # whose labels have another scale
        with self._lock:
            for part, split in (("training", dataset.train), ("inference", dataset.test)):
                if not (self._folder / f"{stem}-{part}-labels.npy").exists():
                    inputs = dataset.inputs(split, scaled=workload.scaled)
                    np.save(self._folder / f"{stem}-{part}-inputs.npy", inputs)
                    labels = training_labels(workload, dataset, split)
                    np.save(self._folder / f"{stem}-{part}-labels.npy", labels)
        samples = {
            "training": workload.training_samples,
            "inference": workload.inference_samples,
        }
        return Request(
            phase=phase,
            topology=workload.name,
            input_shape=list(workload.input_shape),
            classes=workload.classes,
            # A batch larger than the data is one batch of all the data, to the last instruction.
            batch_size=min(workload.batch_size, samples.get(phase, max(samples.values()))),
            epochs=workload.epochs,
            protocol=workload.protocol,
            data=stem,
            model=None if workload.kind == "topology" else self._copy(_file(material)),
            allowed=list(workload.allowed),
            task=workload.task,
        )

    def own_training(self, workload: OwnWorkload, material: Material) -> OwnTrainingRequest:
        """Stage the data and the code of a user's own network."""
        if not isinstance(material, OwnMaterial):
            raise TypeError(material)
        dataset, code = material.dataset, material.space.code
        stem = f"{workload.data_digest[:16]}-own-{workload.validation}"
        for part, split in (("training", dataset.train), ("validation", dataset.validation)):
            inputs = dataset.inputs(split, scaled=workload.scaled)
            self._array(f"{stem}-{part}-inputs.npy", inputs)
            self._array(f"{stem}-{part}-labels.npy", split.labels)
        return OwnTrainingRequest(
            root=self._code(workload, material),
            main=code.main,
            module=code.module,
            attribute=code.attribute,
            values=dict(workload.values),
            task=dataset.task,
            loop=workload.loop,
            input_shape=list(workload.input_shape),
            outputs=dataset.outputs,
            batch_size=min(workload.batch_size, workload.training_samples),
            epochs=workload.epochs,
            data=stem,
            name=workload.name,
        )

    def _code(self, workload: OwnWorkload, material: OwnMaterial) -> str:
        """Write the code of a space; return its folder."""
        root = f"space-{workload.code_digest[:NAME_LENGTH]}"
        for name, content in material.files.items():
            self._in_folder(f"{root}/{name}", content)
        return root

    def _array(self, name: str, array: NDArray[Any]) -> None:
        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, array)

        self.write_once(name, write)

    def _in_folder(self, name: str, content: bytes) -> None:
        path = self._folder / name
        with self._lock:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def deployment(
        self, workload: Workload, deployment: Deployment, material: Material
    ) -> DeploymentRequest:
        """Stage a model and its inputs and write their request.

        Raises
        ------
        ExportError
            The model cannot be exported for the runtime.
        """
        if not isinstance(workload, Deployed):
            raise TypeError(workload)
        # The guest reads rows in the order of C, whatever order they were given in.
        inputs = [
            np.ascontiguousarray(one) for one in deployed_inputs(workload, deployment, material)
        ]
        numbered = {str(number): array for number, array in enumerate(inputs)}
        stem = digest_of_arrays(numbered)[:NAME_LENGTH]
        runtime = find_runtime(deployment.runtime)
        with self._lock:
            for number, array in numbered.items():
                path = self._folder / f"{stem}-{number}.npy"
                if not path.exists():
                    np.save(path, array)
        space = None
        if isinstance(workload, OwnWorkload) and deployment.runtime == FRAMEWORK:
            if not isinstance(material, OwnMaterial):
                raise TypeError(material)
            model, space = self._code(workload, material), _place(workload, material)
        elif isinstance(workload, (TopologyWorkload, OwnWorkload)):
            model = self._exported(workload, deployment, runtime, inputs, material)
        else:
            model = self._for_runtime(_file(material), runtime)
        return DeploymentRequest(
            name=workload.title,
            model=model,
            shapes=[list(array.shape[1:]) for array in inputs],
            data=stem,
            allowed=list(workload.allowed),
            space=space,
        )

    def load(self, workload: LoadWorkload, plan: RowPlan) -> LoadRequest:
        """Write the request to simulate these rows of a load."""
        return LoadRequest(
            rows_a=workload.rows_a,
            inner=workload.inner,
            cols_b=workload.cols_b,
            **asdict(plan),
            progress=f"progress-{workload.name}",
            title=workload.title,
        )

    def own(self, workload: Workload, material: Material) -> OwnRequest | None:
        """Stage the request of a workload to a job of its own; None if it has no such job."""
        parameters = workload.request(material, self._copy_of)
        return None if parameters is None else OwnRequest(parameters, workload.title)

    def _copy_of(self, path: Path) -> str:
        content = path.read_bytes()
        return self.write_once(
            _short_name(content, path.suffix), lambda copy: copy.write_bytes(content)
        )

    def _exported(
        self,
        workload: TopologyWorkload | OwnWorkload,
        deployment: Deployment,
        runtime: Runtime,
        inputs: list[NDArray[Any]],
        material: Material,
    ) -> str:
        described = [
            workload.name,
            workload.input_shape,
            workload.classes,
            workload.protocol,
            deployment.batch_size,
            *([] if workload.task == "classification" else [workload.task]),
        ]
        if workload.kind == "own":
            described.append(workload.code_digest)
        name = _short_name(json.dumps(described).encode(), runtime.format.suffix)
        return self.write_once(name, lambda path: export_once(workload, path, inputs, material))

    def _copy(self, material: ModelFile) -> str:
        suffix = format_of(material.path)
        name = _short_name(file_digest(material.path).encode(), suffix)
        beside = external_files(material.path)
        if beside:
            # The weights that an .onnx file keeps beside itself go by the names it gives them.
            name = f"{name.removesuffix(suffix)}/model{suffix}"

        def copy(path: Path) -> None:
            for weights in beside:
                target = path.parent / weights
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(material.path.parent / weights, target)
            shutil.copyfile(material.path, path)

        return self.write_once(name, copy)

    def _for_runtime(self, material: ModelFile, runtime: Runtime) -> str:
        if format_of(material.path) == runtime.format.suffix:
            return self._copy(material)
        content = material.exported
        if content is None:
            raise UsageError(f"{material.path} was not exported for {runtime.name}")
        name = _short_name(content, runtime.format.suffix)
        return self.write_once(name, lambda path: path.write_bytes(content))

    def write_once(self, name: str, write: Callable[[Path], object]) -> str:
        """Write a file unless it is there; it never appears half written."""
        path = self._folder / name
        with self._lock:
            if not path.exists():
                if path.parent != self._folder:
                    # The folder itself is gone after a stop, and stays so.
                    path.parent.mkdir(exist_ok=True)
                unfinished = path.with_name(f"unfinished-{path.name}")
                write(unfinished)
                unfinished.rename(path)
        return name


def _place(workload: OwnWorkload, material: OwnMaterial) -> SpacePlace:
    code, dataset = material.space.code, material.dataset
    return SpacePlace(
        main=code.main,
        module=code.module,
        attribute=code.attribute,
        values=dict(workload.values),
        task=dataset.task,
        input_shape=list(workload.input_shape),
        outputs=dataset.outputs,
        epochs=workload.epochs,
    )


def _file(material: Material) -> ModelFile:
    if not isinstance(material, ModelFile):
        raise TypeError(material)
    return material


def _short_name(described: bytes, suffix: str) -> str:
    return f"{hashlib.sha256(described).hexdigest()[:NAME_LENGTH]}{suffix}"
