from __future__ import annotations

import pytest

from powerml.spaces import find_space
from tests.spaces.networks import (
    build,
    kernels,
    require_glorot_kernels,
    require_papers_kernels,
    require_probabilities,
)


@pytest.mark.parametrize(
    ("layers", "filters", "kernel", "classes"), [(1, 1, 1, 2), (3, 2, 8, 10), (10, 5, 10, 2)]
)
def test_the_network_is_the_papers(layers: int, filters: int, kernel: int, classes: int) -> None:
    parameters = {"layers": layers, "filters": filters, "kernel": kernel}
    model = build("cnn", parameters, classes=classes)
    assert [type(layer).__name__ for layer in model.layers] == [
        "Reshape",
        *["Conv2D"] * layers,
        "Flatten",
        "Dense",
        "Dense",
    ]
    for layer in model.layers[1 : layers + 1]:
        config = layer.get_config()
        assert config["filters"] == filters
        assert config["kernel_size"] == (kernel, kernel)
        assert config["strides"] == (1, 1)
        assert config["padding"] == "same"
        assert config["activation"] == "relu"
        # 'same': every layer keeps the size of the image.
        assert tuple(layer.output.shape) == (None, 28, 28, filters)
    fully_connected, output = (layer.get_config() for layer in model.layers[-2:])
    assert (fully_connected["units"], fully_connected["activation"]) == (128, "relu")
    assert (output["units"], output["activation"]) == (classes, "softmax")
    assert type(model.optimizer).__name__ == "RMSprop"
    assert model.loss == "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("layers", "filters", "kernel", "input_shape", "classes"),
    [(1, 2, 8, (28, 28), 2), (2, 5, 3, (9, 7, 3), 10), (4, 1, 10, (6, 6, 1), 3)],
)
def test_parameter_count(
    layers: int, filters: int, kernel: int, input_shape: tuple[int, ...], classes: int
) -> None:
    parameters = {"layers": layers, "filters": filters, "kernel": kernel}
    height, width, *channels = input_shape
    first = (kernel**2 * (channels[0] if channels else 1) + 1) * filters
    further = (layers - 1) * (kernel**2 * filters + 1) * filters
    dense = (height * width * filters + 1) * 128
    model = build("cnn", parameters, input_shape, classes)
    assert model.count_params() == first + further + dense + (128 + 1) * classes


@pytest.mark.parametrize("input_shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_images_with_and_without_channels(input_shape: tuple[int, ...]) -> None:
    assert find_space("cnn").check_input(input_shape) is None
    model = build("cnn", {"layers": 2, "filters": 2, "kernel": 3}, input_shape, 4)
    channels = input_shape[2] if len(input_shape) == 3 else 1
    assert kernels(model)[0].shape == (3, 3, channels, 2)
    require_probabilities(model, input_shape, 4)


@pytest.mark.parametrize("input_shape", [(), (784,), (2, 3, 4, 5)])
def test_what_is_no_image_is_refused(input_shape: tuple[int, ...]) -> None:
    reason = find_space("cnn").check_input(input_shape)
    assert reason is not None
    assert "cnn needs images (height, width[, channels])" in reason
    assert str(input_shape) in reason


def test_kernels_of_the_paper() -> None:
    parameters = {"layers": 2, "filters": 5, "kernel": 7}
    require_papers_kernels(build("cnn", parameters, (10, 10), protocol="paper"))


def test_kernels_of_the_default_are_glorots() -> None:
    model = build("cnn", {"layers": 2, "filters": 5, "kernel": 7}, (10, 10))
    require_glorot_kernels(model)
    assert abs(kernels(model)[0]).max() > 0.05
