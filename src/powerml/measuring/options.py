"""Options of a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SkipValidation

from powerml.calibration.fit import Calibration
from powerml.costs.cost import PriceName
from powerml.errors import UsageError
from powerml.machines import PAPERS_MACHINE
from powerml.meters.base import DEFAULT_LIMIT_SECONDS, DEFAULT_METER, Meter, Repeating
from powerml.meters.options import DATASETS, CountingOptions, FidelityName
from powerml.options import FIRST, Shown, flag_of
from powerml.workloads.workload import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS

__all__ = ["MeasureOptions"]

# Options of counts and their prices, which a sensor has not.
OF_COUNTS = (
    "machine",
    "training_machine",
    "machine_file",
    "price",
    "levels",
    "accesses",
    "fidelity",
    "calibration",
    "training",
)


def _sizes_by_name(given: object) -> object:
    """Read a list of ``name=size``, as the command line gives it."""
    if isinstance(given, (Mapping, str)) or not isinstance(given, Sequence):
        return given
    found = {}
    for option in map(str, given):
        name, equals, size = option.rpartition("=")
        if not (equals and name and size.isascii() and size.isdigit()):
            raise UsageError(
                f"cannot read --dim {option}: write it as --dim {name or 'NAME'}=N, N at least 1"
            )
        found[name] = int(size)
    return found


class MeasureOptions(CountingOptions):
    """Options of `powerml.measure` and of ``powerml measure``."""

    data: Annotated[
        str | None,
        Field(description=f"{DATASETS} A file also takes an .npz with an array for each input."),
        Shown(
            after=FIRST,
            details="See `powerml.load_dataset`.",
            default="mnist_small for a topology, random inputs for a file",
        ),
    ] = None
    batch_size: Annotated[int, Field(description="Samples in a batch of the training.")] = (
        DEFAULT_BATCH_SIZE
    )
    epochs: Annotated[int, Field(description="Passes over the training data.")] = DEFAULT_EPOCHS
    training: Annotated[
        bool,
        Field(description="Count the training of what can be trained, and train it for a score."),
        Shown(details="Without it only what is deployed is counted: loading and inference."),
    ] = True
    dimensions: Annotated[
        Mapping[str, int],
        BeforeValidator(_sizes_by_name),
        Field(description="Size of an open dimension of a file, as in batch=1."),
        Shown(after="inferences", flag="--dim", details="In Python a mapping of names to sizes."),
    ] = {}
    allow_code: Annotated[
        tuple[str, ...],
        Field(description="Code that a .keras file may run: Lambda, or module:Name."),
    ] = ()
    fidelity: Annotated[
        FidelityName,
        Field(
            description="exact: simulate every step; sampled: simulate a few and extrapolate; "
            "predicted: simulate none and predict from the cache of counts."
        ),
        Shown(details="The inference in a runtime is never sampled. A prediction has no score."),
    ] = "exact"
    calibration: Annotated[
        str | Path | Calibration | None,
        Field(description="File of powerml calibrate; adds the expected reading of a power meter."),
        Shown(after="limit_seconds", details="In Python also the result of `powerml.calibrate`."),
    ] = None
    meter: Annotated[
        str | Meter,
        SkipValidation,
        Field(
            description="simulator; replay:FILE; for joules rapl, nvml or readings:FILE, a power "
            "log; or, for comparison, callgrind, or cachegrind, the whole process as in 2018."
        ),
        Shown(details="One that is already running stays open."),
    ] = DEFAULT_METER
    error: Annotated[
        float | None,
        Field(description="Largest stated bound of a cost's relative error, or of a sensor's."),
        Shown(after="fidelity", default="0.01; 0.05 for a prediction; 0.02 for a sensor"),
    ] = None
    limit_seconds: Annotated[
        float, Field(description="Time limit of a simulated or repeated phase, in seconds.")
    ] = DEFAULT_LIMIT_SECONDS
    idle_seconds: Annotated[
        float | None,
        Field(description="Seconds for which a sensor reads the idle power before each phase."),
        Shown(after="limit_seconds", default="5 with rapl, 10 with nvml, 30 with readings"),
    ] = None
    region_seconds: Annotated[
        float | None,
        Field(description="Least seconds of a sensor's reading, which a phase is repeated for."),
        Shown(default="1 with rapl, 5 with nvml, 10 with readings"),
    ] = None
    repetitions: Annotated[
        int | None,
        Field(description="Most readings of a phase by a sensor."),
        Shown(
            default="30; 10 with readings",
            details="They end before that if their interval is within `error`. The readings of a "
            "log are known only afterwards, so that all are taken.",
        ),
    ] = None

    @property
    def repeating(self) -> Repeating:
        """The options of a sensor's readings; raises ``UsageError``."""
        return Repeating(self.idle_seconds, self.region_seconds, self.repetitions)

    def require_no_price(self) -> None:
        """Refuse options of counts and prices, for a sensor; raises ``UsageError``."""
        meter = self.meter if isinstance(self.meter, str) else self.meter.name
        for name, field in self.fields().items():
            if name in OF_COUNTS and getattr(self, name) != field.default:
                raise UsageError(
                    f"the meter {meter} reads the joules of this machine, and counts nothing "
                    f"that {flag_of(name, field)} could be for: leave it out"
                )

    @property
    def usual_machine(self) -> str:
        """The machine that is taken if none is given: the paper's if a calibration is."""
        return super().usual_machine if self.calibration is None else PAPERS_MACHINE

    @property
    def usual_price(self) -> PriceName:
        """The price that is taken if none is given: a calibration is of ``paper``."""
        return super().usual_price if self.calibration is None else "paper"
