"""The command line and files of a user's own that are no spaces: one line, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from powerml.errors import LONGEST_MESSAGE
from tests.doubles import Run, name_phase_meter
from tests.own_spaces import TORCH, arrays, imports_kept, written

BUILD = "import torch\ndef build(trial, task):\n    units = trial.suggest_int('units', 2, 16)\n"
WRONG_FILES = [
    ("def build(:\n", "line 1 of mine.py is no Python"),
    ("\n1 / 0\n", "line 2 of mine.py failed while mine.py was imported (division by zero)"),
    ("import nowhere\n", "line 1 of mine.py failed while mine.py was imported"),
    (
        "raise SystemExit(3)\n",
        "line 1 of mine.py failed while mine.py was imported (SystemExit: 3)",
    ),
    ("", "mine.py has no function build(trial, task)"),
    ("build = 1\n", "build of mine.py is no function"),
    (
        "def build(trial): ...\n",
        "line 1 of mine.py: build takes (trial), and is called as build(",
    ),
    (BUILD, "build of mine.py returned None"),
    (BUILD + "    print('begun', end='')\n", "build of mine.py returned None"),
    (BUILD + "    return 'net'\n", "build of mine.py returned an object of type str"),
    (BUILD + "    return torch.nn.Linear(9, 2)\n", "the network with inputs of shape (4,) failed"),
    (
        BUILD + "    return torch.nn.Linear(4, 7)\n",
        "outputs of shape (7,), and the task needs (2,)",
    ),
    (
        BUILD + "    trial.suggest_float('units', 0, 1)\n",
        "line 4 of mine.py: units is asked for twice",
    ),
    (BUILD + "    raise ValueError('a\\n' * 999)\n", "line 4 of mine.py: build failed (a a a"),
    (
        TORCH + "def load():\n    return 3\n",
        "load of mine.py returned no data",
    ),
    (
        TORCH + "def load():\n    return [[float('nan')] * 4] * 9, [0, 1] * 4 + [0]\n",
        "mine.py",
    ),
    (TORCH + "def load():\n    return [[1.0] * 4] * 9, [0, 1]\n", "mine.py"),
    (TORCH + "def train(model, task, trial):\n    model(1)\n", "line 11 of mine.py: train failed"),
]


@pytest.fixture(autouse=True)
def imports_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with imports_kept():
        yield


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a meter that counts by a formula."""
    return name_phase_meter(monkeypatch)


@pytest.fixture
def refused(run: Run, tmp_path: Path, meter: str) -> Run:
    """Run a command that is refused; return its exit code, and its last line twice."""

    def runner(command: str, *words: str) -> tuple[int, str, str]:
        before = sorted(tmp_path.rglob("[!_]*"))
        code, out, err = run(command, *words, "--meter", meter)
        lines = [line for line in err.splitlines() if line.startswith("powerml: error")]
        assert len(lines) == 1, err
        assert out == ""
        assert "Traceback" not in err
        assert len(lines[0].removeprefix("powerml: error: ")) <= LONGEST_MESSAGE
        left = [path for path in sorted(tmp_path.rglob("[!_]*")) if path.suffix != ".pyc"]
        assert left == before
        return code, lines[0], lines[0]

    return runner


def _data(folder: Path, text: str) -> list[str]:
    """Name data, unless the file loads its own."""
    if "def load" in text:
        return []
    np.savez(folder / "blobs.npz", **arrays())
    return ["--data", "blobs.npz"]


@pytest.mark.parametrize(("text", "said"), WRONG_FILES)
def test_a_file_that_cannot_be_measured_is_refused_in_one_line(
    refused: Run, tmp_path: Path, text: str, said: str
) -> None:
    written(tmp_path, text)
    code, line, _ = refused("measure", "mine.py:units=4", *_data(tmp_path, text))
    assert (code, said in line) == (2, True), line


@pytest.mark.parametrize(("text", "said"), WRONG_FILES)
def test_a_file_that_cannot_be_searched_is_refused_in_one_line(
    refused: Run, tmp_path: Path, text: str, said: str
) -> None:
    written(tmp_path, text)
    code, line, _ = refused("optimize", "--space", "mine.py", *_data(tmp_path, text))
    assert (code, said in line) == (2, True), line


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nothing.py", "the space nothing.py is not there"),
        ("nothing.py:units=4", "the space nothing.py is not there"),
        ("no.module", "no.module does not exist"),
        ("no.module:units=4", "the module no.module cannot be imported"),
        (
            "mine.py",
            "on a logarithmic scale: write mine:..., units=6",
        ),
        ("mine.py:", "mine needs units"),
        ("mine.py:units", "mine.py has no units: name an object that is in it"),
        ("mine.py:units=", "mine has units="),
        ("mine.py:units=1", "units is an integer from 2 to 16"),
        ("mine.py:units=4.0", "mine has units=4.0"),
        ("mine.py:units=4,units=5", "gives units twice"),
        ("mine.py:units=4,width=5", "unknown parameter of mine 'width'"),
        ("mine.py:Net:units=4", "mine.py has no Net"),
        ("mine.py:torch:units=4", "mine.py:torch has no function build"),
        ("mine.py:Net:units", "cannot read 'Net:units': write name=value"),
        ("\udcff.py:units=4", r"the path of the space \xff.py is not UTF-8"),
        ("net.pt", "net.pt"),
        ("mine.txt", "mine.txt"),
        ("from_file:units=1", "unknown space"),
    ],
)
def test_what_names_no_network_is_refused(
    refused: Run, tmp_path: Path, model: str, said: str
) -> None:
    written(tmp_path, TORCH)
    code, line, _ = refused("measure", model, *_data(tmp_path, TORCH))
    assert (code, said in line) == (2, True), line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--space", "mine.py:units=4"), "leave out units=4"),
        (("--space", "mine.py", "--reference", "units=99"), "units is an integer from 2 to 16"),
        (("--space", "mine.py", "--reference", "dffr"), "write name=value"),
        (("--space", "mine.py", "--metric", "f2"), "unknown metric"),
        (("--space", "mine.py", "--protocol", "paper"), "no space of the paper"),
        (("--space", "mine.py", "--sampler", "tpa"), "did you mean 'tpe'"),
        (("--space", "values"), "unknown space 'values'"),
    ],
)
def test_a_search_that_cannot_be_done_is_refused(
    refused: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    written(tmp_path, TORCH)
    data = [] if "paper" in words else _data(tmp_path, TORCH)
    code, line, _ = refused("optimize", *words, *data)
    assert (code, said in line) == (2, True), line


def test_a_space_that_suggests_nothing_is_refused(refused: Run, tmp_path: Path) -> None:
    text = "import torch\ndef build(trial, task):\n    return torch.nn.Linear(4, 2)\n"
    written(tmp_path, text)
    code, line, _ = refused("optimize", "--space", "mine.py", *_data(tmp_path, text))
    assert (code, "suggests nothing: ask for a parameter" in line) == (2, True), line


def test_a_score_that_is_no_number_fails_while_running(
    run: Run, tmp_path: Path, meter: str
) -> None:
    text = TORCH + "def score(model, task):\n    return float('nan')\n"
    written(tmp_path, text)
    data = [*_data(tmp_path, text), "--epochs", "1"]
    code, out, err = run("measure", "mine.py:units=4", *data, "--meter", meter)
    assert (code, out) == (1, "")
    assert "score of mine:units=4 is nan" in err.splitlines()[-1]
    assert "Traceback" not in err
