"""Models that are given as objects: a file for a while, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.errors import ExportError, UsageError
from powerml.measuring.objects import model_in_file
from powerml.progress import silent
from powerml.spaces import parse_topology
from powerml.workloads.model_files import read_inputs


def test_a_topology_and_a_path_are_taken_as_they_are(tmp_path: Path) -> None:
    for given in ("dffr:layers=1,width=4", parse_topology("dffr:layers=1,width=4"), tmp_path):
        with model_in_file(given, None, silent) as taken:
            assert taken is given


def test_a_keras_model_is_a_file_for_a_while() -> None:
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="my model:2")
    with model_in_file(model, None, silent) as taken:
        assert isinstance(taken, Path)
        assert taken.name == "my-model-2.keras"
        assert [one.shape[1:] for one in read_inputs(taken)] == [(4,)]
    assert not taken.exists()


def test_a_module_is_exported_with_its_example_inputs_and_left_as_it_was() -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.5))
    with model_in_file(module, (torch.zeros(3, 4),), silent, "net") as taken:
        assert isinstance(taken, Path)
        assert taken.name == "net.onnx"
        assert [one.shape for one in read_inputs(taken)] == [(3, 4)]
    assert module.training


def test_a_module_that_fails_is_refused_with_what_it_said() -> None:
    import torch

    with (
        pytest.raises(ExportError, match="Linear cannot be exported to ONNX"),
        model_in_file(torch.nn.Linear(4, 2), torch.zeros(3, 5), silent),
    ):
        raise AssertionError


def test_what_cannot_be_measured_is_refused() -> None:
    import torch

    module = torch.nn.Linear(4, 2)
    for model, inputs, said in (
        (module, None, "Linear is a torch.nn.Module.*give example_inputs"),
        (module, [1.0], "a tensor or a tuple of tensors"),
        ("model.onnx", torch.zeros(1), "leave them out"),
        (3, None, "type int is no model: give a topology"),
    ):
        with pytest.raises(UsageError, match=said), model_in_file(model, inputs, silent):
            raise AssertionError
