"""The example spaces: networks of all kinds, for the data that they say they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powerml.backend import import_keras, select_backend
from powerml.errors import SpaceError, TopologyError, UnknownNameError
from powerml.measuring.options import MeasureOptions
from powerml.networks.epochs import ALL_EPOCHS
from powerml.networks.export import TOLERANCE, export_proved
from powerml.networks.own_training import (
    Built,
    look_at,
    make_own_workload,
    score_own,
    train_own,
)
from powerml.operations import operations_of
from powerml.spaces import example_names, find_space, space_names
from powerml.spaces.from_file import OwnSpace, find_code, load_space, split_own
from powerml.spaces.trial import Answer, answers_of, middle_of
from powerml.spaces.values import read_values
from powerml.workloads.splits import Dataset, check_splits
from powerml.workloads.workload import OwnMaterial

NAMES = ("conv1d", "convnet", "gru", "mlp", "separable", "transformer")
IMAGES, SEQUENCES = ("convnet", "separable"), ("conv1d", "gru", "transformer")


@pytest.fixture(scope="module", autouse=True)
def keras_there() -> None:
    select_backend()
    import_keras()


def load(name: str) -> OwnSpace:
    return load_space(find_code(name))


def data_of(*shape: int, outputs: int = 0) -> Dataset:
    """Return random data; with `outputs`, those of a regression."""
    drawn = np.random.default_rng(0)
    inputs = drawn.random((40, *shape), dtype=np.float32)
    labels: Any = np.arange(40) % 4
    if outputs:
        labels = drawn.random((40, outputs), dtype=np.float32)
    return check_splits(
        {"x_train": inputs, "y_train": labels}, "drawn", task="regression" if outputs else None
    )


def reference_of(space: OwnSpace) -> Answer:
    assert space.reference is not None
    return answers_of(space.reference, space.name)


def built(name: str, dataset: Dataset, answer: Answer = middle_of) -> Built:
    return look_at(load(name), dataset, answer, epochs=1)


def test_the_examples_are_listed_with_the_other_spaces() -> None:
    assert tuple(example_names()) == NAMES
    assert {*NAMES, "cnn", "dffr"} <= set(space_names())
    with pytest.raises(UnknownNameError, match="did you mean 'transformer'"):
        find_space("transfomer")
    with pytest.raises(TopologyError, match="powerml optimize --space mlp"):
        find_space("mlp")


def test_an_example_is_named_as_a_built_in_space_is() -> None:
    assert split_own("mlp") == ("mlp", "")
    assert split_own("gru:layers=1,units_0=8") == ("gru", "layers=1,units_0=8")
    assert split_own("cnn:layers=1,filters=2,kernel=8") is None
    assert split_own("dffr") is None
    assert find_code("gru").main == "gru.py"


def test_a_file_in_the_folder_of_work_does_not_stand_for_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mlp").mkdir()
    assert split_own("mlp") == ("mlp", "")
    Path("mlp.py").write_text("def build(trial, task): ...\n", encoding="utf-8")
    assert find_code("mlp").root != tmp_path
    assert find_code("mlp.py").root == tmp_path


def test_the_code_of_an_example_is_its_file_alone_whatever_else_is_loaded() -> None:
    load("mlp")
    assert list(load("conv1d").code.files()) == ["conv1d.py"]


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_a_network_of_the_space_in_its_middle(name: str) -> None:
    space = load(name)
    found = built(name, data_of(8, 8), reference_of(space))
    assert dict(space.reference or {}) == found.trial.params
    for parameter, domain in found.trial.domains.items():
        value = found.trial.params[parameter]
        assert value in domain, parameter
    # Neither the smallest network nor the largest: the search has room on both sides.
    assert 1_000 < found.parameters < 100_000


@pytest.mark.parametrize("name", NAMES)
def test_the_operations_of_each_network_can_be_read(name: str) -> None:
    found = built(name, data_of(8, 8), reference_of(load(name)))
    kinds = {one.kind for one in operations_of(found.model, (8, 8))}
    expected = {
        "conv1d": "convolution",
        "convnet": "convolution",
        "gru": "recurrence",
        "mlp": "product",
        "separable": "depthwise",
        "transformer": "matching",
    }
    assert expected[name] in kinds


SHAPES = {
    "mlp": [(5,), (8, 8), (8, 8, 3), (2, 3, 4, 5)],
    "convnet": [(8, 8), (8, 8, 3), (2, 2), (5, 9, 1)],
    "separable": [(8, 8), (8, 8, 3), (2, 2), (5, 9, 1)],
    "conv1d": [(8, 8), (20,), (3, 1), (9, 2)],
    "gru": [(8, 8), (20,), (3, 1), (9, 2)],
    "transformer": [(8, 8), (20,), (3, 1), (9, 2)],
}


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name in NAMES for shape in SHAPES[name]]
)
def test_an_example_fits_its_network_to_the_data(name: str, shape: tuple[int, ...]) -> None:
    assert built(name, data_of(*shape)).parameters > 0
    assert built(name, data_of(*shape, outputs=3)).parameters > 0


@pytest.mark.parametrize(
    ("name", "shape", "needed"),
    [
        *((name, (16,), "needs images of shape (height, width)") for name in IMAGES),
        *((name, (2, 3, 4, 5), "needs images of shape (height, width)") for name in IMAGES),
        *((name, (8, 8, 3), "needs sequences of shape (time, features)") for name in SEQUENCES),
    ],
)
def test_data_that_an_example_does_not_take_is_refused_with_the_shape_that_it_needs(
    name: str, shape: tuple[int, ...], needed: str
) -> None:
    with pytest.raises(SpaceError) as refused:
        built(name, data_of(*shape))
    said = str(refused.value)
    assert f"of {name}.py" in said
    assert said.startswith("line ")
    assert f"{name} {needed}" in said
    assert str(shape) in said


# One small network for each branch of its code.
SMALL = {
    "mlp": "layers=1,units_0=4,activation=tanh,optimizer=sgd,learning_rate=0.01,batch_size=16",
    "convnet": "layers=1,filters_0=2,kernel_0=1,pool_0=false,head=average,optimizer=sgd,"
    "learning_rate=0.01,batch_size=16",
    "separable": "normalise=false,stem_filters=4,blocks=1,filters_0=8,kernel_0=3,stride_0=2,"
    "head=average,optimizer=sgd,learning_rate=0.01,batch_size=16",
    "conv1d": "layers=1,filters_0=4,kernel_0=1,pool_0=false,head=max,optimizer=sgd,"
    "learning_rate=0.01,batch_size=16",
    "gru": "layers=2,units_0=4,units_1=4,both_ways=true,summary=mean,optimizer=rmsprop,"
    "learning_rate=0.01,batch_size=16",
    "transformer": "heads=1,layers=1,head_width=4,expansion=1,positions=false,optimizer=adamw,"
    "learning_rate=0.01,batch_size=16",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("values", ["reference", "small"])
def test_the_export_of_an_example_computes_the_same(name: str, values: str, tmp_path: Path) -> None:
    chosen = read_values(SMALL[name])
    answer = reference_of(load(name)) if values == "reference" else answers_of(chosen, name)
    found = built(name, data_of(8, 8), answer)
    inputs = np.random.default_rng(0).random((1, 1, 8, 8), dtype=np.float32)
    path = tmp_path / "network.onnx"
    assert export_proved(found.model, path, "onnxruntime", [inputs]) <= TOLERANCE


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [0, 2])
def test_an_example_trains_on_classes_and_on_numbers(name: str, outputs: int) -> None:
    space, dataset = load(name), data_of(8, 8, outputs=outputs)
    workload, _ = make_own_workload(
        space,
        dataset,
        answers_of(read_values(SMALL[name]), name),
        epochs=1,
        protocol="default",
        backend="torch",
        validation=0.1,
        seed=0,
        deployment=MeasureOptions().deployment("torch"),
    )
    material = OwnMaterial(space, dataset, space.code.files())
    model, score, _ = train_own(workload, material, 0, ALL_EPOCHS)
    assert workload.metric == ("r2" if outputs else "accuracy")
    # The loop is one that is sampled.
    assert workload.loop == ("batches" if name in ("gru", "transformer") else "fit")
    assert score == score_own(workload, material, model, dataset.validation)
