"""Searches whose study is on a server."""

from __future__ import annotations

from pathlib import Path

import powerml
from powerml.machines import Machine
from powerml.report.command import command_of
from powerml.studies.records import StudyRecord
from tests.curves import TrainBy
from tests.doubles import FormulaMeter
from tests.searches import search
from tests.servers import Postgres


def _trials(record: StudyRecord) -> list[object]:
    """All that is recorded of the trials but the seconds that they took."""
    timed = {"measurement": {"seconds", "simulations"}}
    return [trial.model_dump(exclude=timed) for trial in record.trials]


def test_a_search_finds_the_same_on_a_server_and_in_a_folder(
    machine: Machine, postgres: Postgres, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(lambda workload, epoch: 0.5 + epoch / 10 + workload.batch_size / 1000)
    options = {"trials": 6, "pruner": "median", "runtime": "keras"}
    kept = search(FormulaMeter(machine), tmp_path, study="kept", storage="journal", **options)
    stored = search(
        FormulaMeter(machine), tmp_path, study="stored", storage=postgres.url, **options
    )
    assert _trials(stored) == _trials(kept)
    assert stored.settings == kept.settings
    best = powerml.best(tmp_path / "stored")
    assert best.best is not None
    assert kept.best is not None
    assert best.best.number == kept.best.number
    assert best.models == "best"
    elsewhere = powerml.best("stored", storage=postgres.url)
    assert elsewhere.best == best.best
    assert elsewhere.models is None


def test_a_search_goes_on_where_its_folder_says(
    machine: Machine, postgres: Postgres, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(lambda workload, epoch: 0.5 + epoch / 10)
    out = tmp_path / "out"
    meter = FormulaMeter(machine)
    options = {"study": None, "runtime": "keras", "seed": 7}
    first = search(meter, out, trials=2, storage=postgres.url, **options)
    again = search(meter, out, trials=3, resume=True, **options)
    assert again.folder == first.folder
    assert _trials(again)[:2] == _trials(first)
    # A name is taken if another computer's study has it.
    other = search(meter, tmp_path / "other", trials=1, storage=postgres.url, **options)
    assert Path(other.folder).name == f"{Path(first.folder).name.removesuffix('-1')}-2"


def test_the_repeating_command_names_the_server_without_the_password(
    machine: Machine, postgres: Postgres, tmp_path: Path, train_by: TrainBy
) -> None:
    train_by(lambda workload, epoch: 0.5)
    record = search(
        FormulaMeter(machine),
        tmp_path,
        study="told",
        trials=1,
        storage=postgres.url,
        runtime="keras",
    )
    text = powerml.render_report(record.folder, "markdown")
    assert f"--storage {postgres.url}" in text
    assert "geheim" not in text
    assert "--storage" not in command_of(record.settings, 1, 1)
