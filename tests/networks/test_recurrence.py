"""Recurrent layers are exported whole: the export computes what Keras does, over any length."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnx
import pytest

from powerml.networks.export import TOLERANCE, export_proved

layers = keras.layers
MODELS: dict[str, list[Any]] = {
    "GRU": [layers.GRU(16)],
    "GRU that resets before": [layers.GRU(4, reset_after=False)],
    "GRU without biases": [layers.GRU(4, use_bias=False, activation="linear")],
    "LSTM": [layers.LSTM(16)],
    "LSTM of other activations": [
        layers.LSTM(4, recurrent_activation="hard_sigmoid", activation="softsign")
    ],
    "SimpleRNN": [layers.SimpleRNN(16)],
    "both directions": [
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.GlobalAveragePooling1D(),
    ],
    "stacked, one backwards": [
        layers.LSTM(4, return_sequences=True),
        layers.GRU(4, return_sequences=True, go_backwards=True),
        layers.SimpleRNN(4, activation="elu"),
    ],
}


def _model(layers_of_it: list[Any]) -> Any:
    model = keras.Sequential([keras.Input((None, 8)), *layers_of_it, keras.layers.Dense(3)])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.3, one.shape) for one in model.get_weights()])
    return model


def _operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("name", list(MODELS))
def test_a_recurrence_is_one_operator_over_any_length(tmp_path: Path, name: str) -> None:
    model = _model(MODELS[name])
    sizes = set()
    for length in (4, 100, 256):
        path = tmp_path / f"{length}.onnx"
        inputs = np.random.default_rng(1).random((2, 3, length, 8), np.float32)
        assert export_proved(model, path, "onnxruntime", [inputs]) <= TOLERANCE
        sizes.add(len(_operators(path)))
    assert len(sizes) == 1


def test_states_that_are_given_and_returned_are_kept(tmp_path: Path) -> None:
    sequence, state = keras.Input((None, 4)), keras.Input((6,))
    outputs = layers.LSTM(6, return_sequences=True, return_state=True)(
        sequence, initial_state=[state, state]
    )
    rng = np.random.default_rng(0)
    inputs = [rng.random((1, 2, 7, 4), np.float32), rng.random((1, 2, 6), np.float32)]
    model = keras.Model([sequence, state], outputs)
    path = tmp_path / "model.onnx"
    assert export_proved(model, path, "onnxruntime", inputs) <= TOLERANCE
    assert _operators(path).count("LSTM") == 1


def test_a_recurrence_that_no_operator_computes_is_unrolled_and_said_so(tmp_path: Path) -> None:
    model = _model([layers.GRU(4, activation="silu", name="odd")])
    unrolled = set()
    inputs = np.random.default_rng(1).random((1, 1, 5, 8), np.float32)
    difference = export_proved(
        model,
        tmp_path / "model.onnx",
        "onnxruntime",
        [inputs],
        lambda layer, steps: unrolled.add((layer, steps)),
    )
    assert difference <= TOLERANCE
    assert unrolled == {("odd", 5)}


def test_masked_steps_are_left_out_as_keras_does(tmp_path: Path) -> None:
    tokens = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(9, 4, mask_zero=True)(tokens)
    model = keras.Model(tokens, layers.LSTM(4)(embedded))
    inputs = np.array([[[3, 4, 0, 0]], [[0, 5, 0, 6]]], np.int32)
    assert export_proved(model, tmp_path / "model.onnx", "onnxruntime", [inputs]) <= TOLERANCE


def test_keras_is_left_as_it_was(tmp_path: Path) -> None:
    before = keras.layers.RNN.call
    inputs = np.ones((1, 1, 3, 8), np.float32)
    export_proved(_model([layers.GRU(4)]), tmp_path / "model.onnx", "onnxruntime", [inputs])
    assert keras.layers.RNN.call is before
