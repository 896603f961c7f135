"""The work of the layers of Keras models."""

from __future__ import annotations

from typing import Any

import pytest

from powerml.backend import select_backend
from powerml.explain.keras_layers import keras_layer_work


@pytest.fixture(scope="module")
def keras() -> Any:
    select_backend()
    import keras

    return keras


@pytest.mark.parametrize(
    ("layer", "arguments", "shape", "expected"),
    [
        ("Dense", {"units": 7}, (4, 5), 2 * 4 * 5 * 7),
        ("Conv1D", {"filters": 6, "kernel_size": 3}, (12, 4), 2 * 10 * 6 * 12),
        ("Conv2D", {"filters": 8, "kernel_size": 3, "groups": 2}, (9, 9, 4), 2 * 49 * 8 * 18),
        ("Conv3D", {"filters": 2, "kernel_size": 2}, (4, 4, 4, 3), 2 * 27 * 2 * 24),
        ("Conv2DTranspose", {"filters": 4, "kernel_size": 2, "strides": 2}, (5, 5, 3), 2 * 75 * 16),
        ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (9, 9, 4), 2 * 49 * 72),
        ("SeparableConv2D", {"filters": 6, "kernel_size": 3}, (9, 9, 4), 2 * 49 * (36 + 24)),
        ("LSTM", {"units": 6}, (9, 4), 2 * 9 * 24 * 10),
        ("GRU", {"units": 6}, (9, 4), 2 * 9 * 18 * 10),
        ("SimpleRNN", {"units": 6}, (9, 4), 2 * 9 * 6 * 10),
        ("ReLU", {}, (9, 4), 0),
        ("BatchNormalization", {}, (9, 4), 0),
        ("Embedding", {"input_dim": 10, "output_dim": 3}, (9,), 0),
    ],
)
def test_the_work_of_a_layer_follows_from_its_shapes(
    keras: Any, layer: str, arguments: dict[str, Any], shape: tuple[int, ...], expected: int
) -> None:
    made = getattr(keras.layers, layer)(name="one", **arguments)
    model = keras.Sequential([keras.Input(shape), made])
    found = keras_layer_work(model, 2)
    assert list(found) == ["one"]
    assert (found["one"].operator, found["one"].multiply_accumulates) == (layer, expected)


def test_layers_around_others_have_the_work_of_those(keras: Any) -> None:
    inputs = keras.Input((9, 4))
    both = keras.layers.Bidirectional(keras.layers.LSTM(6, return_sequences=True), name="both")
    each = keras.layers.TimeDistributed(keras.layers.Dense(3), name="each")
    found = keras_layer_work(keras.Model(inputs, each(both(inputs))), 1)
    assert found["both"].multiply_accumulates == 2 * 9 * 24 * 10
    assert found["each"].multiply_accumulates == 9 * 12 * 3


def test_attention_counts_its_projections_and_its_scores(keras: Any) -> None:
    query, value = keras.Input((9, 8)), keras.Input((5, 8))
    made = keras.layers.MultiHeadAttention(2, 4, value_dim=3, name="attention")(query, value)
    found = keras_layer_work(keras.Model([query, value], made), 1)["attention"]
    projections = 9 * 8 * 8 + 5 * 8 * 8 + 5 * 8 * 6 + 9 * 6 * 8
    assert found.multiply_accumulates == projections + 2 * 9 * 5 * (4 + 3)


def test_models_within_are_told_by_layer_and_shared_layers_add_up(keras: Any) -> None:
    shared = keras.layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="inner")])
    inputs = keras.Input((4,))
    found = keras_layer_work(keras.Model(inputs, inner(shared(shared(inputs)))), 1)
    assert {name: one.multiply_accumulates for name, one in found.items()} == {
        "shared": 32,
        "inner": 20,
    }
    assert found["inner"].data_bytes == 4 * (4 + 20 + 5 + 5)


def test_layers_and_models_of_the_users_own_have_no_work_that_is_told(keras: Any) -> None:
    class Twice(keras.layers.Dense):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return super().call(super().call(inputs))

    inputs = keras.Input((4,))
    found = keras_layer_work(keras.Model(inputs, Twice(4, name="twice")(inputs)), 1)
    assert found["twice"].multiply_accumulates is None
    assert found["twice"].data_bytes == 4 * (4 + 16 + 4 + 4)

    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3, name="dense")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    own = Own()
    own(keras.ops.ones((1, 4)))
    assert keras_layer_work(own, 1)["dense"].multiply_accumulates is None
