"""Networks of a user's own space: built, checked, trained and scored natively."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powerml.errors import LONGEST_MESSAGE, PowerMLError, SpaceError, TrainingError, UsageError
from powerml.networks.native import Trained, score_on_test, train
from powerml.networks.own_training import (
    load_own,
    look_at,
    make_own_workload,
    own_arrays,
    save_own,
)
from powerml.spaces.trial import answers_of, middle_of
from powerml.spaces.values import Value
from powerml.workloads.splits import Dataset
from powerml.workloads.workload import OwnMaterial, OwnWorkload
from tests.own_spaces import KERAS, TORCH, arrays, blobs, imports_kept, line, loaded

BOTH = pytest.mark.parametrize("text", [KERAS, TORCH], ids=["keras", "torch"])


@pytest.fixture(autouse=True)
def imports_as_before() -> Iterator[None]:
    with imports_kept():
        yield


def _made(
    folder: Path,
    text: str,
    values: dict[str, Value] | None = None,
    dataset: Dataset | None = None,
    epochs: int = 2,
    **beside: str,
) -> tuple[OwnWorkload, OwnMaterial]:
    space, data = loaded(folder, text, **beside), dataset or blobs()
    workload, _ = make_own_workload(
        space,
        data,
        middle_of if values is None else answers_of(values, space.name),
        epochs=epochs,
        protocol="default",
        backend="torch",
        validation=0.2,
        seed=0,
        deployment=None,
        batch_size=16,
    )
    return workload, OwnMaterial(space, data, space.code.files())


def _trained(folder: Path, text: str, seed: int = 0, **options: Any) -> Trained:
    return train(*_made(folder, text, **options), seed)


def _build(body: str, framework: str = "keras") -> str:
    """Write a space whose build is these lines."""
    lines = "\n".join(f"    {one}" for one in body.splitlines())
    return (
        f"import {framework}\ndef build(trial, task):\n"
        f"    units = trial.suggest_int('units', 2, 16, log=True)\n{lines}\n"
    )


def _refused(folder: Path, text: str, kind: type[PowerMLError] = SpaceError, **options: Any) -> str:
    with pytest.raises(kind) as refused:
        _trained(folder, text, **options)
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) <= LONGEST_MESSAGE
    return said


@BOTH
@pytest.mark.parametrize(
    ("returned", "kind"), [("None", "None"), ("'net'", "str"), ("(1, 2)", "tuple")]
)
def test_what_is_no_network_is_refused(text: str, returned: str, kind: str, tmp_path: Path) -> None:
    body = text.partition("    return")[0] + f"    return {returned}\n"
    said = _refused(tmp_path, body)
    assert f"build of mine.py returned {'an object of type ' * (kind != 'None')}{kind}" in said
    assert "return a keras.Model or a torch.nn.Module" in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return keras.layers.Dense(2)", "an object of type Dense"),
        (
            "return keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)])",
            "takes inputs of shape (9,), the data's are (4,)",
        ),
        (
            "a, b = keras.Input((4,)), keras.Input((4,))\n"
            "return keras.Model([a, b], keras.layers.add([a, b]))",
            "has 2 inputs, and the data one",
        ),
        (
            "a = keras.Input((4,))\none = keras.layers.Dense(2)\n"
            "return keras.Model(a, [one(a), one(a)])",
            "outputs of shape several outputs",
        ),
        (
            "a = keras.Input((4,))\nreturn keras.Model(a, {'x': keras.layers.Dense(2)(a)})",
            "outputs of shape several outputs",
        ),
        (
            "return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])",
            "outputs of shape (3,), and the task needs (2,)",
        ),
        ("raise MemoryError", "line 4 of mine.py: build ran out of memory"),
        ("raise SystemExit(1)", "line 4 of mine.py: build failed (SystemExit: 1)"),
        ("return keras.layers.Dense(-1)", "line 4 of mine.py: build failed"),
        ("return undefined", "line 4 of mine.py: build failed"),
        ("trial.suggest_float('units', 0, 1)", "line 4 of mine.py: units is asked for twice"),
        ("task.x_train", "line 4 of mine.py: build failed"),
    ],
)
def test_a_keras_network_that_does_not_fit_is_refused(body: str, said: str, tmp_path: Path) -> None:
    assert said in _refused(tmp_path, _build(body))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return torch.nn.Linear(9, 2)", "the network with inputs of shape (4,) failed"),
        ("return torch.nn.Linear(4, 3)", "outputs of shape (3,), and the task needs (2,)"),
        ("return torch.nn.LSTM(4, 2)", "outputs of shape several outputs"),
        ("return torch.nn.Bilinear(4, 4, 2)", "the network with inputs of shape (4,) failed"),
        ("return torch.nn.Flatten(0)", "outputs of shape"),
        ("return torch.nn.Linear(10**7, 10**7)", "line 4 of mine.py: build failed"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(body: str, said: str, tmp_path: Path) -> None:
    assert said in _refused(tmp_path, _build(body, "torch"))


def test_a_keras_network_for_inputs_of_any_size_fits(tmp_path: Path) -> None:
    text = _build(
        "return keras.Sequential([keras.Input((None,)), keras.layers.Reshape((4,)),"
        " keras.layers.Dense(2)])"
    )
    assert look_at(loaded(tmp_path, text), blobs(), middle_of, 1).parameters == 10


@BOTH
def test_a_network_learns(text: str, tmp_path: Path) -> None:
    # The classes lie five deviations apart.
    text = text.replace("    units =", '    trial.suggest_float("lr", 0.01, 0.1)\n    units =')
    assert _trained(tmp_path, text, epochs=10).score > 0.9


@BOTH
def test_the_same_seed_gives_the_same_score_and_weights(text: str, tmp_path: Path) -> None:
    scored = (
        text
        + "def score(model, task):\n"
        + (
            "    return float(abs(model.get_weights()[0]).sum())\n"
            if text == KERAS
            else "    return sum(float(one.detach().abs().sum()) for one in model.parameters())\n"
        )
    )
    first, again, other = (
        _trained(tmp_path / str(number), scored, seed).score
        for number, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other


PROBABILITIES = {
    "keras": "return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2{})])",
    "torch": "return torch.nn.Sequential(torch.nn.Linear(4, 2){})",
}


@pytest.mark.parametrize(
    ("framework", "end"),
    [
        ("keras", ", activation='softmax'"),
        ("keras", ""),
        ("torch", ", torch.nn.Softmax(-1)"),
        ("torch", ""),
        ("torch", ", torch.nn.LogSoftmax(-1)"),
    ],
)
def test_networks_of_probabilities_and_of_logits_learn(
    framework: str, end: str, tmp_path: Path
) -> None:
    text = _build(
        "trial.suggest_float('learning_rate', 0.01, 0.1, log=True)\n"
        + PROBABILITIES[framework].format(end),
        framework,
    )
    assert _trained(tmp_path, text, epochs=30).score > 0.9


@BOTH
@pytest.mark.parametrize("name", ["learning_rate", "lr"])
def test_the_optimizer_and_its_rate_are_the_parameters(
    text: str, name: str, tmp_path: Path
) -> None:
    asked = (
        text.replace(
            "    units =",
            f'    trial.suggest_float("{name}", 0, 1)\n'
            '    trial.suggest_categorical("optimizer", ["SGD"])\n    units =',
        )
        + "def score(model, task):\n"
        + (
            "    return float(model.optimizer.learning_rate)\n"
            if text == KERAS
            else "    return 0.0\n"
        )
    )
    values: dict[str, Value] = {name: 0.25, "optimizer": "SGD", "units": 4}
    found = _trained(tmp_path, asked, values=values)
    assert found.score == (0.25 if text == KERAS else 0.0)


@BOTH
def test_an_unknown_optimizer_is_refused(text: str, tmp_path: Path) -> None:
    asked = text.replace(
        "    units =", '    trial.suggest_categorical("optimizer", ["adamm"])\n    units ='
    )
    assert "there is no optimizer 'adamm'" in _refused(tmp_path, asked)


def test_a_compiled_keras_network_keeps_its_optimizer_and_loss(tmp_path: Path) -> None:
    text = _build(
        "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
        "model.compile(optimizer=keras.optimizers.Lion(0.5),"
        " loss='sparse_categorical_crossentropy')\nreturn model"
    )
    found = _trained(tmp_path, text + "def score(model, task):\n    return 1.0\n").model
    assert type(found.optimizer).__name__ == "Lion"
    assert found.loss == "sparse_categorical_crossentropy"


@BOTH
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regression_is_trained_and_scored(text: str, outputs: int, tmp_path: Path) -> None:
    text = text.replace(', activation="softmax"', "").replace(
        "    units =", '    trial.suggest_float("lr", 0.01, 0.1)\n    units ='
    )
    # r2 of a network that answers with the mean is 0.
    assert _trained(tmp_path, text, dataset=line(outputs), epochs=40).score > 0.5


@BOTH
def test_three_classes_are_told_apart(text: str, tmp_path: Path) -> None:
    text = text.replace("    units =", '    trial.suggest_float("lr", 0.01, 0.1)\n    units =')
    assert _trained(tmp_path, text, dataset=blobs(3), epochs=20).score > 0.9


TRAINS = {
    "fit": KERAS + "def train(model, task, trial):\n"
    "    model.compile(optimizer='adam', loss='sparse_categorical_crossentropy')\n"
    "    model.fit(task.x_train, task.y_train, {arguments})\n",
    "batches": TORCH + "def train(model, task, trial):\n"
    "    stepper = torch.optim.Adam(model.parameters(), lr=0.01)\n"
    "    for _ in range({epochs}):\n"
    "        for x, y in task.batches({size}):\n"
    "            stepper.zero_grad()\n"
    "            loss = torch.nn.functional.cross_entropy(\n"
    "                model(torch.from_numpy(x)), torch.from_numpy(y))\n"
    "            loss.backward()\n"
    "            stepper.step()\n"
    "        print(loss.item())\n",
    "loader": TORCH + "from torch.utils.data import DataLoader, TensorDataset\n"
    "def train(model, task, trial):\n"
    "    stepper = torch.optim.Adam(model.parameters(), lr=0.01)\n"
    "    data = TensorDataset(torch.from_numpy(task.x_train), torch.from_numpy(task.y_train))\n"
    "    for _ in range(task.epochs):\n"
    "        for x, y in DataLoader(data, task.batch_size, shuffle=True):\n"
    "            stepper.zero_grad()\n"
    "            torch.nn.functional.cross_entropy(model(x), y).backward()\n"
    "            stepper.step()\n",
}


@pytest.mark.parametrize(
    ("arguments", "loop", "batch_size", "epochs"),
    [
        ("", "fit", 32, 1),
        ("task.batch_size, task.epochs", "fit", 16, 2),
        ("batch_size=8, epochs=3, shuffle=True, verbose=1, callbacks=[]", "fit", 8, 3),
        ("class_weight={0: 1.0, 1: 2.0}", "fit", 32, 1),
        ("sample_weight=task.x_train[:, 0]", "free", 16, 2),
        ("callbacks=[keras.callbacks.TerminateOnNaN()]", "free", 16, 2),
        ("validation_data=(task.x_validation, task.y_validation)", "free", 16, 2),
        ("8, 3, 0, [keras.callbacks.TerminateOnNaN()]", "free", 16, 2),
    ],
)
def test_the_steps_of_a_fit_are_found(
    arguments: str, loop: str, batch_size: int, epochs: int, tmp_path: Path
) -> None:
    workload, material = _made(tmp_path, TRAINS["fit"].replace("{arguments}", arguments))
    found = (workload.loop, workload.batch_size, workload.epochs)
    assert found == (loop, batch_size, epochs)
    assert math.isfinite(train(workload, material, 0).score)


def test_several_fits_are_one_loop_of_its_own(tmp_path: Path) -> None:
    text = TRAINS["fit"].replace("{arguments}", "") + "    model.fit(task.x_train, task.y_train)\n"
    assert _made(tmp_path, text)[0].loop == "free"


@pytest.mark.parametrize(
    ("epochs", "size", "found"),
    [
        ("task.epochs", "", ("batches", 16, 2)),
        ("5", "8", ("batches", 8, 5)),
        ("1", "1000", ("batches", 68, 1)),
    ],
)
def test_the_steps_over_batches_are_found(
    epochs: str, size: str, found: tuple[str, int, int], tmp_path: Path
) -> None:
    text = TRAINS["batches"].replace("{epochs}", epochs).replace("{size}", size)
    workload, material = _made(tmp_path, text)
    assert (workload.loop, workload.batch_size, workload.epochs) == found
    assert train(workload, material, 0).score >= 0


def test_epochs_of_different_batches_are_a_loop_of_its_own(tmp_path: Path) -> None:
    text = TRAINS["batches"].replace("{epochs}", "3").replace("{size}", "4 + 4 * _")
    assert _made(tmp_path, text)[0].loop == "free"


def test_a_loop_over_batches_that_never_ends_by_itself_is_one_of_its_own(tmp_path: Path) -> None:
    text = TORCH + (
        "def train(model, task, trial):\n"
        "    seen = 0\n"
        "    while seen < 500_000:\n"
        "        for x, y in task.batches():\n"
        "            seen += len(x)\n"
    )
    assert _made(tmp_path, text)[0].loop == "free"


def test_a_data_loader_is_a_loop_of_its_own(tmp_path: Path) -> None:
    workload, material = _made(tmp_path, TRAINS["loader"], epochs=20)
    assert workload.loop == "free"
    assert train(workload, material, 0).score > 0.9


def test_a_training_without_a_step_is_a_loop_of_its_own(tmp_path: Path) -> None:
    workload, material = _made(tmp_path, TORCH + "def train(model, task, trial):\n    pass\n")
    assert workload.loop == "free"
    assert 0 <= train(workload, material, 0).score <= 1


def test_a_training_that_fails_names_the_line_of_the_file_beside(tmp_path: Path) -> None:
    text = TORCH + "import loops\ndef train(model, task, trial):\n    loops.run(model)\n"
    said = _refused(tmp_path, text, loops="def run(model):\n    model(3)\n    return 1 / 0\n")
    assert "line 2 of loops.py: train failed" in said


@BOTH
def test_a_training_that_diverges_is_one_that_failed(text: str, tmp_path: Path) -> None:
    text = text.replace(
        "    units =", '    trial.suggest_float("lr", 1e30, 1e37, log=True)\n    units ='
    )
    said = _refused(tmp_path, text, TrainingError, epochs=5)
    assert "no number" in said


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_network_without_parameters_is_scored(framework: str, tmp_path: Path) -> None:
    body = {
        "keras": "a = keras.Input((4,))\nreturn keras.Model(a, a[:, :2])",
        "torch": "class Two(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x[:, :2]\n"
        "return Two()",
    }[framework]
    # The class is the number of the largest feature.
    assert _trained(tmp_path, _build(body, framework)).score > 0.9


SCORES = [
    ("0.5", 0.5),
    ("7", 7.0),
    ("-3.25", -3.25),
    ("True", 1.0),
    ("np.float32(0.5)", 0.5),
    ("np.array(0.5)", 0.5),
    ("torch.tensor([0.5])", 0.5),
    ("float((model(torch.from_numpy(task.x)).argmax(1).numpy() == task.y).mean() * 0)", 0.0),
]
WRONG_SCORES = [
    ("None", "an object of type NoneType"),
    ("'0.5'", "an object of type str"),
    ("[0.5]", "an object of type list"),
    ("np.ones(3)", "an object of type ndarray"),
    ("torch.ones(3)", "an object of type Tensor"),
    ("1j", "an object of type complex"),
]


def _scored(returned: str) -> str:
    return TORCH + f"import numpy as np\ndef score(model, task):\n    return {returned}\n"


@pytest.mark.parametrize(("returned", "score"), SCORES)
def test_a_score_of_the_users_own_is_one_number(
    returned: str, score: float, tmp_path: Path
) -> None:
    assert _trained(tmp_path, _scored(returned)).score == score


@pytest.mark.parametrize(("returned", "said"), WRONG_SCORES)
def test_a_score_that_is_no_number_is_refused(returned: str, said: str, tmp_path: Path) -> None:
    refused = _refused(tmp_path, _scored(returned))
    assert f"score of mine.py returned {said}: return one number" in refused


@pytest.mark.parametrize("returned", ["float('nan')", "float('inf')", "np.float32('nan')"])
def test_a_score_that_is_not_finite_is_a_training_that_failed(
    returned: str, tmp_path: Path
) -> None:
    said = _refused(tmp_path, _scored(returned), TrainingError)
    assert "score of mine:units=6 is " in said


def test_a_score_that_raises_names_its_line(tmp_path: Path) -> None:
    assert "score failed (division by zero)" in _refused(tmp_path, _scored("1 / 0"))


def test_a_metric_beside_a_score_of_the_users_own_is_refused(tmp_path: Path) -> None:
    from powerml.networks.own_training import metric_of

    with pytest.raises(UsageError, match="leave out --metric"):
        metric_of(loaded(tmp_path, _scored("1")), "f1", blobs())


LOADS = [
    ("dict(x_train=x, y_train=y)", {"x_train", "y_train"}),
    ("(x, y), (x, y)", {"x_train", "y_train", "x_test", "y_test"}),
    ("[[x, y], [x, y]]", {"x_train", "y_train", "x_test", "y_test"}),
    ("(x, y)", {"x_train", "y_train"}),
    ("dict(x_train=x.tolist(), y_train=y.tolist())", {"x_train", "y_train"}),
]
WRONG_LOADS = ["None", "x", "(x, y, x)", "3, 4", "'xy'", "((x, y), 3)", "iter([x, y])"]
DATA = (
    "import numpy as np\nx, y = np.zeros((9, 4), 'float32'), np.arange(9) % 2\n"
    "def build(trial, task): ...\ndef load():\n    return "
)


@pytest.mark.parametrize(("returned", "names"), LOADS)
def test_data_comes_from_the_spaces_load(returned: str, names: set[str], tmp_path: Path) -> None:
    found = own_arrays(loaded(tmp_path, DATA + returned))
    assert found is not None
    assert set(found) == names
    assert all(len(one) == 9 for one in found.values())


@pytest.mark.parametrize("returned", WRONG_LOADS)
def test_what_is_no_data_is_refused(returned: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"load of mine\.py returned no data: return a dict"):
        own_arrays(loaded(tmp_path, DATA + returned))


@pytest.mark.parametrize(
    "returned", ["1 / 0", "dict(x_train=[[1], [2, 3]], y_train=y)", "open('nothing')"]
)
def test_a_load_that_fails_is_refused(returned: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"mine\.py: load failed"):
        own_arrays(loaded(tmp_path, DATA + returned))


@BOTH
def test_nothing_that_the_users_code_prints_goes_to_standard_output(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (
        "print('import')\n"
        + text.replace("    units =", "    print('build')\n    units =")
        + (
            "def train(model, task, trial):\n    print('train')\n"
            "def score(model, task):\n    print('score')\n    return 1\n"
        )
    )
    _trained(tmp_path, text)
    out, err = capfd.readouterr()
    assert out == ""
    assert set(err.split()) == {"import", "build", "train", "score"}


SUBCLASS = """
import keras

class Net(keras.Model):
    def __init__(self, units, maker):
        super().__init__()
        self.hidden, self.end = keras.layers.Dense(units), maker(2)

    def call(self, x):
        return self.end(keras.ops.relu(self.hidden(x)))

def build(trial, task):
    return Net(trial.suggest_int("units", 2, 16), lambda size: keras.layers.Dense(size))
"""
NORMED = TORCH.replace("torch.nn.ReLU()", "torch.nn.BatchNorm1d(units)")
LAZY = TORCH.replace("torch.nn.Linear(task.input_shape[0], units)", "torch.nn.LazyLinear(units)")


@pytest.mark.parametrize(
    "text",
    [KERAS, TORCH, SUBCLASS, NORMED, LAZY],
    ids=["keras", "torch", "subclass", "normed", "lazy"],
)
def test_a_saved_network_is_read_with_the_same_score(text: str, tmp_path: Path) -> None:
    workload, material = _made(tmp_path, text, epochs=10)
    trained = train(workload, material, 0)
    save_own(trained.model, tmp_path / "model.keras")
    read = load_own(tmp_path / "model.keras", workload, material)
    assert score_on_test(read, workload, material) == score_on_test(
        trained.model, workload, material
    )
    inputs = material.dataset.inputs(material.dataset.test, scaled=True)
    from powerml.networks.own import predict

    assert np.array_equal(predict(read, inputs, 8), predict(trained.model, inputs, 8))


def test_the_size_of_a_network_is_counted(tmp_path: Path) -> None:
    for number, text in enumerate((KERAS, TORCH)):
        built = look_at(
            loaded(tmp_path / str(number), text),
            blobs(),
            answers_of({"units": 8}, "mine"),
            1,
        )
        # 4 x 8 weights and 8 biases; 8 x 2 weights and 2 biases.
        assert built.parameters == 58


def test_a_batch_size_in_the_space_is_that_of_the_training(tmp_path: Path) -> None:
    text = KERAS.replace("    units =", '    trial.suggest_int("batch_size", 1, 5)\n    units =')
    assert _made(tmp_path, text)[0].batch_size == 3


@pytest.mark.parametrize("choice", ["0", "'large'", "2.5", "True"])
def test_a_batch_size_that_is_none_is_refused(choice: str, tmp_path: Path) -> None:
    text = KERAS.replace(
        "    units =", f'    trial.suggest_categorical("batch_size", [{choice}])\n    units ='
    )
    assert "the parameter batch_size is" in _refused(tmp_path, text)


def test_tests_have_data_that_their_networks_can_learn() -> None:
    found = arrays(3)
    assert np.array_equal(found["x_train"].argmax(axis=1), found["y_train"])
