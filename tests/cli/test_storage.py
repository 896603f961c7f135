"""Commands on a study on a server; its password appears nowhere."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from powerml.machines import Machine
from powerml.meters import catalogue
from powerml.studies.address import STORAGE_VARIABLE, find_address
from powerml.studies.storage import open_storage
from tests.curves import train_by
from tests.doubles import FormulaMeter, Run
from tests.profiles import make_profile
from tests.servers import Postgres
from tests.stored_studies import save_study

SECRETS = ("geheim", "%40%7Bx")  # of the password, as it is and in a URL
QUICK = ("--space", "dffr", "--data", "mnist_small", "--objective", "squared", "--runtime", "keras")


def _written(*folders: Path) -> str:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def test_the_password_is_in_nothing_that_is_written_printed_or_stored(
    run: Run,
    machine: Machine,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: FormulaMeter(machine))
    train_by(lambda _workload, _epoch: 0.9, monkeypatch)
    monkeypatch.setattr("powerml.explain.profile.profile", lambda *_, **__: make_profile())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    shared = ("--out", str(tmp_path), "--study", "silent", "--jobs", "1")
    stored = ("--storage", postgres.url)
    said = [
        run("optimize", *QUICK, *shared, *stored, "--trials", "1"),
        run("optimize", *QUICK, *shared, "--trials", "2", "--resume"),
        run("best", "silent"),
        run("best", "silent", *stored, "--json"),
        run("report", "silent", "--format", "json"),
        run("report", "silent", *stored),
    ]
    assert [code for code, _, _ in said] == [0] * 6
    assert f"--storage {postgres.url}" in " ".join(said[0][1].split())
    wrong = (
        postgres.url.replace("study@", "other@"),
        postgres.url.replace("/studies", "/absent"),
        "postgresql://u:geheim@h/d",
    )
    for url in wrong:
        code, out, err = run("best", "nothing", "--storage", url)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        said.append((code, out, err))
    # A log of the details has the whole command.
    secret = tmp_path / "geheim" / "none"
    code, out, err = run("best", f"postgresql://u:geheim@h/{'x' * 300}", "--storage", f"@{secret}")
    assert (code, len(err.splitlines())) == (2, 1)
    address = find_address(postgres.url)
    assert address is not None
    with open_storage(address) as storage:
        study = optuna.load_study(study_name="silent", storage=storage)
        inside = [study.user_attrs, study.get_trials()]
    everything = f"{said}{inside}{_written(tmp_path)}"
    assert "silent" in everything
    for held in SECRETS:
        assert held not in everything.replace(str(secret), "")


def test_the_list_of_processes_does_not_show_the_password(
    postgres: Postgres, tmp_path: Path
) -> None:
    save_study(tmp_path / "listed", storage=postgres.url)
    with subprocess.Popen(
        [sys.executable, "-m", "powerml", "best", "listed", "--storage", postgres.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as command:
        line = Path(f"/proc/{command.pid}/cmdline").read_text(encoding="utf-8")
        out, err = command.communicate()
    assert command.returncode == 0, err
    assert "dffr:layers=1,width=8" in out
    assert "geheim" not in f"{line}{out}{err}"


def test_a_study_is_found_by_its_name_alone(
    run: Run, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_study(tmp_path / "made" / "alone", storage=postgres.url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STORAGE_VARIABLE, postgres.url)
    assert run("best", "alone")[0] == 0
    assert run("report", "alone") == (0, "report in alone-report.html\n", "")
    assert (tmp_path / "alone-report.html").exists()
    code, _, err = run("report", "unknown")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "there is no study unknown in" in err


def test_a_missing_driver_is_named_with_the_extra_that_has_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    for url, driver in (
        ("postgresql://u@h/d", "psycopg"),
        ("mysql://u@h/d", "pymysql"),
        ("grpc://h:1", "grpc"),
    ):
        code, _, err = run("best", "s", "--storage", url)
        assert (code, len(err.splitlines())) == (1, 1)
        assert driver in err
        assert "pip install 'powerml[storage]'" in err
