"""The models of a validation are the same at every making, and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from powerml.host.models import MODELS, ValidationModel, write_model
from powerml.runtimes import require_runtime

of_each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


@of_each_model
def test_a_model_is_valid_and_computes(model: ValidationModel, tmp_path: Path) -> None:
    path = write_model(model, tmp_path)
    onnx.checker.check_model(str(path), full_check=True)
    runtime = require_runtime("onnxruntime")
    runtime.start()
    session = runtime.load(str(path))
    [given] = session.inputs
    assert given.shape == model.shape
    drawn = np.random.default_rng(0).random(model.shape).astype(given.dtype)
    [result] = session.run({given.name: drawn})
    assert np.isfinite(result).all()
    assert np.ptp(result) > 0


def test_models_are_of_many_kinds_and_their_names_differ() -> None:
    assert len(MODELS) >= 24
    assert len({model.name for model in MODELS}) == len(MODELS)
    assert len({model.kind for model in MODELS}) >= 7


@pytest.mark.parametrize("model", MODELS[:3], ids=lambda model: model.name)
def test_a_model_is_the_same_again(model: ValidationModel, tmp_path: Path) -> None:
    first = write_model(model, tmp_path).read_bytes()
    assert write_model(model, tmp_path).read_bytes() == first
