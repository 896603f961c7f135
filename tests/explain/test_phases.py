"""The phases that a model can have, told before anything is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.errors import UsageError
from powerml.explain.phases import phases_of
from powerml.measuring.options import MeasureOptions
from powerml.spaces import parse_topology

ALL = ("training", "load", "inference")


@pytest.mark.parametrize(
    ("model", "given", "phases"),
    [
        ("net.onnx", {}, ALL[1:]),
        (Path("net.TFLITE"), {"data": "inputs.npz"}, ALL[1:]),
        ("net.keras", {}, ALL[1:]),
        ("net.keras", {"data": "mnist_small"}, ALL),
        ("dffr:layers=2,width=4", {}, ALL),
        (parse_topology("dffr:layers=2,width=4"), {"training": False}, ALL[1:]),
        ("dffr:layers=2,width=4", {"protocol": "paper"}, ALL[:1]),
        ("dffr:layers=2,width=4", {"protocol": "paper", "runtime": "onnxruntime"}, ALL),
    ],
)
def test_phases_follow_from_the_model_and_its_options(
    model: Any, given: dict[str, Any], phases: tuple[str, ...]
) -> None:
    assert phases_of(model, MeasureOptions(**given)) == phases


def test_a_phase_that_a_side_cannot_have_is_refused_before_either_is_profiled() -> None:
    # Neither file is there, and nothing looks for them.
    with pytest.raises(UsageError, match=r"a\.onnx has no phase 'training': its phases are load"):
        powerml.compare("a.onnx", "b.onnx", phases=["training"])
    with pytest.raises(UsageError, match=r"a\.onnx has no phase 'training'"):
        powerml.profile("a.onnx", phases=["training"])
