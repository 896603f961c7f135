from __future__ import annotations

import math

import numpy as np
import pytest

from powerml.networks.model import build_model, seed_everything
from powerml.spaces import find_space
from powerml.workloads.workload import check_protocol
from tests.spaces.networks import (
    build,
    kernels,
    require_glorot_kernels,
    require_papers_kernels,
    require_probabilities,
)


def _layers(layers: int, width: int, classes: int) -> list[tuple[str, int | None, str | None]]:
    hidden = [("Dense", width, "relu")] * layers
    return [("Flatten", None, None), *hidden, ("Dense", classes, "softmax")]


@pytest.mark.parametrize(("layers", "width", "classes"), [(1, 1, 2), (3, 16, 10), (10, 20, 2)])
def test_the_network_is_the_papers(layers: int, width: int, classes: int) -> None:
    model = build("dffr", {"layers": layers, "width": width}, classes=classes)
    found = [
        (type(layer).__name__, getattr(layer, "units", None), layer.get_config().get("activation"))
        for layer in model.layers
    ]
    assert found == _layers(layers, width, classes)
    assert type(model.optimizer).__name__ == "Adam"
    assert model.loss == "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("layers", "width", "input_shape", "classes"),
    [(1, 5, (28, 28), 2), (4, 7, (28, 28, 3), 10), (2, 20, (13,), 3)],
)
def test_parameter_count(
    layers: int, width: int, input_shape: tuple[int, ...], classes: int
) -> None:
    model = build("dffr", {"layers": layers, "width": width}, input_shape, classes)
    first = (math.prod(input_shape) + 1) * width
    further = (layers - 1) * (width + 1) * width
    assert model.count_params() == first + further + (width + 1) * classes


@pytest.mark.parametrize("input_shape", [(28, 28), (8, 6, 3), (11,), (2, 3, 4, 5)])
def test_any_input_is_flattened(input_shape: tuple[int, ...]) -> None:
    assert find_space("dffr").check_input(input_shape) is None
    model = build("dffr", {"layers": 1, "width": 4}, input_shape, 3)
    assert kernels(model)[0].shape == (math.prod(input_shape), 4)
    require_probabilities(model, input_shape, 3)


def test_a_single_number_is_no_input() -> None:
    reason = find_space("dffr").check_input(())
    assert reason == "dffr needs inputs with at least one dimension"


def test_kernels_of_the_paper() -> None:
    require_papers_kernels(build("dffr", {"layers": 3, "width": 9}, protocol="paper"))


def test_kernels_of_the_default_are_glorots() -> None:
    model = build("dffr", {"layers": 3, "width": 20})
    require_glorot_kernels(model)
    assert abs(kernels(model)[1]).max() > 0.05


def test_layers_of_one_shape_draw_kernels_of_their_own_under_either_protocol() -> None:
    for protocol in ("default", "paper"):
        seed_everything(0)
        model = build_model(
            find_space("dffr"), {"layers": 4, "width": 5}, (28, 28), 2, check_protocol(protocol)
        )
        dense = [layer.get_weights()[0] for layer in model.layers if layer.get_weights()]
        hidden = [kernel for kernel in dense if kernel.shape == (5, 5)]
        assert len(hidden) == 3
        assert not np.array_equal(hidden[0], hidden[1])
        assert not np.array_equal(hidden[1], hidden[2])
