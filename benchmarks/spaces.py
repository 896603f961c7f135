"""The search spaces of the tabular benchmark.

``dffr`` and ``cnn`` are grids over the product's own spaces, on `mnist_small`. ``taper`` is none of
the product's: dense networks that narrow, with another activation each, on ten classes of MNIST.
The samplers and the cost model were not developed on it. Keras is imported before they are used.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

import workloads
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare_file, prepare_topology
from powerml.spaces import Bounds, Layer, find_space, layers_of, topology_of
from powerml.workloads.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.workloads.workload import DEFAULT_EPOCHS, Material, TopologyWorkload

__all__ = ["BATCH_SIZE", "Member", "TabularSpace", "find", "names"]

BATCH_SIZE = "batch_size"
# 2, 9, 16, ... 100: from the smallest batch to all the data, which is the product's own space.
BATCH_STEP = 7
SAMPLES = 100

Parameters = Mapping[str, int | str]


@dataclass(frozen=True)
class Member:
    """One member of a space; ``str()`` gives it as ``layers=2,width=16,batch_size=9``."""

    values: tuple[tuple[str, int | str], ...]

    @classmethod
    def of(cls, parameters: Parameters) -> Member:
        """The member with these parameters."""
        return cls(tuple(parameters.items()))

    @property
    def parameters(self) -> dict[str, int | str]:
        """Values by name."""
        return dict(self.values)

    @classmethod
    def parse(cls, text: str) -> Member:
        """The member that ``str()`` gives as this text."""
        pairs = (part.split("=") for part in text.split(","))
        return cls(tuple((name, int(value) if value.isdigit() else value) for name, value in pairs))

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.values)


class TabularSpace:
    """A search space with its data.

    Parameters
    ----------
    name
        What it is called.
    distributions
        The parameters, as Optuna has them.
    reference
        The member that costs are relative to.
    """

    def __init__(
        self, name: str, distributions: Mapping[str, BaseDistribution], reference: Parameters
    ) -> None:
        self.name = name
        self.distributions = dict(distributions)
        self.reference = Member.of(reference)

    def members(self) -> Iterator[Member]:
        """All members."""
        for values in itertools.product(*(_values(one) for one in self.distributions.values())):
            yield Member(tuple(zip(self.distributions, values, strict=True)))

    @property
    def dataset(self) -> Dataset:
        """What is learned."""
        raise TypeError(self.name)

    def train(self, member: Member, seed: int) -> tuple[float, float]:
        """Train natively; the accuracy on the validation and on the test split, from 0 to 1."""
        raise TypeError(member, seed)

    def workload(self, member: Member) -> tuple[Any, Material]:
        """What is measured of a member, with its material."""
        raise TypeError(member)

    def layers(self, member: Member) -> tuple[Layer, ...]:
        """What its network consists of."""
        raise TypeError(member)

    def batch_size(self, member: Member) -> int:
        """Samples in a batch of the training."""
        return int(member.parameters[BATCH_SIZE])

    @property
    def training_samples(self) -> int:
        """Samples in the training split."""
        return SAMPLES

    @property
    def epochs(self) -> int:
        """Passes over the training samples."""
        return DEFAULT_EPOCHS


class GridSpace(TabularSpace):
    """A grid over a space's own search space, on `mnist_small`."""

    def __init__(self, name: str, steps: Mapping[str, int]) -> None:
        space = find_space(name)
        most = min(space.batch_size_bounds.high, SAMPLES)
        bounds = {**space.bounds, BATCH_SIZE: Bounds(space.batch_size_bounds.low, most)}
        super().__init__(
            name,
            {
                parameter: _stepped(limit, steps.get(parameter, 1))
                for parameter, limit in bounds.items()
            },
            {**space.reference, BATCH_SIZE: space.reference_batch_size},
        )
        self._space = space

    @cached_property
    def dataset(self) -> Dataset:
        """Zeros and ones, 100 samples each to train, to validate and to test."""
        return load_dataset("mnist_small", DEFAULT_VALIDATION)

    def train(self, member: Member, seed: int) -> tuple[float, float]:
        """As the product does it."""
        from powerml.networks.model import evaluate
        from powerml.networks.native import train

        workload, material = self.workload(member)
        trained = train(workload, material, seed)
        test = self.dataset.inputs(self.dataset.test, scaled=True)
        labels = self.dataset.test.labels
        return trained.score, evaluate(trained.model, test, labels, len(labels))

    def workload(self, member: Member) -> tuple[TopologyWorkload, Material]:
        """A topology, as `powerml.measure` prepares it."""
        parameters = {name: int(value) for name, value in member.values}
        batch_size = parameters.pop(BATCH_SIZE)
        topology = topology_of(self._space, parameters)
        return prepare_topology(topology, MeasureOptions(batch_size=batch_size))

    def layers(self, member: Member) -> tuple[Layer, ...]:
        """As the space tells them."""
        parameters = {name: int(value) for name, value in member.values}
        found = layers_of(self._space, parameters, self.dataset.input_shape, self.dataset.outputs)
        if found is None:
            raise TypeError(self._space)
        return found


class TaperSpace(TabularSpace):
    """Dense networks that narrow from layer to layer, on 1,000 samples of all ten digits."""

    # As constants, so that its table can be searched where MNIST is not.
    training_samples = 1_000
    input_shape, classes = (28, 28), 10
    epochs = 3
    LEAST_WIDTH = 4
    NARROWING: Mapping[str, float] = {"none": 1.0, "quarter": 0.75, "half": 0.5}

    def __init__(self) -> None:
        super().__init__(
            "taper",
            {
                "layers": IntDistribution(1, 5),
                "log2_width": IntDistribution(3, 7),
                "narrowing": CategoricalDistribution(tuple(self.NARROWING)),
                "activation": CategoricalDistribution(("relu", "tanh")),
                "log2_batch": IntDistribution(4, 8),
            },
            {
                "layers": 3,
                "log2_width": 5,
                "narrowing": "quarter",
                "activation": "relu",
                "log2_batch": 5,
            },
        )
        self._folder = Path(tempfile.mkdtemp(prefix="taper-"))

    @cached_property
    def dataset(self) -> Dataset:
        """The first 1,000 samples of each split of MNIST."""
        return workloads.subset(
            load_dataset("mnist", DEFAULT_VALIDATION), self.training_samples, self._folder
        )

    def build(self, member: Member) -> Any:
        """Return the compiled Keras model."""
        import keras

        activation = str(member.parameters["activation"])
        hidden = [
            keras.layers.Dense(width, activation=activation) for width in self._widths(member)
        ]
        output = keras.layers.Dense(self.classes, activation="softmax")
        model = keras.Sequential(
            [keras.Input(self.input_shape), keras.layers.Flatten(), *hidden, output]
        )
        model.compile(
            optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    def train(self, member: Member, seed: int) -> tuple[float, float]:
        """By the product's own functions, on one thread."""
        import torch

        from powerml.networks.model import evaluate, fit, seed_everything

        torch.set_num_threads(1)
        seed_everything(seed)
        model, data = self.build(member), self.dataset
        batch_size = self.batch_size(member)
        fit(model, data.inputs(data.train, scaled=True), data.train.labels, batch_size, self.epochs)
        validation, test = (
            evaluate(model, data.inputs(split, scaled=True), split.labels, len(split))
            for split in (data.validation, data.test)
        )
        return validation, test

    def workload(self, member: Member) -> tuple[Any, Material]:
        """A ``.keras`` file that is trained and run, as `powerml.measure` prepares it."""
        path = self._folder / f"{member}.keras"
        self.build(member).save(path)
        wanted = MeasureOptions(
            data=str(self._folder / f"{self.training_samples}.npz"),
            batch_size=self.batch_size(member),
            epochs=self.epochs,
        )
        assert self.dataset is not None  # noqa: S101 - writes the file that is named above
        return prepare_file(path, wanted)

    def batch_size(self, member: Member) -> int:
        """Samples in a batch of the training."""
        return int(2 ** int(member.parameters["log2_batch"]))

    def layers(self, member: Member) -> tuple[Layer, ...]:
        """All of them are dense."""
        widths = self._widths(member)
        inputs = [math.prod(self.input_shape), *widths]
        units = [*widths, self.classes]
        return tuple(Layer("dense", *pair) for pair in zip(inputs, units, strict=True))

    def _widths(self, member: Member) -> list[int]:
        first, factor = 2 ** int(member.parameters["log2_width"]), member.parameters["narrowing"]
        factors = (
            self.NARROWING[str(factor)] ** n for n in range(int(member.parameters["layers"]))
        )
        return [max(self.LEAST_WIDTH, round(first * one)) for one in factors]


def _stepped(bounds: Bounds, step: int) -> IntDistribution:
    """Every so many of a parameter's integers, from the lowest on."""
    high = bounds.high - (bounds.high - bounds.low) % step
    return IntDistribution(bounds.low, high, step=step)


def _values(distribution: BaseDistribution) -> tuple[int | str, ...]:
    if isinstance(distribution, IntDistribution):
        return tuple(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, CategoricalDistribution):
        return tuple(str(choice) for choice in distribution.choices)
    raise TypeError(distribution)


_SPACES: Mapping[str, Callable[[], TabularSpace]] = {
    "dffr": lambda: GridSpace("dffr", {BATCH_SIZE: BATCH_STEP}),
    "cnn": lambda: GridSpace("cnn", {BATCH_SIZE: 2 * BATCH_STEP, "kernel": 3, "layers": 2}),
    "taper": TaperSpace,
}


def names() -> list[str]:
    """Names of all spaces."""
    return list(_SPACES)


def find(name: str) -> TabularSpace:
    """The space of that name."""
    return _SPACES[name]()
