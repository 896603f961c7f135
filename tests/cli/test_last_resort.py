"""Whatever goes wrong ends in one line of at most 300 characters, and the rest is in a log."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import powerml
from powerml.cli import fault_log, last_resort
from powerml.cli.fault_log import keep_log
from powerml.cli.last_resort import complain, explain
from powerml.errors import ModelError, PowerMLError, TrainingError, shortened, words_of
from tests.doubles import Run

SOURCES = Path(powerml.__file__).parents[1]
LOG = re.compile(r"\(all of it in (\S+)\)$")


def _log_of(err: str) -> str:
    found = LOG.search(err.strip())
    assert found is not None, err
    return Path(found[1].replace("~", os.environ.get("HOME", "~"))).read_text(encoding="utf-8")


def _raising(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("x " * 30_000), 1, "ValueError: x x"),
        (KeyError("loss"), 1, "KeyError: 'loss'; powerML did not foresee this"),
        (MemoryError(), 1, "out of memory: ask for less at once"),
        (RecursionError("deep"), 1, "nested too deeply"),
        (SystemExit(0), 1, "SystemExit"),
        (OSError(errno.EACCES, "Permission denied", "/f"), 1, "/f: Permission denied: give a pl"),
        (ModelError.quoting("m is bad", "y " * 30_000, "save it again"), 2, "m is bad (y y"),
        (ModelError("z " * 30_000), 2, "z z"),
    ],
)
def test_whatever_is_raised_is_one_short_line_and_a_log(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    monkeypatch.setattr(powerml, "measure", _raising(error), raising=False)
    found, out, err = run("measure", "dffr:layers=1,width=2", "--json")
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert len(err.strip()) <= 300
    assert told in err
    log = _log_of(err)
    assert "Traceback" in log
    assert "command: powerml measure" in log
    assert getattr(error, "detail", "") in log


def test_an_error_that_says_all_leaves_no_log(run: Run) -> None:
    _, _, err = run("measure", "dfr:layers=1")
    assert "all of it" not in err


def test_a_long_path_loses_its_middle_before_the_advice_is_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    complain(f"/{'folder/' * 60}model.onnx is empty: fetch or write it again", ValueError())
    err = capsys.readouterr().err.strip()
    assert len(err) <= 300
    assert "…" in err
    assert "model.onnx is empty: fetch or write it again (all of it in" in err


def test_only_so_many_logs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_log, "user_log_folder", lambda: tmp_path)
    for number in range(25):
        (tmp_path / f"powerml-2020010{number:02}.log").touch()
    path = keep_log(ValueError("one"))
    assert path is not None
    assert len(list(tmp_path.iterdir())) == fault_log.MOST_LOGS
    assert path.exists()


def test_a_log_goes_to_the_temporary_folder_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for folder in (None, tmp_path / "file" / "log"):
        monkeypatch.setattr(fault_log, "user_log_folder", lambda folder=folder: folder)
        path = keep_log(ValueError("one"))
        assert path is not None
        assert path.parent == tmp_path


def test_no_log_can_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fault_log, "user_log_folder", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    complain("bad", ValueError("one"), has_more=True)
    assert capsys.readouterr().err == "powerml: error: bad\n"


class _WordlessError(ValueError):
    def __str__(self) -> str:
        raise KeyError


def test_an_exception_that_has_no_text_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(powerml, "measure", _raising(_WordlessError("one")), raising=False)
    code, out, err = run("measure", "dffr:layers=1,width=2")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "_WordlessError; powerML did not foresee this" in err
    assert "Traceback" in _log_of(err)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("it\n is\tso"), "it is so"),
        (OSError(errno.ENOENT, "No such file", "/f"), "No such file"),
        (IndexError("3"), "IndexError: 3"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError(), "out of memory"),
        (ValueError("\x1b[1mone output\x1b[0m"), "one output"),
    ],
)
def test_words_of_an_exception(error: BaseException, told: str) -> None:
    assert shortened(words_of(error), 100) == told


def test_the_cause_that_a_library_names_last_is_quoted() -> None:
    text = f"<class> could not be deserialized. config={'{x} ' * 9000} Exception encountered: no y"
    error = ModelError.quoting("m cannot be loaded", text, "save it again")
    assert str(error) == "m cannot be loaded (no y): save it again"
    assert "config=" in error.detail
    text = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code. Status Message: sizes differ"
    assert str(ModelError.quoting("m", text, "mend it")) == "m (sizes differ): mend it"


def test_what_one_error_quotes_of_another_of_ours_is_kept() -> None:
    inner = TrainingError.quoting("training failed", "a " * 500, "try again")
    outer = PowerMLError.quoting("the study ended", inner, "resume it")
    assert outer.detail.count("a") >= 500


@pytest.mark.parametrize("kind", ["temporary", "named", "without a number"])
def test_no_space_is_said_of_the_folder_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    temporary = tmp_path / "tmp"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    if kind == "temporary":
        error = OSError(errno.ENOSPC, "No space left on device")
    elif kind == "named":
        error = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "study" / "file"))
    else:  # as numpy has it
        error = OSError("1000 requested and 10 written")
    monkeypatch.setattr(last_resort, "_full_folder", lambda: temporary)
    message, code, _ = explain(error)
    assert code == 1
    if kind == "named":
        assert message == (
            f"no space left in {tmp_path / 'study'}: free space there, or give another folder"
        )
    else:
        assert message == (
            f"no space left in {temporary}, where simulations keep their files: free space there, "
            "or set TMPDIR to a folder with more"
        )


def test_a_disk_that_is_full_elsewhere_is_not_taken_for_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(last_resort, "_full_folder", lambda: None)
    message, _, _ = explain(OSError(errno.ENOSPC, "No space left on device"))
    assert message.startswith("no space left where files or the output are written: free space")
    assert message.endswith("a study goes on with --resume")


def _powerml(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "powerml", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "content"),
    [
        ("typer", "x = 1"),
        ("typer", "raise SystemExit(0)"),
        ("typer", "def broken(:"),
        ("platformdirs", "raise ValueError('mine')"),
        ("difflib", "x = 1"),
        ("signal", "x = 1"),
        ("onnx", "x = 1"),
    ],
)
def test_a_module_of_the_users_that_stands_in_the_way_is_named(
    tmp_path: Path, module: str, content: str
) -> None:
    (tmp_path / f"{module}.py").write_text(content, encoding="utf-8")
    (tmp_path / "model.onnx").write_bytes(
        (SOURCES / "powerml" / "guest" / "warm_up" / "dense.onnx").read_bytes()
    )
    paths = os.pathsep.join([str(tmp_path), str(SOURCES)])
    model = str(tmp_path / "model.onnx")
    ended = _powerml("measure", model, PYTHONPATH=paths, XDG_STATE_HOME=str(tmp_path / "state"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert len(ended.stderr.strip()) <= 300
    assert "Traceback" not in ended.stderr
    if module not in {"difflib", "signal"}:  # those the words themselves need
        assert f"{module}.py is imported in place of the module {module}" in ended.stderr


@pytest.mark.parametrize("module", ["csv", "tempfile", "random"])
def test_a_module_that_ends_the_process_is_no_success(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise SystemExit\n", encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), str(SOURCES)])
    ended = _powerml("measure", "nope.onnx", PYTHONPATH=paths, XDG_STATE_HOME=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "PYTHONPATH" in ended.stderr


@pytest.mark.parametrize("content", ["raise SystemExit\n", "def broken(:\n"])
def test_a_runtime_that_cannot_be_imported_is_not_blamed_on_the_model(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "onnxruntime.py").write_text(content, encoding="utf-8")
    model = SOURCES / "powerml" / "guest" / "warm_up" / "dense.onnx"
    paths = os.pathsep.join([str(tmp_path), str(SOURCES)])
    ended = _powerml("measure", str(model), PYTHONPATH=paths, XDG_STATE_HOME=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "onnxruntime cannot be imported" in ended.stderr
    assert "PYTHONPATH" in ended.stderr


@pytest.mark.parametrize(
    ("streams", "arguments", "code"),
    [
        (">&-", ["machines"], 0),
        ("2>&-", ["best", "nothing"], 2),
        ("<&- >&- 2>&-", ["machines", "show", "epyc-7763"], 0),
        ("2>/dev/full", ["best", "nothing"], 2),
    ],
)
def test_closed_and_full_streams_change_no_exit_code(
    streams: str, arguments: list[str], code: int
) -> None:
    ended = subprocess.run(
        ["bash", "-c", f'exec "$@" {streams}', "-", sys.executable, "-m", "powerml", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)},
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == ""


def test_results_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "powerml", "machines"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES)},
            check=False,
        )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "powerml: error: no space left" in ended.stderr
