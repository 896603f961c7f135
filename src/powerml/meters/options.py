"""Options of counting: the simulated machines, the meter and its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SkipValidation

from powerml.costs.cost import DEFAULT_PRICE, Accesses, PriceName, PriceOption, check_accesses
from powerml.costs.counts import Fidelity, check_fidelity
from powerml.machines import (
    DEFAULT_MACHINE,
    PAPERS_MACHINE,
    Machine,
    load_machine_file,
    load_machines,
)
from powerml.meters.base import DEFAULT_LIMIT_SECONDS, DEFAULT_METER, WHOLE_PROCESS, Meter
from powerml.options import Options, Shown
from powerml.workloads.workload import (
    DEFAULT_INFERENCES,
    DEFAULT_VALIDATION,
    Deployment,
    ProtocolName,
    check_protocol,
    make_deployment,
)

__all__ = ["DATASETS", "CountingOptions", "FidelityName", "MachineOptions", "SimulationOptions"]

DATASETS = "digits, mnist_small, mnist, or an .npz with x_train y_train x_test y_test."
FidelityName = Annotated[Fidelity, BeforeValidator(check_fidelity)]


class MachineOptions(Options):
    """Options that choose the machines."""

    machine: Annotated[
        str | Machine | Sequence[str | Machine] | None,
        Field(description="Machines that price the counts, separated by commas; or all."),
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
        files = self.machine_file
        paths = [files] if isinstance(files, (str, Path)) else files
        own = {profile.name: profile for profile in (load_machine_file(Path(one)) for one in paths)}
        wanted: list[str | Machine] = []
        if not own or self.machine is not None:
            given = self.usual_machine if self.machine is None else self.machine
            for one in [given] if isinstance(given, (str, Machine)) else given:
                names = one.split(",") if isinstance(one, str) else []
                wanted += [own.get(name.strip(), name.strip()) for name in names] or [one]
        return load_machines(wanted + [one for one in own.values() if one not in wanted])


class SimulationOptions(MachineOptions):
    """Options of a simulation, of a workload or a synthetic load."""

    accesses: Annotated[
        Accesses,
        BeforeValidator(check_accesses),
        Field(description="Accesses to price: data; or all, with instruction fetches."),
    ] = "data"
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


class CountingOptions(SimulationOptions):
    """Options of counting a workload, in a measurement or in the trials of a search."""

    price: Annotated[
        PriceOption,
        Shown(
            after="machine_file",
            default="core; paper under the paper's protocol",
            details="``core`` gives seconds too, each with an interval.",
        ),
    ] = None
    levels: Annotated[
        int,
        Field(description="Cache levels to price: 2; or 3, with L2."),
        Shown(after="machine_file", details="2 has the levels of eq. 2.1."),
    ] = 2
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
        Field(description="Runtime of the inference: onnxruntime, litert or keras."),
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
    validation: Annotated[
        float,
        Field(description="Share of the training data held out if there is no validation split."),
    ] = DEFAULT_VALIDATION
    seed: Annotated[
        int,
        Field(
            description="Seed of the training for the score, of random inputs and of the search."
        ),
        Shown(always=True),
    ] = 0
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

    @property
    def usual_price(self) -> PriceName:
        """The price that is taken if none is given: the paper's where the rest is, too."""
        return "paper" if self.evaluates else DEFAULT_PRICE

    @property
    def chosen_price(self) -> PriceName:
        """The price: the given one, or the usual one."""
        return self.price or self.usual_price

    def deployment(self, backend: str) -> Deployment | None:
        """Make the deployment of a Keras model; see `make_deployment`, also for errors."""
        return make_deployment(
            self.runtime,
            self.inference_batch,
            self.inferences,
            backend,
            evaluates=self.evaluates,
        )
