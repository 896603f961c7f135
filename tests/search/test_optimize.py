"""The search: eq. 2.6 over trials, with real training and counts by a formula."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path

import keras
import pytest

import powerml
from powerml.costs.counts import PhaseCounts
from powerml.errors import (
    MeasurementError,
    StudyError,
    WorkerError,
)
from powerml.machines import Machine
from powerml.meters import catalogue
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.report.command import command_of
from powerml.samplers import sampler_names
from powerml.search import run as run_module
from powerml.search.listener import Listener
from powerml.spaces import parse_topology
from powerml.studies.goal import objectives_by_machine
from powerml.studies.reader import read_study
from powerml.studies.records import Complete, Repeated, StudyRecord, TrialRecord
from powerml.workloads.workload import AnyWorkload, Material, TopologyWorkload
from tests.doubles import FormulaMeter
from tests.searches import PAPERS, REFERENCE, best_of, search


def test_a_study_measures_the_reference_once_and_each_topology_once(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    record = search(meter, tmp_path)
    assert meter.measured[0] == REFERENCE
    assert len(meter.measured) == len(set(meter.measured)) == 5
    assert [trial.number for trial in record.trials] == [1, 2, 3, 4]


def test_objectives_are_eq_2_6_of_what_is_recorded(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, alpha=0.5, beta=0.2)
    for trial in record.trials:
        if trial.score is None:
            assert trial.outcome.name == "pruned"
            continue
        assert trial.objective == pytest.approx(
            0.5 * trial.cost_ratios["training"] ** 2
            + 0.2 * trial.cost_ratios["inference"] ** 2
            - 0.3 * trial.score
        )
    objectives = [trial.objective for trial in record.trials if trial.objective is not None]
    assert best_of(record).objective == min(objectives)


def test_costs_are_relative_to_the_first_trial_where_it_is_asked_for(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    record = search(meter, tmp_path, reference="first")
    assert record.reference is None
    first = record.trials[0]
    assert first.cost_ratios == {"training": 1, "inference": 1}
    assert REFERENCE not in meter.measured


def test_the_reference_can_be_chosen(meter: FormulaMeter, tmp_path: Path) -> None:
    search(meter, tmp_path, reference="dffr:layers=1,width=2")
    assert meter.measured[0] == "dffr:layers=1,width=2 batch 64"


def test_the_saved_model_is_the_one_that_was_evaluated(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path)
    best = tmp_path / "s" / "best"
    assert TrialRecord.model_validate_json((best / "trial.json").read_text()) == record.best
    model = keras.saving.load_model(best / "model.keras", safe_mode=True)
    dataset = powerml.load_dataset("mnist_small")
    for split, score in (
        (dataset.validation, best_of(record).score),
        (dataset.test, record.test_score),
    ):
        inputs = dataset.inputs(split, scaled=True)
        _, accuracy = model.evaluate(inputs, split.labels, batch_size=100, verbose=0)
        assert accuracy == pytest.approx(score)


def test_two_runs_with_one_seed_are_the_same_study(meter: FormulaMeter, tmp_path: Path) -> None:
    one, other = (search(meter, tmp_path, study=name) for name in ("one", "other"))
    assert _results(one) == _results(other)
    assert _results(one) != _results(search(meter, tmp_path, study="third", seed=1))


def test_an_interrupted_study_ends_as_if_it_had_not_been(machine: Machine, tmp_path: Path) -> None:
    whole = search(FormulaMeter(machine), tmp_path, study="whole", trials=6)

    class InterruptedMeter(FormulaMeter):
        def measure(self, *asked):  # type: ignore[no-untyped-def]
            if len(self.measured) == 4:
                raise KeyboardInterrupt
            return super().measure(*asked)

    with pytest.raises(KeyboardInterrupt):
        search(InterruptedMeter(machine), tmp_path, trials=6)
    second = FormulaMeter(machine)
    resumed = search(second, tmp_path, trials=6, resume=True)
    assert _results(resumed) == _results(whole)
    assert len(second.measured) == 3
    assert REFERENCE not in second.measured


def test_resuming_a_finished_study_measures_nothing(meter: FormulaMeter, tmp_path: Path) -> None:
    first = search(meter, tmp_path)
    count = len(meter.measured)
    again = search(meter, tmp_path, resume=True)
    assert len(meter.measured) == count
    assert (again.best, again.test_score) == (first.best, first.test_score)
    # Nothing was proposed, so it is no part of the study's history.
    assert len(read_study(tmp_path / "s").runs) == 1


def test_a_topology_met_before_is_not_measured_again(
    meter: FormulaMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from powerml.spaces import Bounds
    from powerml.spaces.dffr import Dffr

    monkeypatch.setattr(Dffr, "bounds", {"layers": Bounds(1, 1), "width": Bounds(1, 1)})
    monkeypatch.setattr(Dffr, "batch_size_bounds", Bounds(50, 51))
    monkeypatch.setattr(Dffr, "reference", {"layers": 1, "width": 1})
    record = search(meter, tmp_path, trials=5)
    assert len(meter.measured) == 3
    repeated = [
        (trial, trial.state.trial) for trial in record.trials if trial.state.name == "repeated"
    ]
    assert len(repeated) == 3
    for trial, number in repeated:
        first = record.trials[number - 1]
        assert first.state.name != "repeated"
        assert first.state == trial.outcome
        assert (first.topology, first.batch_size) == (trial.topology, trial.batch_size)
        assert first.objective == trial.objective


def test_batches_larger_than_the_data_are_the_same(
    meter: FormulaMeter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from powerml.spaces import Bounds
    from powerml.spaces.dffr import Dffr

    monkeypatch.setattr(Dffr, "bounds", {"layers": Bounds(1, 1), "width": Bounds(1, 1)})
    monkeypatch.setattr(Dffr, "batch_size_bounds", Bounds(100, 128))
    monkeypatch.setattr(Dffr, "reference", {"layers": 1, "width": 1})
    record = search(meter, tmp_path, trials=3)
    first, *others = record.trials
    assert first.state == Complete()
    assert [trial.state for trial in others] == [Repeated(trial=1, outcome=Complete())] * 2


def test_failed_trials_are_recorded_with_their_reason_and_the_search_goes_on(
    machine: Machine, tmp_path: Path
) -> None:
    failures = iter([False, True, False, True, False])
    meter = FormulaMeter(machine, failing=lambda _workload: next(failures))
    record = search(meter, tmp_path)
    failed = [
        (trial, trial.state.reason) for trial in record.trials if trial.state.name == "failed"
    ]
    assert len(failed) == 2
    for trial, reason in failed:
        assert "crashed (SIGSEGV)" in reason
        assert (trial.objective, trial.score, trial.measurement) == (None, None, None)


def test_when_no_trial_succeeds_the_reasons_are_given(machine: Machine, tmp_path: Path) -> None:
    outcomes = iter([False, True, True])
    meter = FormulaMeter(machine, failing=lambda _workload: next(outcomes))
    with pytest.raises(MeasurementError, match=r"no trial succeeded: .*crashed \(SIGSEGV\)"):
        search(meter, tmp_path, trials=2)


def test_when_the_reference_fails_nothing_is_left(machine: Machine, tmp_path: Path) -> None:
    meter = FormulaMeter(machine, failing=lambda _workload: True)
    with pytest.raises(MeasurementError, match="crashed"):
        search(meter, tmp_path / "studies")
    assert list(tmp_path.iterdir()) == []


def test_counts_made_otherwise_are_not_mixed_into_a_study(
    meter: FormulaMeter, machine: Machine, tmp_path: Path
) -> None:
    search(meter, tmp_path, trials=2)
    other = FormulaMeter(machine)
    other._fingerprint = other._fingerprint.model_copy(update={"software": {"torch": "3.0"}})
    with pytest.raises(StudyError, match=r"cannot be continued: .*torch"):
        search(other, tmp_path, trials=3, resume=True)


def test_the_score_is_averaged_over_seeds(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2, score_seeds=2)
    for trial in record.trials:
        assert trial.measurement is not None
        assert len(trial.measurement.scores) == 2
        assert trial.score == pytest.approx(sum(trial.measurement.scores) / 2)
    assert {path.name for path in (tmp_path / "s" / "best").iterdir()} == {
        "model.keras",
        "model-2.keras",
        "model.onnx",
        "trial.json",
    }


def test_the_papers_protocol_scores_on_the_test_split(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2, protocol="paper")
    best = best_of(record)
    assert best.measurement is not None
    assert best.measurement.score_split == "test"
    assert best.score == pytest.approx(record.test_score)


def test_a_listener_hears_of_every_trial(meter: FormulaMeter, tmp_path: Path) -> None:
    class Recorder(Listener):
        heard: list[str] = []  # noqa: RUF012

        def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:
            self.heard.append(f"{folder.name} {finished_trials}/{trials}")

        def trial_ended(self, record: TrialRecord) -> None:
            self.heard.append(f"trial {record.number}")

    search(meter, tmp_path, trials=2, listener=Recorder())
    assert Recorder.heard == ["s 0/2", "trial 1", "trial 2"]


def test_the_journal_is_the_one_truth(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2)
    lines = (tmp_path / "s" / "study.journal").read_text(encoding="utf-8").splitlines()
    stored = [json.loads(line).get("user_attr", {}).get("record") for line in lines]
    trials = [TrialRecord.model_validate(one) for one in stored if one is not None]
    assert trials == record.trials


def test_studies_without_a_name_get_folders_of_their_own(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    folders = [Path(search(meter, tmp_path, trials=1, study=None).folder) for _ in range(2)]
    assert [folder.name for folder in folders] == [
        "dffr-mnist_small-a0.5-b0.05-s0-1",
        "dffr-mnist_small-a0.5-b0.05-s0-2",
    ]
    search(meter, tmp_path, trials=2, study=None, resume=True)
    assert len(list(tmp_path.iterdir())) == 2


def _results(record: StudyRecord) -> list[tuple[str, int, float | None]]:
    return [(trial.topology, trial.batch_size, trial.objective) for trial in record.trials]


def test_several_trials_at_once_end_in_the_order_they_were_proposed(
    machine: Machine, tmp_path: Path
) -> None:
    records = [
        search(FormulaMeter(machine), tmp_path, study=f"s{number}", trials=6, jobs=3)
        for number in range(2)
    ]
    trials = [[trial.topology for trial in record.trials] for record in records]
    assert trials[0] == trials[1]
    assert [trial.number for trial in records[0].trials] == [1, 2, 3, 4, 5, 6]


def test_trials_drawn_at_random_do_not_depend_on_the_number_of_jobs(
    machine: Machine, tmp_path: Path
) -> None:
    one, three = (
        search(
            FormulaMeter(machine), tmp_path, study=f"j{jobs}", trials=3, jobs=jobs, sampler="tpe"
        )
        for jobs in (1, 3)
    )
    # The first three are drawn at random: no result can have a say in them.
    for mine, theirs in zip(one.trials, three.trials, strict=True):
        assert mine.topology == theirs.topology
        assert mine.objective == theirs.objective


class StuckMeter(FormulaMeter):
    """Never ends the first trial, until it is closed."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._closed = threading.Event()
        self._first: str | None = None

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        counted = super().measure(workload, material, notify, advance)
        assert isinstance(workload, TopologyWorkload)
        if REFERENCE.startswith(workload.name):
            return counted
        self._first = self._first or workload.name
        if workload.name == self._first:
            self._closed.wait()
            raise WorkerError("killed with the server")
        return counted

    def __exit__(self, *_: object) -> None:
        self._closed.set()


class Told(BaseException):
    """As SIGTERM raises it."""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Told])
def test_a_trial_that_is_done_when_another_is_interrupted_is_kept(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    end_trial = run_module.Run.end_trial
    calls: list[int] = []

    def interrupted(run: run_module.Run) -> None:
        calls.append(1)
        if len(calls) == 1:
            counting = run._under_way[1].counting
            assert counting is not None
            wait(counting.phases.values())
            raise stop
        end_trial(run)

    monkeypatch.setattr(run_module.Run, "end_trial", interrupted)
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: StuckMeter(machine))
    with pytest.raises(stop):
        powerml.optimize("dffr", study="s", out=tmp_path, jobs=2, trials=4, **PAPERS)
    uninterrupted = search(FormulaMeter(machine), tmp_path, study="u", jobs=2, trials=4)
    rest = FormulaMeter(machine)
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: rest)
    record = powerml.optimize(
        "dffr", study="s", out=tmp_path, jobs=2, trials=4, resume=True, **PAPERS
    )
    assert record.trials[0].topology == uninterrupted.trials[1].topology
    assert record.trials[1].topology == uninterrupted.trials[0].topology
    # Neither the reference nor the one that was kept is measured again.
    assert len(rest.measured) == 3


def test_a_study_is_priced_for_several_machines_and_optimized_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(_name: str, machines: Sequence[Machine], *_: object) -> FormulaMeter:
        return FormulaMeter(machines[0])

    monkeypatch.setattr(catalogue, "make_meter", make)
    names = ["epyc-7601", "xeon-x5650"]
    # A meter that is made for each geometry; one simulator would serve both.
    options = {**PAPERS, "machine": ",".join(names), "meter": "callgrind"}
    record = powerml.optimize("dffr", study="s", out=tmp_path, jobs=1, trials=3, **options)
    assert (record.settings.machine, record.settings.other_machines) == (names[0], (names[1],))
    for trial in record.trials:
        assert trial.measurement is not None
        assert trial.measurement.machines == names
        assert [one.machines for one in trial.measurement.simulations] == [[names[1]]]
    objectives = objectives_by_machine(record)
    assert list(objectives) == names
    assert objectives[names[0]] == {
        trial.number: pytest.approx(trial.objective)
        for trial in record.trials
        if trial.objective is not None
    }


def test_the_winner_is_exported_and_computes_the_same(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2)
    assert record.exported == "best/model.onnx"
    assert record.export_difference is not None
    assert record.export_difference <= 1e-5
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(tmp_path / "s" / "best" / "model.onnx")
    dataset = powerml.load_dataset("mnist_small")
    samples = dataset.inputs(dataset.test, scaled=True)
    [outputs] = session.run(None, {session.get_inputs()[0].name: samples})
    score = (outputs.argmax(axis=1) == dataset.test.labels).mean()
    assert score == pytest.approx(record.test_score)


def test_with_keras_as_the_runtime_nothing_is_exported(meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=2, runtime="keras")
    assert record.exported is None
    assert record.export_difference is None
    assert not (tmp_path / "s" / "best" / "model.onnx").exists()


@pytest.mark.parametrize("sampler", [name for name in sampler_names() if name != "tpe"])
def test_every_sampler_searches_and_says_that_it_did(
    meter: FormulaMeter, tmp_path: Path, sampler: str
) -> None:
    one, other = (search(meter, tmp_path, study=name, sampler=sampler) for name in ("a", "b"))
    assert one.settings.sampler == sampler
    assert _results(one) == _results(other)
    with pytest.raises(StudyError, match=f"sampler is {sampler}, not tpe"):
        search(meter, tmp_path, study="a", sampler="tpe", resume=True)


def test_a_search_within_narrower_bounds_stays_within_them(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    space = "dffr:layers=1,width=2-4"
    options = {"study": "s", "out": tmp_path, "meter": meter, "jobs": 1, **PAPERS}
    record = powerml.optimize(space, trials=3, **options)
    assert record.settings.space == space
    assert record.reference is not None
    assert record.reference.workload.title == REFERENCE
    for trial in record.trials:
        parameters = parse_topology(trial.topology).parameters
        assert (parameters["layers"], parameters["width"] in range(2, 5)) == (1, True)
    command = command_of(record.settings, 3, 1)
    assert f"--space {space}" in command
    assert powerml.best(tmp_path / "s").best is not None
    assert "dffr:layers=1,width=2-4 on mnist" in powerml.render_report(tmp_path / "s", "markdown")
    with pytest.raises(StudyError, match="space is dffr:layers=1,width=2-4, not dffr"):
        powerml.optimize("dffr", trials=4, resume=True, **options)


def test_the_reference_is_trained_and_scored_as_the_trials_are(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    record = search(meter, tmp_path, trials=1)
    assert record.reference is not None
    assert record.reference.score is not None
    assert record.reference.score_split == "validation"
    assert record.reference_test_score is not None
    again = search(meter, tmp_path, trials=2, resume=True)
    assert again.reference_test_score == record.reference_test_score


def test_the_best_lies_no_further_below_the_best_seen_than_is_asked_for(
    meter: FormulaMeter, tmp_path: Path
) -> None:
    options = {"objective": "constrained", "min_score": "best-0.05", "epochs": 8}
    record = search(meter, tmp_path, trials=5, **options)
    scores = [trial.score for trial in record.trials if trial.score is not None]
    fit = [trial for trial in record.trials if (trial.score or 0) >= max(scores) - 0.05 - 1e-6]
    assert best_of(record).objective == min(trial.objective or 9 for trial in fit)
    assert (tmp_path / "s" / "best" / "model.keras").exists()
    # No trial is what the reference is: that is known already.
    assert REFERENCE not in {f"{one.topology} batch {one.batch_size}" for one in record.trials}
