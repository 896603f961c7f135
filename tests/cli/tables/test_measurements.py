from __future__ import annotations

from powerml.calibration.loads import synthetic_loads
from powerml.cli.tables.measurements import (
    machines_costs_table,
    measurement_table,
    memory_table,
)
from powerml.costs.cost import Cost, Interval
from powerml.memory.record import Memory
from powerml.workloads.workload import Deployment, ModelInput, ModelWorkload
from tests.builders import (
    make_counts,
    make_measurement,
    make_phase,
    make_workload_record,
)
from tests.cli.rendered import row, shown


def test_a_measurement_shows_costs_with_their_units() -> None:
    text = shown(
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
    assert row(text, "cost on xeon-x5650 (Mcycles)") == ["1,234.568", "2.500"]
    assert row(text, "energy (mJ, estimated)") == ["21.500", "0.001"]
    assert row(text, "instructions") == ["118,100,000", "10,000"]
    assert row(text, "data accesses") == ["5,000", "5,000"]
    assert row(text, "D1 misses") == ["500", "500"]
    assert row(text, "LL misses") == ["50", "50"]
    assert row(text, "simulated steps") == ["all 8", "all 8"]
    assert row(text, "fidelity") == ["exact", "exact"]
    assert text.index("training") < text.index("inference")


def test_a_price_by_core_shows_time_and_energy_with_their_intervals() -> None:
    cost = Cost(
        cycles=2e6,
        seconds=2e-3,
        seconds_interval=Interval(low=1.5e-3, high=3e-3),
        joules=4e-3,
        joules_interval=Interval(low=2e-3, high=8e-3),
    )
    phase = make_phase("inference", costs={"toy": cost}, samples=1, costs_per_sample={"toy": cost})
    measurement = make_measurement(phases=[phase], price="core")
    text = shown(measurement_table(measurement))
    assert row(text, "time (ms)") == ["2.000"]
    assert row(text, "energy (mJ, estimated)") == ["4.000"]
    assert "1.5 to 3" in text
    assert "2 to 8" in text
    by_machine = shown(machines_costs_table(measurement))
    assert row(by_machine, "toy") == ["2.000", "2.000", "2.000", "4.000"]
    assert by_machine.count("one sample") == 3


def test_each_phase_shows_the_costs_of_its_own_machines() -> None:
    trained, run = {"epyc-7763": Cost(cycles=3e6)}, {"raspberry-pi-4": Cost(cycles=2e6)}
    one = {"costs_per_sample": run, "samples": 1}
    measurement = make_measurement(
        phases=[
            make_phase("training", costs=trained),
            make_phase("load", costs=run),
            make_phase("inference", costs=run, **one),
        ]
    )
    text = shown(measurement_table(measurement))
    assert row(text, "cost (Mcycles)") == ["3.000", "2.000", "2.000"]
    assert row(text, "cost of one sample (Mcycles)") == ["-", "-", "2.000"]
    assert "training on epyc-7763, load and inference on raspberry-pi-4" in text
    by_machine = shown(machines_costs_table(measurement))
    assert row(by_machine, "raspberry-pi-4") == ["-", "2.000", "2.000", "2.000", "-"]
    assert row(by_machine, "epyc-7763") == ["3.000", "-", "-", "-", "-"]
    assert by_machine.index("raspberry-pi-4") < by_machine.index("epyc-7763")


def test_a_workload_without_an_inference_is_shown_without_one() -> None:
    load = synthetic_loads()[0]
    measurement = make_measurement(workload=load, phases=[make_phase("loop")])
    assert "inference" not in shown(measurement_table(measurement))
    assert row(shown(machines_costs_table(measurement)), "xeon-x5650") == ["2.500", "-", "-"]


def test_unknown_energy_is_a_dash_never_zero() -> None:
    phase = make_phase("training", costs={"toy": Cost(cycles=1e6)})
    assert row(
        shown(measurement_table(make_measurement(phases=[phase]))), "energy (mJ, estimated)"
    ) == ["-"]


def test_steps_that_do_not_exist_are_a_dash() -> None:
    phase = make_phase("compile", steps_simulated=0, steps_total=0)
    assert row(shown(measurement_table(make_measurement(phases=[phase]))), "simulated steps") == [
        "-"
    ]


def test_every_machine_priced_has_its_row() -> None:
    costs = {"xeon-x5650": Cost(cycles=1e6), "epyc-7601": Cost(cycles=2e6)}
    phases = [make_phase(name, costs=costs) for name in ("training", "inference")]
    text = shown(machines_costs_table(make_measurement(phases=phases)))
    assert row(text, "xeon-x5650")[:2] == ["1.000", "1.000"]
    assert row(text, "epyc-7601")[:2] == ["2.000", "2.000"]


def test_one_sample_has_its_cost_however_small() -> None:
    cost = Cost(cycles=246_000, joules=1.23e-6)
    inference = make_phase(
        "inference",
        costs={"xeon-x5650": Cost(cycles=8 * 246_000, joules=8 * 1.23e-6)},
        samples=8,
        costs_per_sample={"xeon-x5650": cost},
    )
    deployment = Deployment(runtime="onnxruntime", batch_size=4, inferences=2)
    workload = make_workload_record(deployment=deployment)
    phases = [make_phase("training"), make_phase("load"), inference]
    text = shown(measurement_table(make_measurement(workload=workload, phases=phases)))
    assert row(text, "cost of one sample (Mcycles)") == ["-", "-", "0.246"]
    assert row(text, "samples") == ["-", "-", "8"]
    assert row(text, "energy (mJ, estimated)")[2] == "0.00984"
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
    text = shown(measurement_table(record))
    assert "tokens.onnx" in text
    assert "inputs drawn at random: tokens int64 1x128" in " ".join(text.split())


def test_a_sample_says_so_and_how_far_it_may_be_off() -> None:
    phase = make_phase(
        "training", fidelity="sampled", error_bound=0.0087, steps_simulated=5, steps_total=68
    )
    text = shown(measurement_table(make_measurement(phases=[phase])))
    assert row(text, "simulated steps") == ["5 of 68"]
    assert row(text, "fidelity") == ["sampled, cost within 0.9%"]


def test_three_levels_can_be_told_from_two() -> None:
    two, three = (
        " ".join(shown(measurement_table(make_measurement(levels=levels))).split())
        for levels in (2, 3)
    )
    assert "price: paper (eq. 2.1), of accesses to L1, last level, memory" in two
    assert "price: paper (eq. 2.1), of accesses to L1, L2, last level, memory" in three


def test_memory_is_shown_in_units_and_in_bytes_within_80_columns() -> None:
    memory = Memory(weights_bytes=51488, activations_bytes=6288, file_bytes=53801)
    text = shown(memory_table(memory))
    assert row(text, "weights and activations") == ["56.42 KiB", "57,776"]
    assert row(text, "file") == ["52.54 KiB", "53,801"]
    assert row(text, "allocated, peak") == ["-", "-"]
    assert max(map(len, text.splitlines())) <= 80
    unknown = Memory(remarks=["the memory of its graph is not known: it has a loop"])
    text = shown(memory_table(unknown))
    assert row(text, "weights") == ["-", "-"]
    assert "it has a loop" in " ".join(text.split())
