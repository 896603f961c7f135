from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from powerml.cost import Cost
from powerml.machines import load_machine, machine_names
from powerml.records import TrialRecord
from powerml.report.tables import (
    best_lines,
    machine_table,
    machines_costs_table,
    machines_table,
    measurement_table,
    ranking_table,
    trial_line,
    trials_table,
)
from powerml.workload import Deployment, ModelInput, ModelWorkload
from tests.builders import (
    make_counts,
    make_failed_trial,
    make_machine,
    make_measurement,
    make_phase,
    make_settings,
    make_study,
    make_trial,
    make_workload_record,
)


def _text(*renderables: RenderableType) -> str:
    console = Console(width=200, file=StringIO(), color_system=None)
    console.print(*renderables, sep="\n")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def _row(text: str, label: str) -> list[str]:
    """Cells of the only row that begins with a label."""
    rows = [
        [cell.strip() for cell in line.strip().strip("│").split("│")] for line in text.splitlines()
    ]
    [found] = [row for row in rows if row[0] == label]
    return found[1:]


def test_a_measurement_shows_costs_with_their_units() -> None:
    text = _text(
        measurement_table(
            make_measurement(
                phases=[
                    make_phase(
                        "training",
                        counts=make_counts(Ir=118_100_000),
                        costs={"xeon-x5650": Cost(cycles=1.2345678e9, joules=0.0215)},
                    ),
                    make_phase(
                        "inference", costs={"xeon-x5650": Cost(cycles=2_500_000, joules=1e-6)}
                    ),
                ]
            )
        )
    )
    assert "dffr:layers=2,width=16 batch 32, 2 epochs of mnist_small" in text
    assert _row(text, "cost on xeon-x5650 (Mcycles)") == ["1,234.568", "2.500"]
    assert _row(text, "energy (mJ, estimated)") == ["21.500", "0.001"]
    assert _row(text, "instructions") == ["118,100,000", "10,000"]
    assert _row(text, "data accesses") == ["5,000", "5,000"]
    assert _row(text, "D1 misses") == ["500", "500"]
    assert _row(text, "LL misses") == ["50", "50"]
    assert _row(text, "simulated steps") == ["all 8", "all 8"]
    assert _row(text, "fidelity") == ["exact", "exact"]
    assert text.index("training") < text.index("inference")


def test_unknown_energy_is_a_dash_never_zero() -> None:
    phase = make_phase("training", costs={"toy": Cost(cycles=1e6)})
    assert _row(
        _text(measurement_table(make_measurement(phases=[phase]))), "energy (mJ, estimated)"
    ) == ["-"]


def test_steps_that_do_not_exist_are_a_dash() -> None:
    phase = make_phase("compile", steps_simulated=0, steps_total=0)
    assert _row(_text(measurement_table(make_measurement(phases=[phase]))), "simulated steps") == [
        "-"
    ]


def test_every_machine_priced_has_its_row() -> None:
    costs = {"xeon-x5650": Cost(cycles=1e6), "epyc-7601": Cost(cycles=2e6)}
    phases = [make_phase(name, costs=costs) for name in ("training", "inference")]
    text = _text(machines_costs_table(make_measurement(phases=phases)))
    assert _row(text, "xeon-x5650")[:2] == ["1.000", "1.000"]
    assert _row(text, "epyc-7601")[:2] == ["2.000", "2.000"]


def test_one_image_has_its_cost_however_small() -> None:
    cost = Cost(cycles=246_000, joules=1.23e-6)
    inference = make_phase(
        "inference",
        costs={"xeon-x5650": Cost(cycles=8 * 246_000, joules=8 * 1.23e-6)},
        images=8,
        costs_per_image={"xeon-x5650": cost},
    )
    deployment = Deployment(runtime="onnxruntime", batch_size=4, inferences=2)
    workload = make_workload_record(deployment=deployment)
    phases = [make_phase("training"), make_phase("load"), inference]
    text = _text(measurement_table(make_measurement(workload=workload, phases=phases)))
    assert _row(text, "cost of one image (Mcycles)") == ["-", "-", "0.246"]
    assert _row(text, "images") == ["-", "-", "8"]
    assert _row(text, "energy (mJ, estimated)")[2] == "0.00984"
    assert "inference: 2 x batch 4 in onnxruntime" in text


def test_a_file_shows_its_inputs() -> None:
    workload = ModelWorkload(
        model="tokens.onnx",
        model_digest="d" * 64,
        inputs=(ModelInput(name="tokens", shape=(1, 128), dtype="int64"),),
        data=None,
        data_digest=None,
        backend=None,
        seed=0,
        deployment=Deployment(runtime="onnxruntime", batch_size=1, inferences=1),
    )
    phases = [make_phase("load"), make_phase("inference")]
    record = make_measurement(workload=workload, phases=phases, score=None, score_split=None)
    text = _text(measurement_table(record))
    assert "tokens.onnx" in text
    assert "inputs drawn at random: tokens int64 1x128" in " ".join(text.split())


def _on_two_machines(number: int, first: float, second: float) -> TrialRecord:
    costs = {"xeon-x5650": Cost(cycles=first), "epyc-7601": Cost(cycles=second)}
    phases = [make_phase(name, costs=costs) for name in ("training", "inference")]
    return make_trial(number=number, measurement=make_measurement(phases=phases))


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        (((1e6, 1e6), (2e6, 2e6)), "the ranking of the topologies is the same on all machines"),
        (((1e6, 2e6), (2e6, 1e6)), "differs from that of xeon-x5650 on epyc-7601; the best is"),
    ],
)
def test_a_study_says_whether_its_ranking_changes_between_machines(
    costs: tuple[tuple[float, float], ...], told: str
) -> None:
    trials = [_on_two_machines(number, *pair) for number, pair in enumerate(costs, 1)]
    settings = make_settings(other_machines=("epyc-7601",))
    text = _text(ranking_table(make_study(trials=trials, settings=settings, reference=None)))
    assert told in text
    assert "(1)" in text
    assert "(2)" in text


@pytest.mark.parametrize("data", ["[red]mine.npz", "a[/bold].npz", "[link=x]y[/link].npz"])
def test_names_of_datasets_are_shown_as_they_are(data: str) -> None:
    measurement = make_measurement(workload=make_workload_record(data=data))
    assert data in _text(measurement_table(measurement))
    study = make_study(settings=make_settings(data=data))
    assert f"dffr on {data}," in _text(trials_table(study))


def test_trials_with_scores_costs_and_the_best() -> None:
    first = make_trial(objective=0.5, score=0.9)
    best = make_trial(number=2, topology="dffr:layers=1,width=5", batch_size=99)
    text = _text(trials_table(make_study(trials=[first, best], best=best)))
    assert "dffr on mnist_small, alpha 0.5, beta 0.05" in text
    assert "costs relative to dffr:layers=5,width=10 batch 64 on xeon-x5650" in text
    assert "a smaller objective is better" in text
    expected = ["dffr:layers=1,width=5", "99", "0.980", "0.750", "1.250", "-0.125", "best"]
    assert _row(text, "2") == expected
    assert _row(text, "1")[-1] == ""


def test_without_a_reference_the_first_trial_is_it() -> None:
    assert "costs relative to the first trial" in _text(trials_table(make_study(reference=None)))


def test_failed_and_repeated_trials_show() -> None:
    trials = [
        make_trial(),
        make_failed_trial("training crashed (SIGSEGV)", number=2),
        make_trial(number=3, repeats=1),
    ]
    study = make_study(trials=trials)
    text = _text(trials_table(study))
    assert _row(text, "2") == ["dffr:layers=2,width=16", "32", "-", "-", "-", "-", "failed"]
    assert _row(text, "3")[-1] == "as trial 1"
    said = _text(*best_lines(study))
    assert "trial 2: dffr:layers=2,width=16 batch 32: failed: training crashed (SIGSEGV)" in said


def test_a_failed_trial_shows_no_zero() -> None:
    text = _text(trials_table(make_study(trials=[make_trial(), make_failed_trial("x", number=2)])))
    assert "0.000" not in text


def test_a_trial_in_one_line() -> None:
    assert trial_line(make_trial()).plain == (
        "trial 1: dffr:layers=2,width=16 batch 32: "
        "score 0.980, training 0.750, inference 1.250, objective -0.125"
    )
    assert trial_line(make_trial(number=4, repeats=1)).plain.endswith(" (as trial 1)")
    failed = make_failed_trial("[red]killed[/red]", number=5)
    assert trial_line(failed).plain.endswith("failed: [red]killed[/red]")


@pytest.mark.parametrize(("protocol", "split"), [("default", "validation"), ("paper", "test")])
def test_the_result_says_on_what_it_was_scored(protocol: str, split: str) -> None:
    study = make_study(settings=make_settings(protocol=protocol), folder="out/[x]")
    said = _text(*best_lines(study))
    assert "Best: dffr:layers=2,width=16 batch 32" in said
    assert f"score 0.980 ({split}), 0.970 (test)" in said
    assert "training cost 0.750 x, inference cost 1.250 x the reference's" in said
    assert "results in out/[x]:" in said


def test_machines_side_by_side() -> None:
    text = _text(machines_table([load_machine(name) for name in machine_names()]))
    for name in machine_names():
        assert any(line.startswith(f"│ {name} ") for line in text.splitlines())
    _, d1, last, clock, latencies, _ = _row(text, "xeon-x5650")
    assert (d1, last, clock) == ("32 KiB/8", "12 MiB/16", "2.66")
    assert latencies == "4, 41, 178.22"
    assert "clock (GHz)" in text
    assert "L1, LL, memory (cycles)" in text


def test_machines_without_energies_show_a_dash() -> None:
    assert _row(_text(machines_table([make_machine()])), "toy")[-1] == "-"
    assert "estimated" not in _text(machines_table([make_machine()]))


def test_estimated_latencies_are_marked() -> None:
    latencies = {
        "l1": {"value": 2, "source": "made up"},
        "ll": {"value": 10, "source": "made up"},
        "memory": {"value": 100, "source": "made up", "estimated": True},
    }
    text = _text(machines_table([make_machine(latency_cycles=latencies)]))
    assert _row(text, "toy")[4] == "2, 10, 100*"
    assert "* estimated" in text


def test_one_machine_shows_every_number_with_its_source() -> None:
    text = _text(machine_table(load_machine("xeon-x5650")))
    assert "12582912,16,64 (simulated as 12582912,24,64)" in text
    assert text.count("simulated as") == 1
    value, source = _row(text, "clock (GHz)")
    assert (value, source) == ("2.66", "the paper, section 2.2")
    assert _row(text, "ll latency (cycles)")[0] == "41 (40 to 42)"
    assert _row(text, "memory energy (pJ)")[0] == "1950 (1300 to 2600), estimated"
    assert "7-cpu.com" in text


def test_what_a_machine_lacks_has_no_row() -> None:
    text = _text(machine_table(make_machine()))
    assert "energy" not in text
    assert "l2 latency" not in text


def test_a_sample_says_so_and_how_far_it_may_be_off() -> None:
    phase = make_phase(
        "training", fidelity="sampled", error_bound=0.0087, steps_simulated=5, steps_total=68
    )
    text = _text(measurement_table(make_measurement(phases=[phase])))
    assert _row(text, "simulated steps") == ["5 of 68"]
    assert _row(text, "fidelity") == ["sampled, cost within 0.9%"]


def test_three_levels_can_be_told_from_two() -> None:
    two, three = (
        " ".join(_text(measurement_table(make_measurement(levels=levels))).split())
        for levels in (2, 3)
    )
    assert "levels priced: L1, last level, memory" in two
    assert "levels priced: L1, L2, last level, memory" in three
