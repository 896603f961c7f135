"""The examples in the docstrings of the public functions, run as they stand."""

from __future__ import annotations

import doctest
import inspect
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import powerml
from powerml.calibration.files import save_calibration
from powerml.machines import Machine
from powerml.meters import catalogue
from tests.builders import make_calibration_record, make_measurement
from tests.doubles import FormulaMeter
from tests.profiles import make_profile
from tests.stored_studies import save_study

PACKAGE = Path(powerml.__file__).parent
KEPT = Path(__file__).parent.parent / "benchmarks" / "data" / "reproduction" / "outcomes"
CONFIG = """\
[tool.powerml.models.keyword]
model = "dffr:layers=1,width=4"
max-memory = "1MB"
"""
PUBLIC = {name: getattr(powerml, name) for name in powerml.__all__}
FUNCTIONS = sorted(name for name, one in PUBLIC.items() if inspect.isfunction(one))


@pytest.fixture
def at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A folder with what the examples speak of; a formula stands in for the simulator."""
    monkeypatch.chdir(tmp_path)
    if request.node.callspec.params["name"] != "make_meter":
        monkeypatch.setattr(catalogue, "make_meter", lambda _, machine, *__: _meter(machine))
    monkeypatch.setattr("powerml.explain.profile._profiled", lambda *_: make_profile())
    Path("measured.json").write_text(make_measurement().to_json(), encoding="utf-8")
    Path("pyproject.toml").write_text(CONFIG, encoding="utf-8")
    shutil.copy(PACKAGE / "machines" / "epyc-7601.toml", "my-board.toml")
    save_calibration(make_calibration_record(), Path("powerml-calibration.json"))
    save_study(Path("powerml-studies") / "my-study")
    Path("powerml-paper").mkdir()
    (Path("powerml-paper") / "outcomes").symlink_to(KEPT)  # all are there: none is written


def _meter(machines: Machine | Sequence[Machine]) -> FormulaMeter:
    return FormulaMeter(machines if isinstance(machines, Machine) else machines[0])


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_public_function_runs(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    example = doctest.DocTestParser().get_doctest(text, {"powerml": powerml}, name, None, None)
    assert example.examples, f"{name} has no example"
    said: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert failed.failed == 0, "".join(said)


def test_the_examples_of_the_page_on_data_run() -> None:
    page = Path(__file__).parent.parent / "docs" / "data.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, verbose=False)
    assert (failed, tried > 0) == (0, True)
