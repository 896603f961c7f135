"""Records made by hand. Every field can be given; what is left out is ordinary and valid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.calibration.fit import Calibration, make_calibration
from powerml.calibration.loads import recorded_costs_cycles, synthetic_loads
from powerml.calibration.readings import load_readings
from powerml.costs.cost import Cost
from powerml.costs.counts import Counts, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Measurement, Phase
from powerml.explain.records import BestRecord
from powerml.machines import (
    PAPERS_MACHINE,
    Cache,
    Geometry,
    Machine,
    PhaseMachines,
    load_machine,
)
from powerml.studies.limits import Limits
from powerml.studies.records import (
    Complete,
    Failed,
    Pruned,
    Repeated,
    StudyRecord,
    StudySettings,
    TrialRecord,
)
from powerml.workloads.workload import (
    Deployment,
    LoadWorkload,
    ModelInput,
    ModelWorkload,
    TopologyWorkload,
    TrainedFileWorkload,
)

ORDINARY_RATIOS = {"training": 0.75, "inference": 1.25}


def make_counts(**fields: int) -> Counts:
    """Consistent counts: misses never exceed accesses, nor last-level misses first-level ones."""
    ordinary = {
        "Ir": 10_000,
        "Dr": 3_000,
        "Dw": 2_000,
        "I1mr": 100,
        "D1mr": 300,
        "D1mw": 200,
        "ILmr": 10,
        "DLmr": 30,
        "DLmw": 20,
    }
    return Counts(**{**ordinary, **fields})


def make_geometry(**fields: Any) -> Geometry:
    ordinary = {
        "i1": Cache(size_bytes=32768, ways=4),
        "d1": Cache(size_bytes=32768, ways=8),
        "ll": Cache(size_bytes=8 * 2**20, ways=16),
    }
    return Geometry.model_validate({**ordinary, **fields})


def make_fingerprint(**fields: Any) -> Fingerprint:
    ordinary = {
        "meter": "simulator",
        "geometry": make_geometry(),
        "simulated_geometry": make_geometry(),
        "software": {"python": "3.11.2", "torch": "2.13.0", "valgrind": "3.19.0"},
        "cpu_features": ("avx2", "fma"),
        "threads": 1,
        "environment_digest": "e" * 64,
    }
    return Fingerprint.model_validate({**ordinary, **fields})


def everywhere(machines: Sequence[Machine]) -> PhaseMachines:
    """The machines of every phase."""
    return PhaseMachines(tuple(machines), tuple(machines))


def make_workload_record(**fields: Any) -> TopologyWorkload:
    ordinary = {
        "topology": "dffr:layers=2,width=16",
        "data": "mnist_small",
        "data_digest": "d" * 64,
        "validation": 0.1,
        "input_shape": (28, 28),
        "classes": 2,
        "training_samples": 100,
        "inference_samples": 100,
        "batch_size": 32,
        "epochs": 2,
        "protocol": "default",
        "backend": "torch",
        "seed": 0,
    }
    return TopologyWorkload.model_validate({**ordinary, **fields})


def make_trained_file_record(**fields: Any) -> TrainedFileWorkload:
    trained = make_workload_record().model_dump(exclude={"kind", "topology"})
    ordinary = {**trained, "model": "mine.keras", "model_digest": "f" * 64, "allowed": ("Lambda",)}
    return TrainedFileWorkload.model_validate({**ordinary, **fields})


def make_file_record(**fields: Any) -> ModelWorkload:
    ordinary = {
        "model": "kws.onnx",
        "model_digest": "f" * 64,
        "inputs": (ModelInput(name="x", shape=(4, 10), dtype="float32"),),
        "data": None,
        "data_digest": None,
        "backend": None,
        "seed": 0,
        "deployment": Deployment(runtime="onnxruntime", batch_size=4, inferences=2),
    }
    return ModelWorkload.model_validate({**ordinary, **fields})


def make_phase(name: str, **fields: Any) -> Phase:
    ordinary = {
        "counts": make_counts(),
        "steps_simulated": 8,
        "steps_total": 8,
        "costs": {"xeon-x5650": Cost(cycles=2.5e6, joules=1.5e-3, joules_estimated=True)},
    }
    return Phase.model_validate({"name": name, **ordinary, **fields})


def make_measurement(**fields: Any) -> Measurement:
    ordinary = {
        "workload": make_workload_record(),
        "accesses": "data",
        "phases": [make_phase("training"), make_phase("inference")],
        "score": 0.98,
        "score_split": "validation",
        "scores": [0.98],
        "fingerprint": make_fingerprint(),
        "seconds": 12.5,
    }
    return Measurement.model_validate({**ordinary, **fields})


def make_trial(**fields: Any) -> TrialRecord:
    """A trial of which all is known. `training` and `inference` are its cost ratios, or None."""
    ratios = {phase: fields.pop(phase, ratio) for phase, ratio in ORDINARY_RATIOS.items()}
    ordinary = {
        "number": 1,
        "topology": "dffr:layers=2,width=16",
        "batch_size": 32,
        "state": Complete(),
        "objective": -0.125,
        "score": 0.98,
        "cost_ratios": {phase: ratio for phase, ratio in ratios.items() if ratio is not None},
        "measurement": make_measurement(),
    }
    return TrialRecord.model_validate({**ordinary, **fields})


def make_failed_trial(failure: str, **fields: Any) -> TrialRecord:
    """A trial without any measurement."""
    nothing = dict.fromkeys(("objective", "score", "training", "inference", "measurement"))
    return make_trial(**{**nothing, "state": Failed(reason=failure), **fields})


def make_pruned_trial(pruned: str, **fields: Any) -> TrialRecord:
    """A trial that was counted but not trained."""
    measurement = make_measurement(score=None, score_split=None, scores=[])
    nothing = {"objective": None, "score": None, "measurement": measurement}
    return make_trial(**{**nothing, "state": Pruned(reason=pruned), **fields})


def repeat(trial: TrialRecord, number: int) -> TrialRecord:
    """The same topology again, in a later trial."""
    outcome = trial.outcome
    assert outcome.name != "failed"
    state = Repeated(trial=trial.number, outcome=outcome)
    return trial.model_copy(update={"number": number, "state": state})


def make_settings(**fields: Any) -> StudySettings:
    ordinary = {
        "space": "dffr",
        "data": "mnist_small",
        "data_digest": "d" * 64,
        "validation": 0.1,
        "alpha": 0.5,
        "beta": 0.05,
        "epochs": 2,
        "protocol": "default",
        "machine": "xeon-x5650",
        "profiles_digest": "p" * 64,
        "accesses": "data",
        "reference": "dffr:layers=5,width=10",
        "startup_trials": 3,
        "score_seeds": 1,
        "seed": 0,
        "meter": "simulator",
        "fidelity": "sampled",
        "error": 0.01,
        "backend": "torch",
    }
    return StudySettings.model_validate({**ordinary, **fields})


def make_reference(score: float | None = None) -> Measurement:
    return make_measurement(
        workload=make_workload_record(topology="dffr:layers=5,width=10", batch_size=64),
        score=score,
        score_split=None if score is None else "validation",
        scores=[] if score is None else [score],
    )


def make_study(**fields: Any) -> StudyRecord:
    trials = fields.pop("trials", [make_trial()])
    ordinary = {
        "folder": "powerml-studies/dffr-1",
        "settings": make_settings(),
        "reference": make_reference(),
        "trials": trials,
        "best": trials[0],
        "test_score": 0.97,
        "seconds": 60.0,
    }
    return StudyRecord.model_validate({**ordinary, **fields})


def make_best(**fields: Any) -> BestRecord:
    """What a study answers afterwards."""
    ordinary = {
        "folder": "out/[x]",
        "objective": "squared",
        "alpha": 0.5,
        "beta": 0.05,
        "limits": Limits(),
        "machine": "xeon-x5650",
        "reference": "dffr:layers=5,width=10 batch 64",
        "trials": 12,
        "best": make_trial(number=4, parameters=12866),
        "models": "best",
    }
    return BestRecord.model_validate({**ordinary, **fields})


def make_load_counts(load: LoadWorkload) -> PhaseCounts:
    """A load's counts as the real ones are, roughly: four in ten accesses miss the first level."""
    products = load.products
    counts = make_counts(
        Ir=8 * products,
        Dr=2 * products,
        Dw=load.rows_a * load.cols_b,
        D1mr=products,
        D1mw=0,
        DLmr=products // 8,
        DLmw=0,
    )
    return PhaseCounts(
        name=load.title,
        counts=counts,
        fidelity="sampled",
        error_bound=0.004,
        steps_simulated=50,
        steps_total=load.rows_a,
    )


def make_calibration_record(**fields: Any) -> Calibration:
    """A calibration by the readings of 2018 on the paper's machine."""
    machine = load_machine(PAPERS_MACHINE)
    readings = load_readings()
    record = make_calibration(
        [(load, make_load_counts(load)) for load in synthetic_loads()],
        readings=readings.by_load,
        recorded_cycles=recorded_costs_cycles(),
        unit=readings.unit,
        source=readings.source,
        machine=machine,
        accesses="data",
        fingerprint=make_fingerprint(
            geometry=machine.geometry, simulated_geometry=machine.simulated_geometry
        ),
    )
    return record.model_copy(update=fields)


def make_machine(**fields: Any) -> Machine:
    """Cheap numbers for sums by hand: 2, 10 and 100 cycles; no energies."""

    def number(value: float) -> dict[str, Any]:
        return {"value": value, "source": "made up"}

    def cache(size_bytes: int, ways: int) -> dict[str, Any]:
        return {"size_bytes": size_bytes, "ways": ways, "source": "made up"}

    ordinary = {
        "name": "toy",
        "title": "A toy",
        "clock_ghz": number(1.0),
        "caches": {
            "i1": cache(32768, 4),
            "d1": cache(32768, 8),
            "ll": cache(8 * 2**20, 16),
        },
        "latency_cycles": {"l1": number(2), "ll": number(10), "memory": number(100)},
    }
    return Machine.model_validate({**ordinary, **fields})


def make_arrays(**changed: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Eight training and four test samples of two classes; what is given replaces the ordinary."""
    rng = np.random.default_rng(0)
    ordinary: dict[str, NDArray[Any]] = {
        "x_train": rng.integers(0, 256, (8, 4, 3), dtype=np.uint8),
        "y_train": np.array([0, 1] * 4),
        "x_test": rng.integers(0, 256, (4, 4, 3), dtype=np.uint8),
        "y_test": np.array([1, 0, 1, 0]),
    }
    return {**ordinary, **changed}


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> str:
    """Write an ``.npz``; returns its path as the user would give it."""
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)
