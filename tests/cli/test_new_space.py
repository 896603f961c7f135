"""``powerml new-space``: the file it writes can be searched as it is, and so can its hooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from powerml.backend import import_keras, select_backend
from powerml.measuring.options import MeasureOptions
from powerml.networks.epochs import ALL_EPOCHS
from powerml.networks.own_training import (
    OWN_METRIC,
    make_own_workload,
    own_arrays,
    score_own,
    train_own,
)
from powerml.spaces import example_names
from powerml.spaces.from_file import OwnSpace, find_code, load_space
from powerml.spaces.trial import answers_of
from powerml.workloads.splits import Dataset
from powerml.workloads.workload import OwnMaterial, OwnWorkload
from tests.doubles import Run

FRAMEWORKS = ("keras", "torch")
# A paragraph of code that is commented out: its first line is that of a function.
COMMENTED = re.compile(r"^# def .*(?:\n#.*)*", re.MULTILINE)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(file: str) -> OwnSpace:
    select_backend()
    import_keras()
    return load_space(find_code(file))


def prepare(space: OwnSpace, dataset: Dataset) -> tuple[OwnWorkload, OwnMaterial]:
    """Make the workload of a space's reference."""
    assert space.reference is not None
    workload, _ = make_own_workload(
        space,
        dataset,
        answers_of(space.reference, space.name),
        epochs=1,
        protocol="default",
        backend="torch",
        validation=0.1,
        seed=0,
        deployment=MeasureOptions().deployment("torch"),
    )
    return workload, OwnMaterial(space, dataset, space.code.files())


def uncomment(file: str) -> None:
    """Take out the "# " before each hook, as the file says."""
    path = Path(file)
    text = path.read_text(encoding="utf-8")
    assert len(COMMENTED.findall(text)) == 3
    code = COMMENTED.sub(lambda found: re.sub("^# ?", "", found[0], flags=re.MULTILINE), text)
    path.write_text(code, encoding="utf-8")


def test_without_options_a_keras_space_is_written_and_what_to_run_next_is_said(run: Run) -> None:
    code, out, err = run("new-space")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "wrote mine.py",
        "a first search:    powerml optimize --space mine.py --data digits --trials 3",
        "on your own data:  powerml optimize --space mine.py --data mine.npz --trials 30",
    ]
    assert "import keras" in Path("mine.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_written_trains_by_default_on_digits(framework: str, run: Run) -> None:
    file = f"own_{framework}_default.py"
    assert run("new-space", file, "--framework", framework)[0] == 0
    dataset = MeasureOptions().load_dataset("digits")
    workload, material = prepare(load(file), dataset)
    assert (workload.framework, workload.metric) == (framework, "accuracy")
    assert workload.loop == ("fit" if framework == "keras" else "batches")
    _, score, _ = train_own(workload, material, 0, ALL_EPOCHS)
    # Ten classes: far from guessing after one epoch, and far from the 0.95 of twenty.
    assert score > 0.5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_hooks_of_what_is_written_run_once_they_are_uncommented(
    framework: str, run: Run
) -> None:
    file = f"own_{framework}_hooks.py"
    assert run("new-space", file, "--framework", framework)[0] == 0
    uncomment(file)
    space = load(file)
    arrays = own_arrays(space)
    assert arrays is not None
    dataset = MeasureOptions().check_arrays(arrays, file)
    workload, material = prepare(space, dataset)
    assert workload.metric == OWN_METRIC
    # The training that is shown is one that is sampled.
    assert workload.loop == ("fit" if framework == "keras" else "batches")
    model, score, _ = train_own(workload, material, 0, ALL_EPOCHS)
    assert 0 <= score <= 1
    assert score == score_own(workload, material, model, dataset.validation)


def test_the_commands_in_what_is_written_name_the_file(run: Run) -> None:
    assert run("new-space", "my-net.py")[0] == 0
    text = Path("my-net.py").read_text(encoding="utf-8")
    assert "powerml optimize --space my-net.py --data digits" in text
    assert "mine.py" not in text


@pytest.mark.parametrize("name", example_names())
def test_a_copy_of_an_example_is_the_example_with_commands_for_the_copy(
    name: str, run: Run
) -> None:
    file = f"copied_{name}.py"
    assert run("new-space", file, "--from", name)[0] == 0
    text = Path(file).read_text(encoding="utf-8")
    assert f"powerml optimize --space {file} --data digits" in text
    assert f"--space {name}" not in text
    assert "# noqa" not in text
    assert load(file).reference == load(name).reference


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("there.py",), "there.py exists: give another name"),
        (("folder.py",), "folder.py exists: give another name"),
        (("mine",), "mine is no name of a Python file: give one that ends in .py"),
        (("none/mine.py",), "the folder none does not exist: make it, or name another"),
        (("there.py/mine.py",), "there.py/mine.py cannot be written (Not a directory)"),
        (("numpy.py",), "numpy.py has the name of a module that is installed"),
        (("--framework", "tensorflow"), "unknown framework 'tensorflow': known: keras, torch"),
        (("--from", "mpl"), "unknown example 'mpl': did you mean 'mlp'"),
        (("--from", "mlp", "--framework", "torch"), "--from mlp brings its framework"),
    ],
)
def test_a_request_that_cannot_be_met_writes_nothing(
    arguments: tuple[str, ...], said: str, run: Run
) -> None:
    Path("there.py").write_text("precious = True\n", encoding="utf-8")
    Path("folder.py").mkdir()
    code, out, err = run("new-space", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert sorted(one.name for one in Path.cwd().iterdir()) == ["folder.py", "there.py"]
    assert Path("there.py").read_text(encoding="utf-8") == "precious = True\n"
