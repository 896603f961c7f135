"""Workloads as plain JSON: a union of kinds that the field `kind` tells apart.

A measurement is a pure function of a workload. The content that a workload names by a digest
accompanies it as its material.

Parts that only some kinds have are `training`, `deployment` and `layers()`, which are None
otherwise. `kind` names the kind.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from powerml.errors import TopologyError, UnknownNameError, UsageError
from powerml.runtimes import DEFAULT_RUNTIME, FRAMEWORK, require_exporter, require_runtime
from powerml.spaces import Layer, Topology, find_space, layers_of, parse_topology, with_batch
from powerml.spaces.from_file import OwnSpace
from powerml.spaces.trial import named
from powerml.spaces.values import Value
from powerml.workloads.metrics import ACCURACY, TaskKind, check_metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from powerml.workloads.datasets import Dataset

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "DEFAULT_EPOCHS",
    "DEFAULT_INFERENCES",
    "DEFAULT_INFERENCE_BATCH",
    "DEFAULT_TEST_SHARE",
    "DEFAULT_VALIDATION",
    "OWN_JOB",
    "PROTOCOLS",
    "TRAINING_JOB",
    "AnyWorkload",
    "DatasetWorkload",
    "Deployment",
    "LoadWorkload",
    "LoopName",
    "Material",
    "ModelFile",
    "ModelInput",
    "ModelWorkload",
    "OwnMaterial",
    "OwnWorkload",
    "ParsedTopology",
    "ProtocolName",
    "Stage",
    "TopologyWorkload",
    "TrainedFileWorkload",
    "TrainedWorkload",
    "Workload",
    "check_at_least_one",
    "check_protocol",
    "check_seed",
    "make_deployment",
    "make_workload",
    "steps",
]

ProtocolName = Literal["default", "paper"]
LoopName = Literal["fit", "batches", "free"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)
TRAINING_JOB = "training"
OWN_JOB = "own"  # the training of a user's own network
DEFAULT_EPOCHS = 2  # the paper, section 2.5 and the original program
DEFAULT_BATCH_SIZE = 32
DEFAULT_INFERENCE_BATCH = 1
DEFAULT_VALIDATION = 0.1
DEFAULT_TEST_SHARE = 0.2
# From the third run on, an inference costs what those after it do (decision 0015); the first two
# are not counted as inference.
DEFAULT_INFERENCES = 1


class Deployment(BaseModel):
    """Deployment of a model: `inferences` runs on `batch_size` samples each.

    The batch size is None if the batch dimension is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str = Field(description="name of the runtime")
    batch_size: int | None = Field(
        ge=1, description="samples of one inference; null if the batch dimension is not known"
    )
    inferences: int = Field(ge=1, description="inferences that are counted")

    @property
    def samples(self) -> int | None:
        """Samples that all inferences run over, None where the batch is not known."""
        return None if self.batch_size is None else self.batch_size * self.inferences

    @property
    def job(self) -> str:
        """The guest's job that runs it."""
        return FRAMEWORK if self.runtime == FRAMEWORK else f"deployment:{self.runtime}"


def _parsed(value: object) -> Topology:
    """Parse a topology of a record, unless it is parsed already."""
    if isinstance(value, Topology):
        return value
    if not isinstance(value, str):
        raise ValueError("a topology is a text, as in dffr:layers=2,width=16")
    return parse_topology(value)


# A topology in a record, where it is text.
ParsedTopology = Annotated[
    Topology,
    PlainValidator(_parsed),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string"}),
]


class Workload(BaseModel, ABC):
    """The determinants of a measurement's counts; the base of all kinds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Fields that do not move counts: names of things, and the seed of the native training.
    uncounted: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def title(self) -> str:
        """The name in messages."""

    @property
    def described(self) -> str:
        """The title, and what tells it from others of the same title."""
        return self.title

    @property
    def training(self) -> TrainedWorkload | None:
        """The workload itself if it is trained, else None."""
        return None

    @property
    @abstractmethod
    def guest_jobs(self) -> tuple[str, ...]:
        """Names of the guest's jobs that it takes, each with a process of its own.

        ``NAME`` or ``NAME:OF`` is what `job(OF)` of `powerml.guest.NAME_job` makes.
        """

    def request(self, material: Material, stage: Stage) -> dict[str, Any] | None:  # noqa: ARG002
        """Return what it asks of a job of its own, as plain JSON, or None where it has none.

        The job marks its phases (see `powerml.guest.request.OwnRequest`).
        """
        return None

    def layers(self) -> tuple[Layer, ...] | None:
        """Return the layers with weights, or None where they are not known beforehand."""
        return None

    def determinants(self) -> dict[str, Any]:
        """Return the fields that its counts depend on, as plain JSON."""
        return self.model_dump(mode="json", exclude=set(self.uncounted))


FEWEST_CLASSES = 2
# The digest of the data stands for its name and its test split.
UNCOUNTED_OF_DATA = frozenset(("data", "metric", "seed", "target", "test_share"))


class DatasetWorkload(Workload):
    """Base of the kinds that are trained: a dataset, a training and an inference.

    ``training`` is `epochs` epochs over `training_samples` in batches of `batch_size`.
    ``inference`` is that of `deployment`. Without one it is one pass of Keras's ``evaluate`` over
    `inference_samples` in the same batches, as in the paper.
    """

    data: str = Field(description="name of the dataset")
    data_digest: str = Field(description="SHA-256 of the dataset's content")
    validation: float = Field(
        gt=0, lt=1, description="share of the training data held out for validation"
    )
    target: str | None = Field(
        default=None, description="column of a table that is predicted; null for the usual one"
    )
    test_share: float | None = Field(
        default=None,
        description="share of the data held out for the test; null if it has a test split",
    )
    input_shape: tuple[int, ...] = Field(description="shape of one sample")
    task: TaskKind = Field(default="classification", description="classification or regression")
    classes: int = Field(
        ge=1, description="outputs of the network: classes, or columns of a regression's target"
    )
    training_samples: int = Field(ge=1, description="number of samples that are trained on")
    inference_samples: int = Field(ge=1, description="number of samples in the test split")
    batch_size: int = Field(ge=1, description="samples in a batch of the training")
    epochs: int = Field(ge=1, description="passes over the training samples")
    protocol: ProtocolName = Field(description="preprocessing, initialisers and score")
    metric: str = Field(default=ACCURACY, description="metric of the score")
    backend: str = Field(description="Keras backend")
    seed: int = Field(ge=0, description="seed of the native training")
    deployment: Deployment | None = Field(
        default=None, description="the inference; null for Keras's evaluate over the test split"
    )

    @model_validator(mode="after")
    def _has_classes(self) -> Self:
        if self.task == "classification" and self.classes < FEWEST_CLASSES:
            raise ValueError(f"a classification has at least {FEWEST_CLASSES} classes")
        return self

    @property
    @abstractmethod
    def name(self) -> str:
        """The topology, or the name of the model's file."""

    @property
    def title(self) -> str:
        """The name in messages."""
        return with_batch(self.name, self.batch_size)

    @property
    def described(self) -> str:
        """The title, and what tells it from others of the same title."""
        return f"{self.title}, {self.epochs} epochs of {self.data}"

    @property
    def guest_jobs(self) -> tuple[str, ...]:
        """The training, and the inference where it is deployed."""
        job = self.training_job
        return (job,) if self.deployment is None else (job, self.deployment.job)

    @property
    def training_job(self) -> str:
        """The guest's job that trains it."""
        return TRAINING_JOB

    def determinants(self) -> dict[str, Any]:
        """Return the fields that its counts depend on, as plain JSON."""
        found = super().determinants()
        if self.task == "classification":
            del found["task"]  # counts from before there were regressions have none
        return found

    def lasting(self, epochs_done: Sequence[int]) -> Self:
        """Return the workload with the mean of the epochs that its trainings took, rounded."""
        return self.model_copy(update={"epochs": max(1, round(fmean(epochs_done)))})

    @property
    def scaled(self) -> bool:
        """True if inputs are scaled: the paper's protocol takes pixels as they are."""
        return self.protocol != "paper"

    @property
    def training_steps(self) -> int:
        """Number of batches that the whole training takes."""
        return steps(self.training_samples, self.batch_size, self.epochs)

    @property
    def inference_steps(self) -> int:
        """Number of batches that the inference takes."""
        return steps(self.inference_samples, self.batch_size)


class TopologyWorkload(DatasetWorkload):
    """A topology that is trained on a dataset and run."""

    uncounted: ClassVar[frozenset[str]] = UNCOUNTED_OF_DATA

    kind: Literal["topology"] = Field(default="topology", description="kind of the workload")
    topology: ParsedTopology = Field(description="the topology, as in dffr:layers=2,width=16")

    @property
    def name(self) -> str:
        """The topology as it is written."""
        return str(self.topology)

    @property
    def allowed(self) -> tuple[str, ...]:
        """No code: a topology brings none of its own."""
        return ()

    @property
    def training(self) -> Self:
        """The workload itself."""
        return self

    def layers(self) -> tuple[Layer, ...] | None:
        """Return the layers with weights, or None where the topology's space does not tell."""
        space = find_space(self.topology.space)
        return layers_of(space, self.topology.parameters, self.input_shape, self.classes)


class TrainedFileWorkload(DatasetWorkload):
    """A ``.keras`` file that is trained further on a dataset and run."""

    uncounted: ClassVar[frozenset[str]] = UNCOUNTED_OF_DATA | {"model"}

    kind: Literal["trained_file"] = Field(
        default="trained_file", description="kind of the workload"
    )
    model: str = Field(description="name of the file")
    model_digest: str = Field(description="SHA-256 of the file's content")
    allowed: tuple[str, ...] = Field(default=(), description="code in the file that may be run")

    @property
    def name(self) -> str:
        """The file's name."""
        return self.model

    @property
    def training(self) -> Self:
        """The workload itself."""
        return self


class OwnWorkload(DatasetWorkload):
    """A network of a user's own space that is trained on a dataset and run.

    `loop` says how its training goes through the batches: in Keras's ``fit``, over those of the
    task, or in a loop that powerML only watches. The last is never sampled.
    """

    uncounted: ClassVar[frozenset[str]] = UNCOUNTED_OF_DATA

    kind: Literal["own"] = Field(default="own", description="kind of the workload")
    space: str = Field(description="name of the space")
    code: str = Field(description="name of the file with the space's code")
    code_digest: str = Field(description="SHA-256 of the space's code")
    values: dict[str, Value] = Field(description="value of each parameter, in their order")
    framework: Literal["keras", "torch"] = Field(description="framework of the network")
    loop: LoopName = Field(default="fit", description="fit, batches or free")

    @property
    def name(self) -> str:
        """The topology as it is written."""
        return f"{self.space}:{named(self.values)}"

    @property
    def training_job(self) -> str:
        """The guest's job that trains it."""
        return OWN_JOB

    @property
    def allowed(self) -> tuple[str, ...]:
        """No code of a file's: the space's own runs because its path was given."""
        return ()

    @property
    def training(self) -> Self:
        """The workload itself."""
        return self


TrainedWorkload = TopologyWorkload | TrainedFileWorkload | OwnWorkload


class ModelInput(BaseModel):
    """One input of a model with the sizes of all its dimensions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the input")
    shape: tuple[int, ...] = Field(description="sizes of all its dimensions")
    dtype: str = Field(description="numpy's name of its type")


class ModelWorkload(Workload):
    """A model's file that is run, not trained.

    The inputs are drawn at random with `seed`, or come from `data`.
    """

    uncounted: ClassVar[frozenset[str]] = frozenset(("data", "model"))

    kind: Literal["file"] = Field(default="file", description="kind of the workload")
    model: str = Field(description="name of the file")
    model_digest: str = Field(description="SHA-256 of the file's content")
    allowed: tuple[str, ...] = Field(default=(), description="code in the file that may be run")
    inputs: tuple[ModelInput, ...] = Field(description="the model's inputs, in its order")
    data: str | None = Field(description="source of the inputs; null for random ones")
    data_digest: str | None = Field(
        description="SHA-256 of the source's content; null for random inputs"
    )
    backend: str | None = Field(description="Keras backend; null for files that need no Keras")
    seed: int = Field(ge=0, description="seed of random inputs")
    deployment: Deployment = Field(description="the inference")

    @property
    def title(self) -> str:
        """The name in messages."""
        batch = self.deployment.batch_size
        return self.model if batch is None else f"{self.model} batch {batch}"

    @property
    def described(self) -> str:
        """The title, and what tells it from others of the same title."""
        return f"{self.title}, in {self.deployment.runtime}"

    @property
    def guest_jobs(self) -> tuple[str, ...]:
        """The inference alone."""
        return (self.deployment.job,)


class LoadWorkload(Workload):
    """A synthetic load: ``rows_a x inner`` times ``inner x cols_b``, in 64-bit integers.

    It makes a matrix of ones and a matrix of twos from lists of Python's integers, and multiplies
    them in numpy. Its one phase goes by its title.
    """

    kind: Literal["load"] = Field(default="load", description="kind of the workload")
    name: str = Field(description="name of the load")
    rows_a: int = Field(ge=1, description="rows of the first matrix")
    inner: int = Field(ge=1, description="columns of the first matrix, rows of the second")
    cols_b: int = Field(ge=1, description="columns of the second matrix")

    @property
    def title(self) -> str:
        """The name in messages."""
        return f"load {self.name} ({self.shape})"

    @property
    def guest_jobs(self) -> tuple[str, ...]:
        """Synthetic loads."""
        return ("loads",)

    @property
    def shape(self) -> str:
        """The two factors, as in ``200x8000 x 8000x200``."""
        return f"{self.rows_a}x{self.inner} x {self.inner}x{self.cols_b}"

    @property
    def products(self) -> int:
        """Multiplications of two numbers."""
        return self.rows_a * self.inner * self.cols_b

    @property
    def elements(self) -> int:
        """Numbers in the two matrices that are made."""
        return (self.rows_a + self.cols_b) * self.inner

    @property
    def deployment(self) -> None:
        """None: nothing is deployed."""

    @property
    def backend(self) -> None:
        """None: it needs no Keras."""


AnyWorkload = TopologyWorkload | TrainedFileWorkload | OwnWorkload | ModelWorkload | LoadWorkload


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model's file, with the data that it is trained on or the inputs that it is run on.

    `inputs` are arrays by name, of shape (inferences, *shape of the input). `exported` is the file
    that a ``.keras`` file was exported to for its runtime. `remarks` are notes on the inputs and
    the export that matter to the costs.
    """

    path: Path
    dataset: Dataset | None = None
    inputs: Mapping[str, NDArray[Any]] | None = None
    exported: bytes | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class OwnMaterial:
    """A user's own space with the data that its networks are trained on.

    `files` are the space's code, by the path from its folder. `remarks` are notes on the network.
    """

    space: OwnSpace
    dataset: Dataset
    files: Mapping[str, bytes]
    remarks: tuple[str, ...] = ()


# What a workload names by its digests: of a topology the dataset, of a file all that goes with it.
# A load names nothing.
Material: TypeAlias = "Dataset | ModelFile | OwnMaterial | None"
# Copies a file to where the measured process finds it, and returns its name there.
Stage = Callable[[Path], str]


def steps(samples: int, batch_size: int, epochs: int = 1) -> int:
    """Batches in `epochs` passes; the last batch of a pass may be smaller."""
    return math.ceil(samples / batch_size) * epochs


def make_workload(
    topology: Topology,
    dataset: Dataset,
    *,
    batch_size: int,
    epochs: int,
    protocol: ProtocolName,
    backend: str,
    validation: float,
    seed: int,
    deployment: Deployment | None = None,
    metric: str | None = None,
) -> TopologyWorkload:
    """Make the workload of a topology on a dataset.

    A batch larger than the data is one batch of all the data.

    Raises
    ------
    TopologyError
        The space cannot take inputs of the dataset's shape.
    UsageError
        `batch_size`, `epochs` or `seed` is out of range, or `metric` does not fit the data.
    """
    check_at_least_one(batch_size=batch_size, epochs=epochs)
    check_seed(seed)
    space = find_space(topology.space)
    if reason := space.check_input(dataset.input_shape):
        raise TopologyError(f"{topology} does not fit {dataset.name}: {reason}")
    return TopologyWorkload(
        topology=topology,
        data=dataset.name,
        data_digest=dataset.digest,
        validation=validation,
        target=dataset.target,
        test_share=dataset.test_share,
        input_shape=dataset.input_shape,
        task=dataset.task,
        classes=dataset.outputs,
        training_samples=len(dataset.train),
        inference_samples=len(dataset.test),
        batch_size=batch_size,
        epochs=epochs,
        protocol=protocol,
        metric=check_metric(metric, dataset.task, dataset.outputs),
        backend=backend,
        seed=seed,
        deployment=deployment,
    )


def check_at_least_one(**values: int) -> None:
    """Check that numbers are at least 1; raises ``UsageError``."""
    for name, value in values.items():
        if value < 1:
            raise UsageError(f"{name.replace('_', ' ')} is {value}: give at least 1")


def check_seed(seed: int) -> None:
    """Check a seed; raises ``UsageError``."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed is {seed}: give one from 0 to {2**32 - 1}")


def check_protocol(protocol: str) -> ProtocolName:
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
    is_own: bool = False,
) -> Deployment | None:
    """Make the deployment of a Keras model: None for the paper's way, Keras's ``evaluate``.

    Parameters
    ----------
    runtime
        Name of the runtime, None for the default.
    inference_batch, inferences
        Samples in a batch, None for the default; batches that are counted.
    backend
        The backend that Keras exports from.
    evaluates
        True if the paper's inference is the default.
    is_own
        True for a network of a user's own space, which its framework can run.

    Raises
    ------
    SetupError
        The runtime, or the export to it, is not installed.
    UsageError
        A number is below 1, or an option conflicts with the paper's inference.
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
    if not (is_own and chosen.name == FRAMEWORK):
        require_exporter(chosen, backend)
    return Deployment(runtime=chosen.name, batch_size=batch, inferences=inferences)
