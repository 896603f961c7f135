"""A runtime is one file: its format, its export and its warm-up come with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest

import powerml
from powerml.errors import ModelError
from powerml.guest.deployment_job import DeploymentJob
from powerml.networks.export import export_proved
from powerml.runtimes import find_runtime, require_exporter, runtime_names
from powerml.workloads.model_files import check_format, format_of, read_inputs, runtime_of
from tests.doubles import FormulaMeter

# A runtime for networks of one dense layer, kept as the bytes of its kernel.
ONE_FILE = '''
"""Dense layers without a bias, on numpy."""

from pathlib import Path

import numpy as np

from powerml.runtimes import Exporter, Format, Input, Needs, Session

MAGIC = b"DENSE"


def _write(model, path, signature):
    kernel = np.asarray(model.layers[-1].get_weights()[0], "<f4")
    Path(path).write_bytes(MAGIC + bytes(kernel.shape) + kernel.tobytes())


class Dense:
    name = "dense_of_tests"
    format = Format(
        ".dense",
        magic=((0, MAGIC),),
        exporter=Exporter(_write, Needs((), "pip install numpy"), leaves_batch_open=True),
        warm_up_models=(Path(__file__).with_name("small.dense"),),
    )
    package = "numpy"
    install = "pip install numpy"
    loaded = []

    def start(self):
        pass

    def versions(self):
        return {"numpy": np.__version__}

    def load(self, path, shapes=None, allowed=()):
        self.loaded.append(path)
        content = Path(path).read_bytes().removeprefix(MAGIC)
        kernel = np.frombuffer(content[2:], "<f4").reshape(content[0], content[1])
        inputs = (Input("x", ("batch", kernel.shape[0]), "float32"),)
        return Session(inputs, lambda feed: [feed["x"] @ kernel])


runtime = Dense()
'''
NAME = "dense_of_tests"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One more runtime, installed as another package would be, for processes that start too."""
    site = tmp_path / "site"
    facts = site / "dense_of_tests-1.dist-info"
    facts.mkdir(parents=True)
    (site / f"{NAME}.py").write_text(ONE_FILE, encoding="utf-8")
    (site / "small.dense").write_bytes(b"DENSE\x02\x01" + np.ones(2, "<f4").tobytes())
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: dense_of_tests\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(f"[powerml.runtimes]\n{NAME} = {NAME}:runtime\n")
    monkeypatch.syspath_prepend(site)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    yield site
    sys.modules.pop(NAME, None)


def test_it_is_found_by_its_name_and_by_its_files(installed: Path) -> None:
    assert NAME in runtime_names()
    model = installed / "small.dense"
    check_format(model)
    assert (runtime_of(model), format_of(model)) == (NAME, ".dense")
    [found] = read_inputs(model)
    assert found.shape == ("batch", 2)
    model.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"is not a \.dense file, or it is truncated"):
        check_format(model)
    renamed = model.with_suffix(".model")
    renamed.write_bytes(b"DENSE\x02\x01")
    with pytest.raises(ModelError, match=r"is \.dense by its content: rename it"):
        check_format(renamed)


def test_its_models_are_measured(installed: Path, meter: FormulaMeter) -> None:
    measured = powerml.measure(str(installed / "small.dense"), meter=meter, inference_batch=3)
    deployment = measured.workload.deployment
    assert deployment is not None
    assert (deployment.runtime, deployment.batch_size) == (NAME, 3)


def test_keras_models_are_exported_to_it(installed: Path, tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(inputs))
    require_exporter(find_runtime(NAME), "torch")
    samples = np.random.default_rng(0).random((2, 5, 4)).astype(np.float32)
    assert export_proved(model, tmp_path / "made.dense", NAME, [samples]) < 1e-6


def test_the_simulator_warms_up_with_its_models(installed: Path) -> None:
    for _ in DeploymentJob(NAME).warm_up():
        pass
    loaded = sys.modules[NAME].runtime.loaded
    assert set(loaded) == {str(installed / "small.dense")}
