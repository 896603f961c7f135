"""The plugin of pytest, in sessions of its own; a formula stands in for the simulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

BASELINE = "powerml-pytest-baseline.jsonl"
# The entry point may be installed here or not: it is left out, and the plugin named instead.
PLUGIN = ("-p", "no:powerml", "-p", "powerml.gate.pytest_plugin", "-p", "no:cacheprovider")
CONFTEST = """
import pytest
from tests.gate.doubles import VersionedMeter, measure_by_formula

@pytest.fixture(autouse=True, scope="session")
def by_formula(pytestconfig):
    with pytest.MonkeyPatch.context() as monkeypatch:
        measure_by_formula(monkeypatch)
        VersionedMeter.version = pytestconfig.getini("test_version") or "1"
        yield

def pytest_addoption(parser):
    parser.addini("test_version", "")
"""


class Session:
    """A folder of tests, and pytest in it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makeconftest(CONFTEST)

    @property
    def baseline(self) -> Path:
        return self._pytester.path / BASELINE

    def write(self, marker: str, body: str = "return 'dffr:layers=1,width=8'") -> None:
        self._pytester.makepyfile(f"import pytest\n\n{marker}\ndef test_cost():\n    {body}\n")

    def configure(self, text: str) -> None:
        (self._pytester.path / "pyproject.toml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> pytest.RunResult:
        return self._pytester.runpytest_inprocess(*PLUGIN, *arguments)


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Session:
    # The processes of a session find the doubles from whatever folder this one was started.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return Session(pytester)


def test_a_model_within_its_limits_passes(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(inference_cycles=1e9, memory='1MB')")
    session.run().assert_outcomes(passed=1)


def test_a_failure_names_the_limit_the_value_and_the_machine(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(inference_cycles=10, machine='epyc-7742')")
    result = session.run()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [r"inference takes [\d,]+ cycles on epyc-7742: above max-inference-cycles, 10 cycles"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ("inference_cycle=1e6", "no keyword 'inference_cycle': did you mean 'inference_cycles'?"),
        ("max_inference_cycles=1e6", "did you mean 'inference_cycles'?"),
        ("machin='x', memory='1MB'", "limit_cost has no keyword 'machin': did you mean 'machine'?"),
        ("zzzz=1", "limit_cost has no keyword 'zzzz': limits are inference_cycles, "),
        ("machine='epyc-7763'", "limit_cost sets no limit: give one, as inference_cycles=1.5e6"),
        ("memory='1XB'", "max-memory is 1XB: give bytes"),
        ("1e6", "limit_cost takes keywords alone"),
        ("memory='1MB', meter='rapl'", "limit_cost needs counts, and the meter rapl reads joules"),
    ],
)
def test_a_marker_that_cannot_be_read_fails_before_the_test_runs(
    keywords: str, said: str, session: Session
) -> None:
    session.write(f"@pytest.mark.limit_cost({keywords})", "raise AssertionError('it ran')")
    result = session.run()
    result.assert_outcomes(failed=1)
    assert said in result.stdout.str()
    assert "it ran" not in result.stdout.str()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "this returned nothing: return a path, a topology or a keras.Model"),
        ("return 3", "the test returned a int: return a keras.Model, a torch.nn.Module"),
        ("return 'dfr:layers=1'", "unknown space 'dfr': did you mean 'dffr'?"),
    ],
)
def test_a_test_without_a_model_fails(body: str, said: str, session: Session) -> None:
    session.write("@pytest.mark.limit_cost(inference_cycles=1e9)", body)
    result = session.run()
    result.assert_outcomes(failed=1)
    assert said in result.stdout.str()


def test_an_assertion_of_the_test_fails_as_ever(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(inference_cycles=1e9)", "assert 1 == 2")
    result = session.run()
    result.assert_outcomes(failed=1)
    assert "assert 1 == 2" in result.stdout.str()


def test_a_regression_is_held_against_the_baseline_that_an_update_wrote(session: Session) -> None:
    marker = "@pytest.mark.limit_cost(max_regression='0.5%')"
    session.write(marker)
    result = session.run()
    result.assert_outcomes(failed=1)
    assert "does not exist: write it with pytest --powerml-update" in result.stdout.str()
    result = session.run("--powerml-update")
    result.assert_outcomes(passed=1)
    assert f"1 record written to {session.baseline}" in result.stdout.str()
    session.run().assert_outcomes(passed=1)
    session.write(marker, "return 'dffr:layers=1,width=19'")
    result = session.run()
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [r"inference rose by \+1\.\d+ % on epyc-7763", r"  hidden \(Gemm\): \+"]
    )


def test_another_version_is_told_and_gives_no_verdict(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(max_regression='0.5%')")
    session.run("--powerml-update")
    result = session.run("-o", "test_version=2")
    result.assert_outcomes(failed=1)
    assert "software.onnxruntime: 1, 2" in result.stdout.str()
    assert "Write it again with pytest --powerml-update" in result.stdout.str()


def test_an_update_keeps_the_records_of_tests_that_did_not_run(session: Session) -> None:
    session.write(
        "@pytest.mark.limit_cost(max_regression='0.5%')\n"
        "@pytest.mark.limit_cost(max_regression='1%', machine='epyc-7742')"
    )
    session.run("--powerml-update")
    names = [json.loads(line)["name"] for line in session.baseline.read_text().splitlines()]
    [test] = {name.partition(" on ")[0] for name in names}
    assert names == [f"{test} on epyc-7742", f"{test} on epyc-7763"]
    session.write("@pytest.mark.limit_cost(max_regression='0.5%')")
    session.run("--powerml-update")
    assert len(session.baseline.read_text().splitlines()) == 2


def test_a_damaged_baseline_is_told_and_not_overwritten(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(max_regression='0.5%')")
    session.baseline.write_text("<<<<<<< HEAD\n")
    result = session.run("--powerml-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "no baseline was written" in result.stdout.str()
    assert session.baseline.read_text() == "<<<<<<< HEAD\n"


def test_the_baseline_may_be_given(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(max_regression='0.5%')")
    session.run("--powerml-update", "--powerml-baseline", "mine.jsonl")
    assert not session.baseline.exists()
    session.run("--powerml-baseline", "mine.jsonl").assert_outcomes(passed=1)


def test_the_configuration_gives_the_defaults(session: Session) -> None:
    session.configure('[tool.powerml]\nmachine = "epyc-7742"\n')
    session.write("@pytest.mark.limit_cost(inference_cycles=10)")
    result = session.run()
    assert "on epyc-7742: above" in result.stdout.str()
    session.configure('[tool.powerml]\nmachin = "epyc-7742"\n')
    result = session.run()
    assert "unknown key 'machin'" in result.stdout.str()


def test_the_fixture_measures_with_the_defaults(
    session: Session, pytester: pytest.Pytester
) -> None:
    session.configure('[tool.powerml]\nmachine = "epyc-7742"\ntraining = false\n')
    pytester.makepyfile(
        """
        def test_it(powerml_measure):
            found = powerml_measure("dffr:layers=1,width=8", inferences=2)
            assert found.machines == ["epyc-7742"]
            assert found.phase("inference").inferences == 2
        """
    )
    session.run().assert_outcomes(passed=1)


def test_the_costs_are_printed_where_it_is_asked_for(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(inference_cycles=1e9)")
    assert "powerML" not in session.run().stdout.str()
    result = session.run("--powerml")
    result.stdout.re_match_lines(
        [r"=+ powerML =+", r".*test_cost on epyc-7763: load [\d,]+ cycles"]
    )


def test_with_several_processes_the_first_one_writes_the_baseline(
    session: Session, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("width", [4, 6, 8, 10])
        @pytest.mark.limit_cost(max_regression="0.5%")
        def test_cost(width):
            return f"dffr:layers=1,width={width}"
        """
    )
    result = session.run("-n", "2", "--powerml-update", "--powerml")
    result.assert_outcomes(passed=4)
    assert f"4 records written to {session.baseline}" in result.stdout.str()
    assert result.stdout.str().count("cycles, inference") == 4
    together = session.baseline.read_bytes()
    session.run("--powerml-update")
    assert session.baseline.read_bytes() == together
    session.run("-n", "2").assert_outcomes(passed=4)


def test_a_session_without_markers_imports_nothing_of_weight(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\ndef test_it():\n    assert not HEAVY & set(sys.modules)\n"
        "HEAVY = {'pydantic', 'numpy', 'keras', 'onnx', 'rich', 'typer', 'powerml.errors'}\n",
        encoding="utf-8",
    )
    # Other plugins that are installed here bring pydantic and numpy of their own.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-q", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_marker_is_registered(session: Session) -> None:
    session.write("@pytest.mark.limit_cost(inference_cycles=1e9)")
    session.run("--strict-markers").assert_outcomes(passed=1)
    assert "limit_cost(inference_cycles=..., machine=...)" in session.run("--markers").stdout.str()
