"""Studies on a server: nothing is lost and nothing counted twice, whatever breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from optuna.storages import BaseStorage, InMemoryStorage

from powerml.errors import StudyError
from powerml.samplers import make_sampler
from powerml.signals import interruption_held
from powerml.studies import storage as storage_module
from powerml.studies.address import find_address
from powerml.studies.folder import Study, open_study
from powerml.studies.reader import PLACE, read_study
from powerml.studies.records import Complete, RunRecord, TrialRecord, Winner
from powerml.studies.storage import Patience, ServerStorage, open_storage
from tests.builders import make_measurement, make_settings
from tests.servers import PASSWORD, GrpcServer, MariaDB, Postgres

SPACE = {"layers": IntDistribution(1, 10), "batch_size": IntDistribution(2, 128)}
SHORT = Patience(first_seconds=0.001, longest_seconds=0.001, total_seconds=0.02)


def record_of(number: int, parameters: dict[str, int]) -> TrialRecord:
    return TrialRecord(
        number=number,
        topology=f"dffr:layers={parameters['layers']},width=1",
        batch_size=parameters["batch_size"],
        state=Complete(),
        objective=number / 10,
        score=0.5,
        cost_ratios={"training": 0.5, "inference": 0.5},
    )


def do_trial(study: Study) -> TrialRecord:
    number = len(study.trials) + 1
    trial, parameters = study.ask(SPACE, make_sampler("tpe", 3, 0, number - 1))
    record = record_of(number, parameters)
    study.tell(trial, record)
    return record


def do_study(study: Study, trials: int) -> None:
    study.begin_run(RunRecord(jobs=1, trials=trials))
    if study.reference is None:
        study.reference = make_measurement()
    while len(study.trials) < trials:
        do_trial(study)
    study.keep_winner(Winner(trial=study.trials[0], test_score=0.9))


def on_journal(folder: Path, trials: int) -> list[TrialRecord]:
    with open_study(folder, make_settings(), resume=False, storage="journal") as study:
        do_study(study, trials)
        return study.trials


@pytest.fixture(params=["postgres", "grpc_proxy", "mariadb", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studies.db"
    server = request.getfixturevalue(request.param)
    assert isinstance(server, (Postgres, GrpcServer, MariaDB))
    return server.url


def test_a_study_is_the_same_wherever_it_is_stored(url: str, tmp_path: Path) -> None:
    expected = on_journal(tmp_path / "journal", 6)
    folder = tmp_path / "same"
    with open_study(folder, make_settings(), resume=False, storage=url) as study:
        do_study(study, 3)
    # The folder tells where it goes on.
    with open_study(folder, make_settings(), resume=True) as study:
        do_study(study, 6)
    stored, kept = read_study(folder), read_study(tmp_path / "journal")
    assert stored.trials == expected
    assert (stored.reference, stored.settings) == (kept.reference, kept.settings)
    assert (stored.winners, stored.distributions) == (kept.winners, kept.distributions)
    assert [run.trials for run in stored.runs] == [3, 6]
    # Without the folder, by its name.
    assert read_study(Path("same"), url).trials == expected
    assert not (folder / "study.journal").exists()


def test_a_record_longer_than_a_column_of_mysql_is_kept_whole(url: str, tmp_path: Path) -> None:
    # Digits at random do not compress to a single column.
    reason = "".join(chr(33 + (number * 7919 + number**2) % 90) for number in range(200_000))
    with open_study(tmp_path / "long", make_settings(), resume=False, storage=url) as study:
        trial, parameters = study.ask(SPACE, make_sampler("tpe", 3, 0, 0))
        record = record_of(1, parameters).model_copy(update={"topology": reason})
        study.tell(trial, record)
        assert study.trials == [record]
    assert read_study(tmp_path / "long").trials == [record]


class FaultyStorage(InMemoryStorage):
    """Breaks one connection, before an operation or after it: then the acknowledgement is lost."""

    def __init__(self, *, broken: int, after: bool, times: int = 1) -> None:
        super().__init__()
        self.calls = 0
        self._broken, self._after, self._times = broken, after, times

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        public = name.startswith(("get_", "set_", "create_")) and name in dir(BaseStorage)
        return self._breaking(found) if public else found

    def _breaking(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def broken(*given: Any, **named: Any) -> Any:
            self.calls += 1
            is_broken = self._broken <= self.calls < self._broken + self._times
            if is_broken and not self._after:
                raise ConnectionError("reset by peer")
            done = operation(*given, **named)
            if is_broken:
                raise ConnectionError("reset by peer")
            return done

        return broken


@contextmanager
def opened(
    storage: BaseStorage,
    folder: Path,
    *,
    resume: bool,
    said: Callable[[str], None] = lambda _line: None,
    patience: Patience = SHORT,
) -> Iterator[Study]:
    address = find_address("grpc://nowhere:1")
    assert address is not None
    folder.mkdir(exist_ok=True)
    server = (ServerStorage(storage, address, said, patience), "s")
    yield Study(folder, make_settings(), server, resume=resume)


def _calls_of_a_study(folder: Path) -> int:
    storage = FaultyStorage(broken=-1, after=False)
    with opened(storage, folder, resume=False) as study:
        do_study(study, 3)
    with opened(storage, folder, resume=True) as study:
        do_study(study, 4)
    return storage.calls


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_that_breaks_at_any_operation_costs_nothing(
    tmp_path: Path, after: bool
) -> None:
    expected = on_journal(tmp_path / "journal", 4)
    calls = _calls_of_a_study(tmp_path / "s")
    assert calls > 50
    for broken in range(1, calls + 1):
        storage = FaultyStorage(broken=broken, after=after)
        try:
            with opened(storage, tmp_path / "s", resume=False) as study:
                do_study(study, 3)
        except StudyError as error:
            # Of the creation of the study alone it is not known whose it is.
            assert "add --resume" in str(error)  # noqa: PT017
            with opened(storage, tmp_path / "s", resume=True) as study:
                do_study(study, 3)
        with opened(storage, tmp_path / "s", resume=True) as study:
            # One trial is under way when the search is killed.
            _, interrupted = study.ask(SPACE, make_sampler("tpe", 3, 0, 3))
        with opened(storage, tmp_path / "s", resume=True) as study:
            do_study(study, 4)
            assert study.trials == expected, broken
        counted = [one for one in storage.get_all_trials(0) if one.state.name == "COMPLETE"]
        assert len(counted) == 4
        assert counted[-1].params == interrupted


def test_what_is_waited_for_is_said_once_and_the_end_is_one_line(tmp_path: Path) -> None:
    storage = FaultyStorage(broken=40, after=False, times=10**9)
    said: list[str] = []
    with opened(storage, tmp_path / "s", resume=False, said=said.append) as study:
        with pytest.raises(StudyError, match=r"could not be reached for 0 s \(reset by peer\).*"):
            do_study(study, 9)
        # What is measured meanwhile must not seem to be recorded.
        calls = storage.calls
        with pytest.raises(StudyError, match="go on with --resume"):
            do_trial(study)
        assert storage.calls == calls
    assert said == ["waiting for grpc://nowhere:1, which cannot be reached"]


def test_ctrl_c_ends_the_wait_for_a_server(tmp_path: Path) -> None:
    storage = FaultyStorage(broken=40, after=False, times=10**9)

    def stop(_line: str) -> None:
        signal.raise_signal(signal.SIGINT)

    patience = Patience(total_seconds=3600.0)
    with (
        pytest.raises(KeyboardInterrupt),
        opened(storage, tmp_path / "s", resume=False, said=stop, patience=patience) as study,
        interruption_held(),
    ):
        do_study(study, 9)


def test_a_search_whose_study_another_took_over_records_nothing_more(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    with opened(storage, tmp_path / "one", resume=False) as first:
        do_trial(first)
        trial, parameters = first.ask(SPACE, make_sampler("tpe", 3, 0, 1))
        with opened(storage, tmp_path / "other", resume=True) as second:
            for late in (
                lambda: first.tell(trial, record_of(2, parameters)),
                lambda: first.ask(SPACE, make_sampler("tpe", 3, 0, 1)),
                lambda: first.begin_run(RunRecord(jobs=1, trials=1)),
            ):
                with pytest.raises(StudyError, match="another search has taken over the study s"):
                    late()
            # The trial under way is done again, by the search that goes on.
            assert do_trial(second).batch_size == parameters["batch_size"]
            assert [one.number for one in second.trials] == [1, 2]


def test_a_takeover_in_the_middle_of_a_recording_counts_the_trial_once(tmp_path: Path) -> None:
    """Another search begins at each operation with which a trial is recorded."""
    steps = 0
    while _is_counted_once_after_a_takeover(tmp_path, steps + 1):
        steps += 1
    assert steps >= 6  # who holds the study, two attributes, the trial, its value


def _is_counted_once_after_a_takeover(folder: Path, step: int) -> bool:
    """Return whether the recording took so many operations."""
    storage, takers = InMemoryStorage(), []
    with opened(storage, folder / "one", resume=False) as first:
        do_trial(first)
        trial, parameters = first.ask(SPACE, make_sampler("tpe", 3, 0, 1))
        inner = first._storage
        assert isinstance(inner, ServerStorage)
        repeat, operations = inner._repeat, count(1)

        def interleaved(operation: Callable[..., Any], *given: Any) -> Any:
            if next(operations) == step:
                with opened(storage, folder / "other", resume=True) as taker:
                    takers.append(taker)
            return repeat(operation, *given)

        inner._repeat = interleaved  # type: ignore[method-assign]
        try:
            first.tell(trial, record_of(2, parameters))
        except StudyError as error:
            assert "another search" in str(error)  # noqa: PT017
    if not takers:
        return False
    while len(takers[0].trials) < 3:
        do_trial(takers[0])
    trials = takers[0].trials
    assert [one.number for one in trials] == [1, 2, 3]
    assert [one.batch_size for one in trials].count(parameters["batch_size"]) == 1
    return True


def test_postgres_that_is_killed_in_a_study_costs_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    expected = on_journal(tmp_path / "journal", 5)
    said: list[str] = []

    def start_again(line: str) -> None:
        said.append(line)
        postgres.start()

    with open_study(
        tmp_path / "killed", make_settings(), resume=False, storage=postgres.url, notify=start_again
    ) as study:
        study.begin_run(RunRecord(jobs=1, trials=5))
        do_trial(study)
        trial, parameters = study.ask(SPACE, make_sampler("tpe", 3, 0, 1))
        postgres.kill()
        study.tell(trial, record_of(2, parameters))
        do_trial(study)
        postgres.kill()
        do_trial(study)
        do_trial(study)
        assert study.trials == expected
    assert said == [f"waiting for {postgres.url}, which cannot be reached"] * 2
    assert read_study(tmp_path / "killed").trials == expected


def test_a_proxy_that_is_killed_in_a_study_costs_nothing(
    grpc_proxy: GrpcServer, tmp_path: Path
) -> None:
    with open_study(
        tmp_path / "killed",
        make_settings(),
        resume=False,
        storage=grpc_proxy.url,
        notify=lambda _line: grpc_proxy.start(),
    ) as study:
        do_trial(study)
        grpc_proxy.kill()
        do_trial(study)
        assert [one.number for one in study.trials] == [1, 2]


def test_a_proxy_that_is_silent_is_asked_again(
    grpc_proxy: GrpcServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "SILENT_SECONDS", 0.5)
    said: list[str] = []

    def wake(line: str) -> None:
        said.append(line)
        grpc_proxy.send(signal.SIGCONT)

    folder = tmp_path / "silent"
    with open_study(
        folder, make_settings(), resume=False, storage=grpc_proxy.url, notify=wake
    ) as study:
        do_trial(study)
        grpc_proxy.send(signal.SIGSTOP)
        do_trial(study)
        # What came late was done once.
        assert [one.number for one in study.trials] == [1, 2]
    assert said


SEARCH = """
import sys
from pathlib import Path
from powerml.studies.folder import open_study
from tests.builders import make_settings
from tests.studies.test_storage import do_trial
with open_study(Path(sys.argv[1]), make_settings(), resume=False, storage=sys.argv[2]) as study:
    while True:
        print(do_trial(study).number, flush=True)
"""


def test_a_search_that_is_killed_goes_on_from_its_server(
    postgres: Postgres, tmp_path: Path
) -> None:
    folder = tmp_path / "dead"
    with subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(folder), postgres.url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as search:
        assert search.stdout is not None
        told = [search.stdout.readline() for _ in range(5)]
        command = Path(f"/proc/{search.pid}/cmdline").read_text(encoding="utf-8")
        search.kill()
    assert told == ["1\n", "2\n", "3\n", "4\n", "5\n"]
    assert PASSWORD not in command
    with open_study(folder, make_settings(), resume=True) as study:
        there = len(study.trials)
        assert there >= 5
        do_study(study, there + 2)
    expected = on_journal(tmp_path / "journal", there + 2)
    assert read_study(folder).trials == expected


def test_a_new_study_without_a_measurement_leaves_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        open_study(tmp_path / "none", make_settings(), resume=False, storage=postgres.url),
    ):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StudyError, match="there is no study none in"):
        read_study(Path("none"), postgres.url)


def test_a_new_folder_of_a_study_says_that_earlier_models_are_elsewhere(
    postgres: Postgres, tmp_path: Path
) -> None:
    said: list[str] = []
    for number, place in enumerate(("here", "there", "there")):
        with open_study(
            tmp_path / place / "moved",
            make_settings(),
            resume=number > 0,
            storage=postgres.url,
            notify=said.append,
        ) as study:
            do_trial(study)
            assert len(study.trials) == number + 1
            advice = study.advice_for_models
    folder = tmp_path / "there" / "moved"
    assert said == [f"{folder} is new: the models of earlier trials are where they were trained"]
    assert advice.startswith("copy best and contenders here")


def test_a_study_that_is_there_is_not_begun_again(postgres: Postgres, tmp_path: Path) -> None:
    with open_study(tmp_path / "twice", make_settings(), resume=False, storage=postgres.url) as one:
        do_trial(one)
    for folder in (tmp_path / "twice", tmp_path / "elsewhere" / "twice"):
        with (
            pytest.raises(
                StudyError, match=r"there is the study twice in .* already: add --resume"
            ),
            open_study(folder, make_settings(), resume=False, storage=postgres.url),
        ):
            pass
    with (
        pytest.raises(StudyError, match=r"is stored in postgresql://.*, not in its journal file"),
        open_study(tmp_path / "twice", make_settings(), resume=True, storage="journal"),
    ):
        pass
    with (
        pytest.raises(StudyError, match=r"there is no study other in .* to resume"),
        open_study(tmp_path / "other", make_settings(), resume=True, storage=postgres.url),
    ):
        pass
    on_journal(tmp_path / "kept", 1)
    with (
        pytest.raises(StudyError, match="is stored in its journal file, not in postgresql://"),
        open_study(tmp_path / "kept", make_settings(), resume=True, storage=postgres.url),
    ):
        pass


def test_the_folder_names_the_server_without_the_password(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "url"
    address = find_address(postgres.url)
    assert address is not None
    secret.write_text(address.secret_url, encoding="utf-8")
    secret.chmod(0o600)
    monkeypatch.delenv("POWERML_STORAGE_PASSWORD")
    folder = tmp_path / "named"
    with open_study(folder, make_settings(), resume=False, storage=f"@{secret}") as study:
        do_trial(study)
    assert len(read_study(folder).trials) == 1
    assert "geheim" not in (folder / PLACE).read_text(encoding="utf-8")
    # Elsewhere the file is missing, and the environment has the password.
    secret.unlink()
    with pytest.raises(StudyError, match="cannot be opened"):
        read_study(folder)
    monkeypatch.setenv("POWERML_STORAGE_PASSWORD", PASSWORD)
    assert len(read_study(folder).trials) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url.replace("study@", "other@"), "password authentication failed"),
        (lambda url: url.replace("/studies", "/absent"), 'database "absent" does not exist'),
        (lambda url: url.rpartition(":")[0] + ":1/studies", "onnection"),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), "resolve"),
        (lambda _url: "mysql://study@127.0.0.1:1/studies", "onnect"),
        (lambda _url: "sqlite:////no/such/folder/x.db", "unable to open"),
    ],
)
def test_a_server_that_cannot_be_opened_is_one_line(
    postgres: Postgres, tmp_path: Path, change: Callable[[str], str], told: str
) -> None:
    with (
        pytest.raises(StudyError, match="cannot be opened") as caught,
        open_study(tmp_path / "s", make_settings(), resume=False, storage=change(postgres.url)),
    ):
        pass
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "geheim" not in f"{caught.value}{caught.value.detail}"
    assert not (tmp_path / "s").exists()


def test_a_file_of_sqlite_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"there is no file .*none\.db"):
        read_study(Path("s"), f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_holds_no_study_and_is_not_changed(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.url.replace("/studies", "/postgres")
    for _ in range(2):
        with pytest.raises(StudyError, match=r"cannot be opened \(.*does not exist"):
            read_study(Path("s"), url)
    address = find_address(url)
    assert address is not None
    with open_storage(address) as storage:
        assert storage.get_all_studies() == []
