"""Searches on workers are the searches of one machine, whatever happens to the workers."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from powerml.errors import ClusterError, UsageError
from powerml.machines import Machine
from powerml.search.listener import Listener
from powerml.search.problem import Proposal
from powerml.search.proposals import Proposals
from powerml.studies.reader import read_study
from powerml.studies.records import Prediction, StudyRecord, TrialRecord
from powerml.workers import dask_cluster, tasks
from powerml.workers.orders import CountOrder, Order
from tests.curves import TrainBy
from tests.doubles import FormulaMeter, Run
from tests.search.test_pruning import pruned_search, slow
from tests.searches import search

distributed = pytest.importorskip("distributed", reason="needs powerml[dask]")
dask = pytest.importorskip("dask")
SEARCH: dict[str, Any] = {"sampler": "random", "trials": 8, "jobs": 3, "runtime": "keras"}


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_here", tasks._Here())


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as executor:
        yield executor


@pytest.fixture
def train_by_elsewhere(monkeypatch: pytest.MonkeyPatch, train_by: TrainBy) -> TrainBy:
    """Have networks score by a curve in workers that are threads of this process, too."""
    monkeypatch.setattr(tasks, "memory_of", lambda *_given, **_named: None)
    monkeypatch.setattr(tasks, "score_on_test", lambda *_given: 0.9)
    return train_by


def plain(record: StudyRecord) -> list[dict[str, Any]]:
    """The trials without the times that they took."""
    found = []
    for trial in record.trials:
        one = trial.model_dump(mode="json")
        if one["measurement"] is not None:
            del one["measurement"]["seconds"]
        found.append(one)
    return found


def scores_of_reference(record: StudyRecord) -> tuple[float | None, float | None]:
    found = record.reference
    return (None if found is None else found.score), record.reference_test_score


class Backwards(Executor):
    """An executor that does the latest order first, once a few wait, and never in their order."""

    def __init__(self, few: int) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._few = few
        self._lock = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, fn: Any, /, *given: Any, **named: Any) -> Future[Any]:
        found: Future[Any] = Future()

        def run() -> None:
            try:
                found.set_result(fn(*given, **named))
            except Exception as error:
                found.set_exception(error)

        with self._lock:
            self._waiting.append(run)
            self._lock.notify()
        return found

    def _work(self) -> None:
        while True:
            with self._lock:
                # Fewer may be all that there are.
                self._lock.wait_for(lambda: len(self._waiting) >= self._few, timeout=0.1)
                latest = self._waiting.pop() if self._waiting else None
            if latest is not None:
                latest()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pareto": True},
        {"early_stopping": 1, "epochs": 3},
        {"reference": "first"},
        {"max_training_cost": "1.5x"},
        {"sampler": "composite"},
    ],
    ids=str,
)
def test_the_order_in_which_replies_arrive_changes_nothing(
    meter: FormulaMeter,
    tmp_path: Path,
    train_by_elsewhere: TrainBy,
    threads: Executor,
    options: dict[str, Any],
) -> None:
    train_by_elsewhere(slow)
    given = {**SEARCH, **options}
    alone = search(meter, tmp_path, study="alone", **given)
    beside = search(meter, tmp_path, study="threads", workers=threads, **given)
    backwards = search(meter, tmp_path, study="backwards", workers=Backwards(3), **given)
    assert plain(beside) == plain(alone)
    assert plain(backwards) == plain(alone)
    assert scores_of_reference(beside) == scores_of_reference(alone)


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_trainings_are_pruned_alike_wherever_they_run(
    meter: FormulaMeter,
    tmp_path: Path,
    train_by_elsewhere: TrainBy,
    threads: Executor,
    pruner: str,
) -> None:
    train_by_elsewhere(slow)
    alone = pruned_search(meter, tmp_path, study="alone", pruner=pruner, jobs=3)
    beside = pruned_search(
        meter, tmp_path, study="threads", pruner=pruner, jobs=3, workers=Backwards(3)
    )
    assert any(one.state.name == "pruned" for one in alone.trials)
    assert plain(beside) == plain(alone)


def test_networks_that_were_trained_elsewhere_are_kept_and_tested(
    meter: FormulaMeter, tmp_path: Path, threads: Executor
) -> None:
    record = search(meter, tmp_path, workers=threads, trials=2, jobs=2, score_seeds=2)
    best = Path(record.folder) / "best"
    assert {"model.keras", "model-2.keras", "model.onnx"} <= {one.name for one in best.iterdir()}
    assert record.test_score is not None
    assert record.reference_test_score is not None


def test_a_trial_that_fails_there_is_recorded_and_the_search_goes_on(
    machine: Machine, tmp_path: Path, train_by_elsewhere: TrainBy, threads: Executor
) -> None:
    train_by_elsewhere(slow)
    failing = FormulaMeter(machine, lambda one: one.name.endswith("width=2"))
    given = {**SEARCH, "trials": 12, "study": "alone"}
    alone = search(failing, tmp_path, **given)
    beside = search(failing, tmp_path, **{**given, "study": "threads"}, workers=threads)
    assert any(one.state.name == "failed" for one in alone.trials)
    assert plain(beside) == plain(alone)


def test_counts_that_are_known_here_are_not_simulated_there(
    meter: FormulaMeter,
    tmp_path: Path,
    train_by_elsewhere: TrainBy,
    threads: Executor,
) -> None:
    train_by_elsewhere(slow)
    search(meter, tmp_path, study="one", workers=threads, **SEARCH)
    counted = len(meter.measured)
    assert counted <= SEARCH["trials"] + 1  # each topology and the reference at most once


class Noting(ThreadPoolExecutor):
    """An executor that notes which trials it has been told to count."""

    def __init__(self, said: list[tuple[str, int]]) -> None:
        super().__init__(3)
        self._said = said

    def submit(self, fn: Any, /, *given: Any, **named: Any) -> Future[Any]:
        if given and isinstance(given[0], CountOrder) and given[0].trial is not None:
            self._said.append(("counted", given[0].trial))
        return super().submit(fn, *given, **named)


def test_a_trial_is_predicted_while_a_worker_counts_it(
    meter: FormulaMeter,
    tmp_path: Path,
    train_by_elsewhere: TrainBy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_by_elsewhere(slow)
    said: list[tuple[str, int]] = []
    predict, trials = Proposals.predict, itertools.count(1)

    def predict_noted(proposals: Proposals, proposal: Proposal) -> Prediction | None:
        said.append(("predicted", next(trials)))
        return predict(proposals, proposal)

    monkeypatch.setattr(Proposals, "predict", predict_noted)
    with Noting(said) as executor:
        search(meter, tmp_path, workers=executor, **SEARCH)
    counted = [trial for what, trial in said if what == "counted"]
    assert counted
    for trial in counted:
        assert said.index(("counted", trial)) < said.index(("predicted", trial))


class Stopping(Listener):
    """A listener that interrupts the search after some trials."""

    def __init__(self, after: int) -> None:
        self._after = after

    def trial_ended(self, record: TrialRecord) -> None:
        if record.number == self._after:
            raise KeyboardInterrupt


def test_a_stopped_search_tells_its_workers_and_goes_on_later(
    meter: FormulaMeter,
    tmp_path: Path,
    train_by_elsewhere: TrainBy,
    threads: Executor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_by_elsewhere(slow)
    stopped: list[str] = []
    monkeypatch.setattr(tasks, "stop", stopped.append)
    given = {**SEARCH, "workers": threads, "study": "s"}
    with pytest.raises(KeyboardInterrupt):
        search(meter, tmp_path, listener=Stopping(4), **given)
    assert len(stopped) == 1
    resumed = search(meter, tmp_path, resume=True, **given)
    assert [one.number for one in resumed.trials] == list(range(1, 9))


class Interrupted(Executor):
    """An executor that does the reference's orders, and is interrupted at the first trial's."""

    def submit(self, fn: Any, /, *given: Any, **named: Any) -> Future[Any]:
        if given and isinstance(given[0], Order) and given[0].trial is not None:
            raise KeyboardInterrupt
        found: Future[Any] = Future()
        found.set_result(fn(*given, **named))
        return found


def test_a_search_that_is_stopped_before_its_first_trial_ends_keeps_the_reference(
    meter: FormulaMeter, tmp_path: Path, train_by_elsewhere: TrainBy, threads: Executor
) -> None:
    train_by_elsewhere(slow)
    given = {**SEARCH, "study": "s"}
    with pytest.raises(KeyboardInterrupt):
        search(meter, tmp_path, workers=Interrupted(), **given)
    kept = read_study(tmp_path / "s").reference
    assert kept is not None
    resumed = search(meter, tmp_path, resume=True, workers=threads, **given)
    assert resumed.reference == kept


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as found:
        yield found


def test_a_study_on_dask_is_that_of_one_machine_though_a_worker_is_killed(
    meter: FormulaMeter,
    tmp_path: Path,
    cluster: Any,
) -> None:
    given = {**SEARCH, "trials": 6, "jobs": 2}
    alone = search(meter, tmp_path, study="alone", **given)
    place = cluster.scheduler_address.replace("tcp", "dask")

    class Killing(Listener):
        """A listener that kills a worker when the second trial has ended."""

        def trial_ended(self, record: TrialRecord) -> None:
            if record.number == 2:
                os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    beside = search(meter, tmp_path, study="dask", workers=place, listener=Killing(), **given)
    assert plain(beside) == plain(alone)


def test_workers_are_known_whenever_dask_asks_its_scheduler(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer of Dask's replaces what its client knows by an answer without workers."""
    place = cluster.scheduler_address.replace("tcp", "dask")
    with dask_cluster.connected(place, Listener()) as workers:

        async def emptied(**_: object) -> None:
            workers._client._scheduler_identity = {"workers": {}}

        monkeypatch.setattr(workers._client, "_update_scheduler_info", emptied)
        assert workers.slots == len(cluster.workers)


class _Losing(Listener):
    """A listener by which the workers are lost, at the end of a trial or before it."""

    def __init__(self, after: int) -> None:
        self._after = after

    def _lose(self, ended: int) -> None:
        if ended == self._after:
            raise ClusterError("the scheduler is gone: start it again")

    def study_opened(self, folder: Path, done: int, trials: int) -> None:
        self._lose(done)

    def trial_ended(self, record: TrialRecord) -> None:
        self._lose(record.number)


def test_a_search_without_workers_tells_to_resume_what_there_is(
    meter: FormulaMeter, tmp_path: Path, train_by_elsewhere: TrainBy, threads: Executor
) -> None:
    train_by_elsewhere(slow)
    given = {**SEARCH, "workers": threads}
    with pytest.raises(ClusterError, match=r"start it again$"):
        search(meter, tmp_path, listener=_Losing(0), study="nothing", **given)
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(ClusterError, match=r"start it again, and add --resume to go on$"):
        search(meter, tmp_path, listener=_Losing(2), study="s", **given)
    assert len(search(meter, tmp_path, study="s", resume=True, **given).trials) == SEARCH["trials"]


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ("ray", "unknown workers 'ray': give dask, dask://HOST:PORT"),
        ("dask://host", "name no port of a scheduler"),
        ("dask://:8786", "name no port of a scheduler"),
        ("dask://host:99999", "name the port 99999, which there is not: give one from 1 to 65535"),
        ("dask://host:0", "name the port 0, which there is not"),
        ("dask://host:²", "name no port of a scheduler"),
        (f"dask://host:{'9' * 5000}", "name the port 9"),
        ("dask:", "name no file: write dask:SCHEDULER_FILE"),
        ("tcp://host:1", "unknown workers"),
        ("dask:nowhere.json", "the scheduler file nowhere.json does not exist"),
    ],
)
def test_workers_that_name_nothing_are_refused_in_one_line(
    run: Run, tmp_path: Path, workers: str, said: str
) -> None:
    code, out, err = run(
        "optimize",
        "--space=dffr",
        "--data=mnist_small",
        f"--workers={workers}",
        f"--out={tmp_path}",
    )
    assert (code, out) == (2, "")
    assert said in err
    assert not list(tmp_path.iterdir())


def test_a_scheduler_that_does_not_answer_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    code, _, err = run(
        "optimize",
        *("--space=dffr", "--data=mnist_small", "--workers=dask://127.0.0.1:1"),
        f"--out={tmp_path}",
    )
    assert code == 1
    assert "no Dask scheduler answers at dask://127.0.0.1:1" in err


def test_tls_without_keys_tells_where_they_are_named() -> None:
    with (
        pytest.raises(ClusterError, match=r"is TLS, and Dask's settings name no keys: name them"),
        dask_cluster.connected("dask+tls://127.0.0.1:1", Listener()),
    ):
        pass


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with (
        dask.config.set({"distributed.comm.tls.ca-file": str(missing)}),
        pytest.raises(ClusterError, match=f"^{missing}, which Dask's settings name for TLS"),
        dask_cluster.connected("dask+tls://127.0.0.1:1", Listener()),
    ):
        pass


def test_a_host_that_is_not_known_is_named_at_once() -> None:
    with (
        pytest.raises(ClusterError, match=r"the host nowhere\.invalid of dask://.* is not known"),
        dask_cluster.connected("dask://nowhere.invalid:1", Listener()),
    ):
        pass


def test_something_else_than_workers_is_refused(meter: FormulaMeter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers is of type int: give dask"):
        search(meter, tmp_path, workers=4)


def test_an_executor_that_does_no_work_is_named(meter: FormulaMeter, tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(ClusterError, match="the executor ThreadPoolExecutor does no work"):
        search(meter, tmp_path, workers=executor)
