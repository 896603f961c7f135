"""Options of counting: the simulated machines, the meter and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SkipValidation

from powerml.boards import BOARD_RUNTIMES
from powerml.costs.cost import DEFAULT_PRICE, Accesses, PriceName, PriceOption, check_accesses
from powerml.costs.counts import Fidelity, check_fidelity
from powerml.errors import UsageError
from powerml.machines import (
    DEFAULT_MACHINE,
    PAPERS_MACHINE,
    Machine,
    PhaseMachines,
    load_machine,
    load_machine_file,
    load_machines,
    require_no_board,
)
from powerml.meters.base import DEFAULT_LIMIT_SECONDS, DEFAULT_METER, WHOLE_PROCESS, Meter
from powerml.options import Options, Shown
from powerml.workloads.options import DataOptions
from powerml.workloads.workload import (
    DEFAULT_INFERENCES,
    Deployment,
    ProtocolName,
    check_protocol,
    make_deployment,
)

__all__ = [
    "DATASETS",
    "PRICE_DETAILS",
    "AccessesOption",
    "CountingOptions",
    "FidelityName",
    "LevelsOption",
    "MachineOptions",
    "SimulationOptions",
]

DATASETS = (
    "digits, mnist_small, mnist, sklearn:NAME; a .csv, .tsv, .parquet or .npz file; or a folder of "
    "images by class, or of a saved Hugging Face dataset."
)
FidelityName = Annotated[Fidelity, BeforeValidator(check_fidelity)]
AccessesOption = Annotated[
    Accesses,
    BeforeValidator(check_accesses),
    Field(description="Accesses to price: data; or all, with instruction fetches."),
]
LevelsOption = Annotated[
    int,
    Field(description="Cache levels to price: 2; or 3, with L2."),
    Shown(after="machine_file", details="2 has the levels of eq. 2.1."),
]
PRICE_DETAILS = "``core`` gives seconds too, each with an interval."


class MachineOptions(Options):
    """Options that choose the machines."""

    machine: Annotated[
        str | Machine | Sequence[str | Machine] | None,
        Field(
            description="Machines that price the counts, separated by commas; or all but boards."
        ),
        Shown(
            default=f"{DEFAULT_MACHINE}; {PAPERS_MACHINE} under the paper's protocol",
            details="They are given by name or as profiles. Each geometry of caches is simulated "
            "once.",
        ),
    ] = None
    machine_file: Annotated[
        str | Path | Sequence[str | Path],
        Field(description="TOML profile of your own machine, used alone or beside --machine."),
    ] = ()

    @property
    def usual_machine(self) -> str:
        """The machine that is taken if none is given."""
        return DEFAULT_MACHINE

    def profiles(self) -> tuple[Machine, ...]:
        """Return the machines: those of files beside the others, or instead of the default.

        A file's machine may be named among the others, to set the order.

        Raises
        ------
        MachineError
            A profile cannot be used, or is given twice.
        UnknownNameError
            There is none of a name.
        """
        own, given = self._own_profiles(), self.machine
        wanted = [] if given is None else _found(given, own)
        # A file that is named for the training alone is for nothing else.
        training = self._training_names()
        beside = [one for one in own.values() if one not in wanted and one.name not in training]
        return load_machines([*wanted, *beside] or self.usual_machine)

    def _own_profiles(self) -> dict[str, Machine]:
        """Read the user's own profiles, by their names; raises ``MachineError``."""
        files = self.machine_file
        paths = [files] if isinstance(files, (str, Path)) else files
        return {
            profile.name: profile for profile in (load_machine_file(Path(one)) for one in paths)
        }

    def _training_names(self) -> set[str]:
        """Return the names of the machines that are given for the training alone."""
        return set()


def _found(
    given: str | Machine | Sequence[str | Machine], own: Mapping[str, Machine]
) -> list[str | Machine]:
    """Return machines as they were given, with the user's own profiles in place of their names."""
    found: list[str | Machine] = []
    for one in [given] if isinstance(given, (str, Machine)) else given:
        names = one.split(",") if isinstance(one, str) else []
        found += [own.get(name.strip(), name.strip()) for name in names] or [one]
    return found


class SimulationOptions(MachineOptions):
    """Options of a simulation, of a workload or a synthetic load."""

    accesses: AccessesOption = "data"
    fidelity: Annotated[
        FidelityName,
        Field(description="exact: simulate every step; sampled: simulate a few and extrapolate."),
        Shown(details="The inference in a runtime is always exact."),
    ] = "sampled"
    jobs: Annotated[
        int | None,
        Field(description="Processes that simulate at once."),
        Shown(default="the number of cores"),
    ] = None
    cache: Annotated[
        bool,
        Field(description="Use the cached counts of earlier simulations."),
        Shown(
            details="New counts are added. A meter that is already running keeps its own choice of "
            "this, of `fidelity`, `error`, `jobs` and `limit_seconds`."
        ),
    ] = True
    limit_seconds: Annotated[
        float, Field(description="Time limit of a simulated phase, in seconds.")
    ] = DEFAULT_LIMIT_SECONDS
    warm: Annotated[
        bool | None,
        Field(description="Keep the simulator ready for later commands; see powerml warm."),
        Shown(default="if POWERML_WARM is 1, but for CI"),
    ] = None


class CountingOptions(SimulationOptions, DataOptions):
    """Options of counting a workload, in a measurement or in the trials of a search."""

    training_machine: Annotated[
        str | Machine | Sequence[str | Machine] | None,
        Field(description="Machines that price the training, separated by commas; no boards."),
        Shown(
            after="machine",
            default=f"those of --machine that are no boards, else {DEFAULT_MACHINE}",
            details="Keras does not run on boards. The machines of --machine price all other "
            "phases.",
        ),
    ] = None
    price: Annotated[
        PriceOption,
        Shown(
            after="machine_file",
            default="core; paper under the paper's protocol",
            details=PRICE_DETAILS,
        ),
    ] = None
    levels: LevelsOption = 2
    protocol: Annotated[
        ProtocolName,
        BeforeValidator(check_protocol),
        Field(
            description="default; or paper: its raw pixels, kernels and score on the test split."
        ),
        Shown(
            after="accesses",
            details="The paper's inference is Keras's ``evaluate`` over the test samples, in "
            "batches of the training's size.",
        ),
    ] = "default"
    runtime: Annotated[
        str | None,
        Field(description="Runtime of the inference: onnxruntime, litert, keras or framework."),
        Shown(default="onnxruntime, or a file's own; Keras's evaluate under --protocol paper"),
    ] = None
    inference_batch: Annotated[
        int | None,
        Field(description="Samples in a batch of the inference."),
        Shown(default="1", details="A model's file may have fixed it."),
    ] = None
    inferences: Annotated[
        int,
        Field(description="Counted batches of the inference, after two uncounted ones."),
    ] = DEFAULT_INFERENCES
    seed: Annotated[
        int,
        Field(
            description="Seed of the training for the score, of random inputs and of the search."
        ),
        Shown(always=True),
    ] = 0
    early_stopping: Annotated[
        int | None,
        Field(
            ge=1,
            description="Epochs without a better validation score after which a training ends.",
        ),
        Shown(
            after="validation",
            details="It then has the weights of its best epoch, and costs the epochs that it took.",
        ),
    ] = None
    meter: Annotated[
        str | Meter,
        SkipValidation,
        Field(
            description="simulator; replay:FILE; or, for comparison, callgrind, or cachegrind, the "
            "whole process as in 2018."
        ),
        Shown(details="One that is already running stays open."),
    ] = DEFAULT_METER
    error: Annotated[
        float | None,
        Field(description="Largest stated bound of a cost's relative error."),
        Shown(after="fidelity", default="0.01; 0.05 for a prediction"),
    ] = None

    def require_own_epochs(self) -> None:
        """Refuse early stopping where the paper says how long to train; raises ``UsageError``."""
        if self.early_stopping is not None and self.evaluates:
            raise UsageError(
                "the paper trains for all epochs and has no validation split: leave out "
                "--early-stopping, or --protocol paper and --meter cachegrind"
            )

    @property
    def counts_whole_processes(self) -> bool:
        """True if the meter counts whole processes, of topologies alone."""
        return self.meter == WHOLE_PROCESS

    @property
    def evaluates(self) -> bool:
        """True if a topology is run as in the paper unless a runtime is named."""
        return self.protocol == "paper" or self.counts_whole_processes

    @property
    def usual_machine(self) -> str:
        """The machine that is taken if none is given: the paper's where the rest is, too."""
        return PAPERS_MACHINE if self.evaluates else DEFAULT_MACHINE

    def _training_names(self) -> set[str]:
        given = self.training_machine
        found = [] if given is None else _found(given, {})
        return {one if isinstance(one, str) else one.name for one in found}

    def phase_machines(self) -> PhaseMachines:
        """Return the machines of each phase of a network that is trained and run.

        Raises
        ------
        MachineError
            A profile cannot be used, or is given twice.
        UnknownNameError
            There is none of a name.
        UsageError
            A board is to train, or to run Keras, or the paper's protocol is to have two machines.
        """
        profiles = self.profiles()
        if self.evaluates:
            how = "the paper's protocol" if self.protocol == "paper" else f"the meter {self.meter}"
            if self.training_machine is not None:
                raise UsageError(
                    f"{how} has one machine for training and inference: leave out "
                    "--training-machine"
                )
            require_no_board(
                profiles,
                f"and {how} trains and runs in Keras, on one machine",
                f"name another machine, as {self.usual_machine}",
            )
        if self.runtime is not None and self.runtime not in BOARD_RUNTIMES:
            require_no_board(
                profiles,
                f"and {'Keras' if self.runtime == 'keras' else self.runtime} does not run on "
                "boards",
                f"give --runtime {' or '.join(BOARD_RUNTIMES)}",
            )
        training = None
        if self.training_machine is not None:
            training = load_machines(_found(self.training_machine, self._own_profiles()))
        return PhaseMachines.assigned(profiles, training, load_machine(DEFAULT_MACHINE))

    @property
    def usual_price(self) -> PriceName:
        """The price that is taken if none is given: the paper's where the rest is, too."""
        return "paper" if self.evaluates else DEFAULT_PRICE

    @property
    def chosen_price(self) -> PriceName:
        """The price: the given one, or the usual one."""
        return self.price or self.usual_price

    def deployment(self, backend: str, *, is_own: bool = False) -> Deployment | None:
        """Make the deployment of a Keras model; see `make_deployment`, also for errors."""
        return make_deployment(
            self.runtime,
            self.inference_batch,
            self.inferences,
            backend,
            evaluates=self.evaluates,
            is_own=is_own,
        )
