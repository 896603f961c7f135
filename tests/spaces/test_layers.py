from __future__ import annotations

import pytest

from powerml.spaces import Layer, Space, find_space, layers_of, parameter_count, topology_of


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("dffr", {"layers": 1, "width": 1}),
        ("dffr", {"layers": 10, "width": 20}),
        ("cnn", {"layers": 1, "filters": 1, "kernel": 1}),
        ("cnn", {"layers": 3, "filters": 5, "kernel": 10}),
    ],
)
@pytest.mark.parametrize("input_shape", [(28, 28), (8, 6, 3)])
def test_a_space_tells_the_layers_that_it_builds(
    name: str, parameters: dict[str, int], input_shape: tuple[int, ...]
) -> None:
    from powerml.backend import import_keras, select_backend

    select_backend()
    import_keras()
    space = find_space(name)
    model = space.build(parameters, input_shape, 3, "glorot_uniform")
    layers = layers_of(space, parameters, input_shape, 3)
    assert layers is not None
    assert parameter_count(layers) == model.count_params()
    outputs = [layer.output.shape[1:] for layer in model.layers if layer.weights]
    sizes = []
    for shape in outputs:
        size = 1
        for dimension in shape:
            size *= dimension
        sizes.append(size)
    assert [layer.outputs for layer in layers] == sizes


def test_a_convolution_is_a_product_at_each_position() -> None:
    layer = Layer("convolution", fan_in=3 * 25, units=4, positions=784, area=25)
    assert layer.parameters == (75 + 1) * 4
    assert layer.multiply_accumulates == 75 * 4 * 784


def test_a_space_of_a_plug_in_need_not_tell_its_layers() -> None:
    class Silent:
        name = "silent"

    assert layers_of(_as_space(Silent()), {}, (28, 28), 2) is None


def test_references_are_members_whose_layers_are_told() -> None:
    for name in ("dffr", "cnn"):
        space = find_space(name)
        topology = topology_of(space, space.reference)
        assert layers_of(space, topology.parameters, (28, 28), 2)


def _as_space(anything: object) -> Space:
    return anything  # type: ignore[return-value]
