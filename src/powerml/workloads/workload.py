"""What is to be measured: a model trained on a dataset and run somewhere, as plain JSON.

A measurement is a pure function of a workload, wherever it runs. What a workload names by a digest
goes with it as its material.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from powerml.errors import TopologyError, UnknownNameError, UsageError
from powerml.runtimes import DEFAULT_RUNTIME, require_exporter, require_runtime
from powerml.spaces import Topology, find_family
from powerml.workloads.datasets import (
    Dataset,
)

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "DEFAULT_EPOCHS",
    "DEFAULT_INFERENCES",
    "DEFAULT_INFERENCE_BATCH",
    "PROTOCOLS",
    "AnyWorkload",
    "Deployment",
    "Material",
    "ModelFile",
    "ModelInput",
    "ModelWorkload",
    "Protocol",
    "Workload",
    "check_at_least_one",
    "check_protocol",
    "check_seed",
    "make_deployment",
    "make_workload",
    "steps",
]

Protocol = Literal["default", "paper"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
DEFAULT_EPOCHS = 2  # the paper, section 2.5 and the original program
DEFAULT_BATCH_SIZE = 32
DEFAULT_INFERENCE_BATCH = 1
# From the third run on, an inference costs what those after it do (decision 0015); the first two
# are not counted as inference.
DEFAULT_INFERENCES = 1


class Deployment(BaseModel):
    """How a model is run where it is deployed: `inferences` times, on `batch_size` samples each.

    The batch size is None where it is not known what of an input is a sample.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    batch_size: int | None = Field(ge=1)
    inferences: int = Field(ge=1)

    @property
    def samples(self) -> int | None:
        """Samples that all inferences run over, None where the batch is not known."""
        return None if self.batch_size is None else self.batch_size * self.inferences


class Workload(BaseModel):
    """A model that is trained on a dataset and run: all that determines its counts.

    `topology` is a topology, or the name of a ``.keras`` file, whose content `model_digest` then
    is the SHA-256 of; `allowed` is the code of its own that may be run. ``training`` is `epochs`
    epochs over `training_samples` in batches of `batch_size`. ``inference`` is what `deployment`
    says; without one it is one pass of Keras's ``evaluate`` over `inference_samples` in the same
    batches, as in the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topology: str
    model_digest: str | None = None
    allowed: tuple[str, ...] = ()
    data: str
    data_digest: str
    validation: float = Field(gt=0, lt=1)
    input_shape: tuple[int, ...]
    classes: int = Field(ge=2)
    training_samples: int = Field(ge=1)
    inference_samples: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    protocol: Protocol
    backend: str
    seed: int = Field(ge=0)
    deployment: Deployment | None = None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.topology} batch {self.batch_size}"

    @property
    def scaled(self) -> bool:
        """Whether inputs are scaled: the paper's protocol takes pixels as they are."""
        return self.protocol != "paper"

    @property
    def training_steps(self) -> int:
        """Number of batches that the whole training takes."""
        return steps(self.training_samples, self.batch_size, self.epochs)

    @property
    def inference_steps(self) -> int:
        """Number of batches that the inference takes."""
        return steps(self.inference_samples, self.batch_size)


class ModelInput(BaseModel):
    """One input of a model with the sizes of all its dimensions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: tuple[int, ...]
    dtype: str


class ModelWorkload(BaseModel):
    """A model's file that is run, not trained.

    `model` is the file's name, `model_digest` the SHA-256 of its content. The inputs are drawn at
    random with `seed`, or come from `data`. `backend` is Keras's for ``.keras`` files, else None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    model_digest: str
    allowed: tuple[str, ...] = ()
    inputs: tuple[ModelInput, ...]
    data: str | None
    data_digest: str | None
    backend: str | None
    seed: int = Field(ge=0)
    deployment: Deployment

    @property
    def title(self) -> str:
        """What it is called in messages."""
        batch = self.deployment.batch_size
        return self.model if batch is None else f"{self.model} batch {batch}"


AnyWorkload = Workload | ModelWorkload


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model's file, with the data that it is trained on or the inputs that it is run on.

    `inputs` are arrays by name, of shape (inferences, *shape of the input). `exported` is what a
    ``.keras`` file was exported to for its runtime, and `remarks` are what whoever reads the
    costs must know of the inputs and of the export.
    """

    path: Path
    dataset: Dataset | None = None
    inputs: Mapping[str, NDArray[Any]] | None = None
    exported: bytes | None = None
    remarks: tuple[str, ...] = ()


# What a workload names by its digests: of a topology the dataset, of a file all that goes with it.
Material = Dataset | ModelFile


def steps(samples: int, batch_size: int, epochs: int = 1) -> int:
    """Batches in `epochs` passes; the last batch of a pass may be smaller."""
    return math.ceil(samples / batch_size) * epochs


def make_workload(
    topology: Topology,
    dataset: Dataset,
    *,
    batch_size: int,
    epochs: int,
    protocol: Protocol,
    backend: str,
    validation: float,
    seed: int,
    deployment: Deployment | None = None,
) -> Workload:
    """Put a topology and a dataset together.

    A batch larger than the data is one batch of all the data.

    Raises
    ------
    TopologyError
        The family cannot take inputs of the dataset's shape.
    UsageError
        `batch_size`, `epochs` or `seed` is out of range.
    """
    check_at_least_one(batch_size=batch_size, epochs=epochs)
    check_seed(seed)
    family = find_family(topology.family)
    if reason := family.check_input(dataset.input_shape):
        raise TopologyError(f"{topology} does not fit {dataset.name}: {reason}")
    return Workload(
        topology=str(topology),
        data=dataset.name,
        data_digest=dataset.digest,
        validation=validation,
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        training_samples=len(dataset.train),
        inference_samples=len(dataset.test),
        batch_size=batch_size,
        epochs=epochs,
        protocol=protocol,
        backend=backend,
        seed=seed,
        deployment=deployment,
    )


def check_at_least_one(**values: int) -> None:
    """Check numbers of which there must be one; raises ``UsageError``."""
    for name, value in values.items():
        if value < 1:
            raise UsageError(f"{name.replace('_', ' ')} is {value}: give at least 1")


def check_seed(seed: int) -> None:
    """Check a seed; raises ``UsageError``."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed is {seed}: give one from 0 to {2**32 - 1}")


def check_protocol(protocol: str) -> Protocol:
    """Check the name of a protocol; raises ``UnknownNameError``."""
    if protocol == "default":
        return "default"
    if protocol == "paper":
        return "paper"
    raise UnknownNameError("protocol", protocol, PROTOCOLS)


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
