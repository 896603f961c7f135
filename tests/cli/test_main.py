"""The command line: what it prints where, its exit codes, and one line for every error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import powerml
from powerml.cli.app import app
from powerml.cli.console import command_to_resume, program
from powerml.costs.counts import PhaseCounts
from powerml.machines import DEFAULT_MACHINE, Machine, load_machine
from powerml.meters import catalogue
from tests.doubles import FormulaMeter, Run
from tests.meters.simulator.processes import wait_for
from tests.profiles import make_profile

TOPOLOGY = "dffr:layers=2,width=16"

# A job in the background is started with Ctrl-C ignored, and leaves that to its children.
HEEDING_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from powerml.cli.main import main
main()
"""


@pytest.fixture
def replay(tmp_path: Path) -> str:
    """The name of a meter that knows one workload."""
    record = powerml.measure(TOPOLOGY, meter=FormulaMeter(load_machine(DEFAULT_MACHINE)))
    path = tmp_path / "record.json"
    path.write_text(record.to_json(), encoding="utf-8")
    return f"replay:{path}"


def test_measure_prints_costs_with_their_units_and_the_score(run: Run, replay: str) -> None:
    code, out, _ = run("measure", TOPOLOGY, "--meter", replay)
    assert code == 0
    assert "cost on epyc-7763 (Mcycles)" in out
    assert "time (ms)" in out
    assert "energy (mJ, estimated)" in out
    assert "(validation)" in out


def test_measure_json_is_one_record_and_nothing_else(run: Run, replay: str) -> None:
    code, out, _ = run("measure", TOPOLOGY, "--meter", replay, "--json")
    assert code == 0
    record = powerml.Measurement.model_validate_json(out)
    assert record.workload.title == f"{TOPOLOGY} batch 32"
    assert json.loads(out)["schema"] == "powerml.measurement/4"


def test_machines_are_listed_and_shown(run: Run) -> None:
    code, out, _ = run("machines")
    assert code == 0
    assert all(name in out for name in powerml.machine_names())
    code, out, _ = run("machines", "show", "xeon-x5650")
    assert code == 0
    assert "simulated as 12582912,24,64" in out
    assert "178.22" in out
    code, out, _ = run("machines", "show", "xeon-x5650", "--json")
    assert json.loads(out)["latency_cycles"]["memory"]["value"] == 178.22


def test_doctor_says_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert "valgrind" in out
    assert "built for Valgrind" in out
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, _ = run("doctor")
    assert code == 1
    assert "apt-get install valgrind" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["measure", "dfr:layers=1,width=1"], "unknown space 'dfr': did you mean 'dffr'?"),
        (["measure", "dffr:layers=11,width=1"], "layers is 1 to 10"),
        (["measure", "dffr:layer=1,width=1"], "did you mean 'layers'?"),
        (["measure", TOPOLOGY, "--machine", "xeon-5650"], "did you mean 'xeon-x5650'?"),
        (["measure", TOPOLOGY, "--data", "/nowhere/x.npz"], "does not exist"),
        (["measure", TOPOLOGY, "--batch-size", "many"], "valid integer"),
        (["measure", TOPOLOGY, "--no-such-option"], "No such option"),
        (["measure"], "Missing argument"),
        (["machines", "show", "pdp11"], "unknown machine 'pdp11'"),
        (["optimize", "--alpha", "0.8", "--beta", "0.3"], "alpha + beta is 1.1"),
        (["optimize", "--objective", "cubic"], "unknown objective 'cubic'"),
        (["optimize", "--max-inference-cost", "0.8y"], "max inference cost is 0.8y"),
        (["optimize", "--resume", "--study", "none"], "no study in"),
        (["optimise"], "No such command"),
        (["best", "nowhere"], "there is no study in nowhere"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    run: Run,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("powerml: error: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_failing_while_running_is_one_line_and_exit_code_1(run: Run, replay: str) -> None:
    code, out, err = run("measure", TOPOLOGY, "--batch-size", "7", "--meter", replay)
    assert (code, out) == (1, "")
    assert "powerml: error: nothing was recorded for dffr:layers=2,width=16 batch 7" in err
    assert "Traceback" not in err


def test_a_backend_that_is_not_installed_is_named(tmp_path: Path) -> None:
    ended = _powerml("measure", TOPOLOGY, environment={"KERAS_BACKEND": "mxnet"})
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "KERAS_BACKEND is 'mxnet'" in ended.stderr


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    # A limit on the size of files stands for a full disk.
    limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "limited"]
    command = [
        *limited,
        sys.executable,
        "-m",
        "powerml",
        "optimize",
        "--out",
        str(tmp_path),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip().splitlines()[-1].startswith("powerml: error: ")


def test_an_interrupted_measurement_says_what_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(powerml, "measure", interrupt, raising=False)
    code, out, err = run("measure", TOPOLOGY, "--batch-size", "32")
    assert (code, out) == (130, "")
    assert err == (
        "powerml: stopped; what was counted to its end is in the cache. "
        f"Continue with: powerml measure {TOPOLOGY} --batch-size 32\n"
    )
    assert "nothing is kept" in run("measure", TOPOLOGY, "--no-cache")[2]


@pytest.mark.simulator
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_a_search_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HEEDING_CTRL_C, "optimize", "--out", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        wait_for(lambda: list(temporary.glob("powerml-*/worker-*.log")))
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "stopped before the first trial ended" in err
    assert list(temporary.glob("powerml-*")) == []
    # On a slow machine the reference may have been counted meanwhile, which is kept.
    journal = tmp_path / "out" / "cnn-digits-a0.5-b0.5-s0-1" / "study.journal"
    assert not journal.parent.exists() or '"reference"' in journal.read_text(encoding="utf-8")
    assert ("the reference is kept in" in err) == journal.parent.exists()


def test_how_to_resume_is_a_command_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from powerml.cli.study_progress import StudyProgress

    monkeypatch.setattr(sys, "argv", ["powerml", "optimize", "--trials", "5"])
    progress = StudyProgress(Console(stderr=True))
    progress.folder = Path("powerml-studies/my study")
    assert command_to_resume(progress) == (
        "powerml optimize --trials 5 --study 'my study' --resume"
    )


def test_a_command_off_the_path_is_repeated_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "powerml").touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "powerml"), "optimize"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == str(tmp_path / "powerml")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "powerml"
    monkeypatch.setattr(sys, "argv", ["/x/python -m", "optimize"])
    assert program() == "powerml"


def test_every_command_has_an_example() -> None:
    group = typer.main.get_command(app)
    commands = getattr(group, "commands")  # noqa: B009 - typer keeps the class to itself
    assert set(commands) == {
        "best",
        "cache",
        "calibrate",
        "check",
        "compare",
        "dashboard",
        "doctor",
        "machines",
        "measure",
        "new-space",
        "optimize",
        "profile",
        "report",
        "reproduce",
        "run",
        "warm",
    }
    for command in commands.values():
        assert "Example:" in command.help


# The default trains for dozens of epochs.
QUICK = ("--space", "dffr", "--objective", "squared", "--epochs", "2")


def _powerml(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "powerml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["measure", "--help"],
        ["machines"],
        ["cache"],
        ["measure", "nope:layers=2"],
        ["measure", "dffr:layers=2"],
        ["measure", TOPOLOGY, "--fidelity", "roughly"],
        ["optimize", "--space", "nope"],
        ["optimize", "--jobs", "0"],
    ],
)
def test_quick_answers_import_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        f"sys.argv = ['powerml', *{arguments!r}]\n"
        "from powerml.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_the_cache_shows_its_size_and_is_cleared(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path))
    record = powerml.measure(TOPOLOGY, meter=FormulaMeter(machine))
    fields = set(PhaseCounts.model_fields)
    phases = [PhaseCounts(**phase.model_dump(include=fields)) for phase in record.phases]
    powerml.CountsCache().put({"a": 1}, phases, record.fingerprint)
    code, out, _ = run("cache")
    assert code == 0
    assert f"{tmp_path / 'counts'}: 1 entry" in out
    assert json.loads(run("cache", "--json")[1])["entries"] == 1
    assert "removed 1 entry" in run("cache", "clear")[1]
    assert "0 entries" in run("cache")[1]


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--fidelity", "roughly", "unknown fidelity 'roughly': known: exact, predicted, sampled"),
        ("--error", "0", "the error is 0: give one between 0 and 1"),
        ("--error", "nan", "the error is nan"),
        ("--jobs", "0", "jobs is 0: give at least 1"),
    ],
)
def test_how_to_measure_is_checked_first(run: Run, option: str, value: str, told: str) -> None:
    for command in (["measure", TOPOLOGY], ["optimize"]):
        code, _, err = run(*command, option, value)
        assert (code, len(err.splitlines())) == (2, 1)
        assert told in err


def test_a_machine_of_ones_own_may_be_named_among_the_others(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    built_in = Path(powerml.__file__).parent / "machines" / "epyc-7601.toml"
    path.write_text(built_in.read_text(encoding="utf-8"), encoding="utf-8")

    def named(**machine: str) -> list[str]:
        options = powerml.SearchOptions(machine_file=path, **machine)
        return [one.name for one in options.profiles()]

    assert named() == ["mine"]
    assert named(machine="mine,xeon-x5650") == ["mine", "xeon-x5650"]
    assert named(machine="xeon-x5650") == ["xeon-x5650", "mine"]


@pytest.mark.parametrize("option", ["batch", "batch=", "=2", "batch=-1", "batch=two"])
def test_a_dimension_that_cannot_be_read_is_refused(run: Run, option: str) -> None:
    code, _, err = run("measure", "model.onnx", "--dim", option)
    assert code == 2
    assert "N at least 1" in err


def test_a_study_in_which_nothing_meets_the_limits_ends_with_3(
    run: Run, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: FormulaMeter(machine))
    command = ["optimize", *QUICK, "--trials", "2", "--jobs", "1", "--out", str(tmp_path)]
    code, out, err = run(*command, "--max-training-cost", "1e3")
    assert code == 3
    assert "is above" in out
    last = err.splitlines()[-1]
    assert last.startswith(
        "powerml: error: none of 2 trials meets the limits: the least infeasible is trial"
    )
    code, out, err = run(*command, "--min-score", "0", "--max-parameters", "1", "--json")
    assert code == 3
    study = powerml.StudyRecord.model_validate_json(out)
    assert study.best is None
    assert study.least_infeasible is not None


def test_a_front_is_printed_and_ends_with_0(
    run: Run, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: FormulaMeter(machine))
    command = ["optimize", "--space", "dffr", "--epochs", "2", "--pareto", "--trials", "2"]
    command += ["--jobs", "1", "--out", str(tmp_path)]
    code, out, _ = run(*command)
    assert code == 0
    assert "the front of score, training cost and inference cost" in out
    study = powerml.StudyRecord.model_validate_json(run(*command, "--json")[1])
    assert study.front
    assert study.best is None


def test_the_best_of_a_study_is_printed_by_other_weights(
    run: Run, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: FormulaMeter(machine))
    monkeypatch.setattr("powerml.explain.profile.profile", lambda *_, **__: make_profile())
    run("optimize", *QUICK, "--trials", "3", "--jobs", "1", "--out", str(tmp_path), "--study", "s")
    folder = str(tmp_path / "s")
    code, out, err = run("best", folder, "--alpha", "0", "--beta", "0")
    assert (code, err) == (0, "")
    assert "Best of 3 trials by alpha 0, beta 0, squared" in out
    assert "one step from the best" in out
    assert "too few trials: " in out
    code, out, _ = run("best", folder, "--json")
    assert json.loads(out)["schema"] == "powerml.best/4"
    code, out, err = run("best", folder, "--max-inference-cost", "1e3", "--json")
    assert code == 3
    assert json.loads(out)["best"] is None
    assert "none of 3 trials meets the limits: the least infeasible is trial" in err


@pytest.mark.parametrize("arguments", [["--help"], ["machines"], ["optimize", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody:
        ended = subprocess.run(
            [sys.executable, "-m", "powerml", *arguments],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "")
