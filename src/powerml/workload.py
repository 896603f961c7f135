"""What is to be measured: a topology trained and run on a dataset, as plain JSON.

A measurement is a pure function of a workload, wherever it runs.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from powerml.datasets import Dataset
from powerml.errors import TopologyError, UnknownNameError, UsageError
from powerml.topology import Topology, find_family

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "DEFAULT_EPOCHS",
    "PROTOCOLS",
    "Protocol",
    "Workload",
    "check_protocol",
    "make_workload",
    "steps",
]

Protocol = Literal["default", "paper"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
DEFAULT_EPOCHS = 2  # the paper, section 2.5 and the original program
DEFAULT_BATCH_SIZE = 32


class Workload(BaseModel):
    """Everything that determines a measurement, apart from the machine and the software.

    ``training`` is `epochs` epochs over `training_images`, ``inference`` one pass over
    `inference_images`, both in batches of `batch_size` images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topology: str
    data: str
    data_digest: str
    validation: float = Field(gt=0, lt=1)
    input_shape: tuple[int, ...]
    classes: int = Field(ge=2)
    training_images: int = Field(ge=1)
    inference_images: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    protocol: Protocol
    backend: str
    seed: int = Field(ge=0)

    @property
    def scaled(self) -> bool:
        """Whether inputs are scaled: the paper's protocol takes pixels as they are."""
        return self.protocol != "paper"

    @property
    def training_steps(self) -> int:
        """Number of batches that the whole training takes."""
        return steps(self.training_images, self.batch_size, self.epochs)

    @property
    def inference_steps(self) -> int:
        """Number of batches that the inference takes."""
        return steps(self.inference_images, self.batch_size)


def steps(images: int, batch_size: int, epochs: int = 1) -> int:
    """Batches in `epochs` passes; the last batch of a pass may be smaller."""
    return math.ceil(images / batch_size) * epochs


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
    for name, value, least in (("batch size", batch_size, 1), ("epochs", epochs, 1)):
        if value < least:
            raise UsageError(f"{name} is {value}: give at least {least}")
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed is {seed}: give one from 0 to {2**32 - 1}")
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
        training_images=len(dataset.train),
        inference_images=len(dataset.test),
        batch_size=batch_size,
        epochs=epochs,
        protocol=protocol,
        backend=backend,
        seed=seed,
    )


def check_protocol(protocol: str) -> Protocol:
    """Check the name of a protocol; raises ``UnknownNameError``."""
    if protocol == "default":
        return "default"
    if protocol == "paper":
        return "paper"
    raise UnknownNameError("protocol", protocol, PROTOCOLS)
