"""Operations that are read from networks, held against closed forms."""

from __future__ import annotations

import math
import threading
from typing import Any

import keras
import pytest
import torch
from keras import layers
from torch import nn

from powerml.errors import ModelError
from powerml.operations import Operation, operations_of

GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


def _products(operations: tuple[Operation, ...]) -> list[int]:
    found = [one.multiply_accumulates for one in operations]
    return [one for one in found if one]


def _kinds(operations: tuple[Operation, ...]) -> list[str]:
    return [one.kind for one in operations]


def _sequential(shape: tuple[int, ...], *stack: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *stack])


def test_a_dense_layer_is_a_product_and_a_bias() -> None:
    dense, bias = operations_of(_sequential((5,), layers.Dense(3)), (5,))
    assert (dense.kind, dense.fan_in, dense.units, dense.positions) == ("product", 5, 3, 1)
    assert (dense.inputs, dense.outputs, dense.weights) == (5, 3, 15)
    assert (bias.kind, bias.outputs, bias.weights) == ("elementwise", 3, 3)


def test_a_linear_layer_is_one_operation() -> None:
    (linear,) = operations_of(nn.Linear(5, 3), (5,))
    assert (linear.kind, linear.weights, linear.multiply_accumulates) == ("product", 18, 15)


def test_a_layer_on_each_of_several_positions() -> None:
    (linear,) = operations_of(nn.Linear(5, 3), (7, 5))
    assert (linear.units, linear.positions, linear.multiply_accumulates) == (3, 7, 105)


@pytest.mark.parametrize(("padding", "side"), [("same", 8), ("valid", 6)])
def test_a_convolution_takes_its_window_at_each_pixel(padding: str, side: int) -> None:
    model = _sequential((8, 8, 3), layers.Conv2D(4, 3, padding=padding))
    (one,) = [one for one in operations_of(model, (8, 8, 3)) if one.kind == "convolution"]
    assert one.multiply_accumulates == side * side * 4 * 3 * 9
    assert (one.fan_in, one.units, one.window, one.channels) == (27, 4, (3, 3), 3)
    assert one.positions == side * side


def test_a_window_of_even_width_is_padded_by_a_movement() -> None:
    model = _sequential((8, 8, 3), layers.Conv2D(4, 2, padding="same"))
    moved = [one for one in operations_of(model, (8, 8, 3)) if one.kind == "movement"]
    assert 9 * 9 * 3 in [one.outputs for one in moved]


@pytest.mark.parametrize(
    ("convolution", "shape", "products", "kind"),
    [
        (nn.Conv1d(4, 6, 5), (4, 20), 16 * 6 * 4 * 5, "convolution"),
        (nn.Conv2d(8, 6, 3, groups=2), (8, 5, 5), 9 * 6 * 4 * 9, "convolution"),
        (nn.Conv2d(8, 8, 3, groups=8), (8, 5, 5), 9 * 8 * 9, "depthwise"),
        (nn.Conv2d(8, 16, 3, groups=8), (8, 5, 5), 9 * 16 * 9, "depthwise"),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5), 25 * 4 * 6 * 9, "convolution"),
        (nn.Conv3d(2, 3, 2), (2, 4, 4, 4), 27 * 3 * 2 * 8, "convolution"),
    ],
)
def test_convolutions_of_any_kind(
    convolution: Any, shape: tuple[int, ...], products: int, kind: str
) -> None:
    (one,) = operations_of(convolution, shape)
    assert (one.kind, one.multiply_accumulates) == (kind, products)
    assert one.weights == sum(weight.numel() for weight in convolution.parameters())


def test_a_separable_convolution_is_a_depthwise_one_and_one_of_single_pixels() -> None:
    model = _sequential((8, 8, 4), layers.SeparableConv2D(6, 3, padding="same", use_bias=False))
    assert _products(operations_of(model, (8, 8, 4))) == [64 * 4 * 9, 64 * 4 * 6]


def test_a_residual_network_has_the_sum_and_all_its_ways() -> None:
    class Block(nn.Module):  # type: ignore[misc]  # PyTorch carries no types
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.around = nn.Conv2d(3, 8, 1)

        def forward(self, features: Any) -> Any:
            return self.inner(features) + self.around(features)

    found = operations_of(Block(), (3, 6, 6))
    assert _kinds(found) == [
        "convolution",
        "normalisation",
        "elementwise",
        "convolution",
        "elementwise",
    ]
    assert _products(found) == [36 * 8 * 27, 36 * 8 * 3]
    assert (found[-1].inputs, found[-1].outputs) == (2 * 36 * 8, 36 * 8)


@pytest.mark.parametrize("layer", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_a_recurrent_layer_of_keras_is_one_operation(layer: Any) -> None:
    model = _sequential((9, 4), layer(5))
    gates = {layers.SimpleRNN: 1, layers.GRU: 3, layers.LSTM: 4}[layer]
    (one,) = operations_of(model, (9, 4))
    assert (one.kind, one.units, one.positions) == ("recurrence", 5, 9)
    assert one.multiply_accumulates == 9 * gates * 5 * (4 + 5)
    assert one.weights == model.count_params()
    assert one.calls > 9  # its steps run one by one in a training


@pytest.mark.parametrize("module", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("directions", [1, 2])
def test_each_layer_and_direction_of_a_recurrent_module_is_one(
    module: Any, directions: int
) -> None:
    recurrent = module(4, 5, 2, batch_first=True, bidirectional=directions == 2)
    found = operations_of(recurrent, (9, 4))
    gates = GATES[module]
    first, second = 9 * gates * 5 * (4 + 5), 9 * gates * 5 * (5 * directions + 5)
    assert _products(found) == [first] * directions + [second] * directions
    weights = sum(weight.numel() for weight in recurrent.parameters())
    assert sum(one.weights for one in found) == weights


def test_a_layer_in_both_directions_is_two_recurrences() -> None:
    model = _sequential((9, 4), layers.Bidirectional(layers.LSTM(5)))
    found = [one for one in operations_of(model, (9, 4)) if one.kind == "recurrence"]
    assert [one.units for one in found] == [5, 5]


def test_an_attention_of_keras() -> None:
    samples = keras.Input((10, 6))
    attended = layers.MultiHeadAttention(2, 4)(samples, samples)
    found = operations_of(keras.Model(samples, attended), (10, 6))
    projected = [one for one in found if one.kind == "einsum"]
    # Queries, keys and values of two heads by four, and back to the width of six.
    assert [one.multiply_accumulates for one in projected] == [10 * 6 * 8] * 3 + [10 * 8 * 6]
    assert [one.weights for one in projected] == [48] * 4
    matched = [one for one in found if one.kind == "matching"]
    # Each head matches all positions with all, and weighs their values.
    assert sum(one.multiply_accumulates for one in matched) == 2 * 2 * 10 * 10 * 4


def test_an_attention_matches_a_pair_of_matrices_for_each_head() -> None:
    class Heads(nn.Module):  # type: ignore[misc]  # PyTorch carries no types
        def forward(self, samples: torch.Tensor) -> torch.Tensor:
            heads = samples.reshape(-1, 10, 3, 2).transpose(1, 2)
            return heads @ heads.transpose(-1, -2)

    (matched,) = [one for one in operations_of(Heads(), (10, 6)) if one.kind == "matching"]
    assert matched.groups == 3


def test_a_transformer_of_pytorch() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = operations_of(block, (5, 8))
    products = 5 * 8 * 24 + 5 * 8 * 8 + 2 * 5 * 5 * 8 + 2 * 5 * 8 * 16
    assert sum(_products(found)) == products
    assert _kinds(found).count("normalisation") == 2


@pytest.mark.parametrize(
    ("activation", "kind"),
    [
        (nn.ReLU(), "elementwise"),
        (nn.GELU(), "function"),
        (nn.Sigmoid(), "function"),
        (nn.Softmax(-1), "function"),
        (nn.LayerNorm(6), "normalisation"),
        (nn.MaxPool1d(2), "pooling"),
        (nn.AdaptiveAvgPool1d(1), "reduction"),
        (nn.ConstantPad1d(1, 0.0), "movement"),
    ],
)
def test_what_multiplies_nothing_has_a_kind_too(activation: Any, kind: str) -> None:
    (one, *_) = operations_of(activation, (4, 6))
    assert (one.kind, one.inputs, one.multiply_accumulates) == (kind, 24, 0)


def test_what_moves_nothing_is_no_operation() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 3)), nn.Flatten(), nn.Linear(6, 2))
    assert _kinds(operations_of(model, (6,))) == ["product"]


def test_what_depends_on_weights_alone_is_no_operation() -> None:
    class Scaled(nn.Module):  # type: ignore[misc]  # PyTorch carries no types
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6, 2))

        def forward(self, samples: Any) -> Any:
            return samples @ self.weight.exp()

    assert _kinds(operations_of(Scaled(), (6,))) == ["product"]


@pytest.mark.parametrize("of_keras", [True, False])
def test_an_embedding_takes_whole_numbers(of_keras: bool) -> None:
    model: Any = nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 2))
    if of_keras:
        model = _sequential((6,), layers.Embedding(20, 4), layers.Flatten(), layers.Dense(2))
    found = operations_of(model, (6,))
    assert 24 in [one.outputs for one in found if one.kind == "movement"]
    assert 48 in _products(found)


def test_a_model_of_several_inputs() -> None:
    one, other = keras.Input((2,)), keras.Input((3,))
    joined = layers.Concatenate()([layers.Dense(4)(one), other])
    found = operations_of(keras.Model([one, other], joined), (2,))
    assert (found[-1].kind, found[-1].outputs) == ("movement", 7)


def test_a_subclassed_model_is_built_by_it() -> None:
    class Subclassed(keras.Model):  # type: ignore[misc]  # Keras carries no types
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, samples: Any) -> Any:
            return self.dense(samples)

    assert _products(operations_of(Subclassed(), (5,))) == [15]


def test_a_lazy_module_is_built_by_it() -> None:
    assert _products(operations_of(nn.LazyLinear(3), (5,))) == [15]


def test_a_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    operations_of(model, (4,))
    assert [part.training for part in model] == [True, True, False]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_recurrent_layer_is_left_as_it_was() -> None:
    model = _sequential((9, 4), layers.GRU(5))
    operations_of(model, (9, 4))
    assert "call" not in vars(model.layers[0])


def test_nothing_is_drawn_from_the_generator_of_scores() -> None:
    class Noisy(nn.Module):  # type: ignore[misc]  # PyTorch carries no types
        def forward(self, samples: Any) -> Any:
            return samples + torch.rand_like(samples)

    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    operations_of(Noisy(), (4,))
    assert torch.equal(torch.rand(1), expected)


def test_several_threads_read_at_once() -> None:
    found: dict[int, tuple[Operation, ...]] = {}

    def read(width: int) -> None:
        found[width] = operations_of(nn.Sequential(nn.Linear(4, width), nn.ReLU()), (4,))

    threads = [threading.Thread(target=read, args=(width,)) for width in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {width: _products(one) for width, one in found.items()} == {
        width: [4 * width] for width in range(2, 8)
    }


def test_an_input_that_does_not_fit_is_told_with_its_shape() -> None:
    with pytest.raises(ModelError) as caught:
        operations_of(nn.Linear(5, 3), (4,))
    said = str(caught.value)
    assert "a Linear cannot be run on zeros of shape (1, 4)" in said
    assert said.endswith("its costs are learned from trials alone")


def test_a_model_that_computes_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="a Flatten computes nothing"):
        operations_of(nn.Flatten(), (4,))


def test_an_object_that_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="of type dict has no operations"):
        operations_of({}, (4,))


def test_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ModelError, match="not on jax"):
        operations_of(_sequential((5,), layers.Dense(3)), (5,))


def test_the_area_of_a_window_is_all_its_pixels() -> None:
    one = Operation("convolution", 1, 1, fan_in=24, window=(2, 3))
    assert (one.area, one.channels) == (math.prod((2, 3)), 4)
