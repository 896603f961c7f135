"""Records of a study: its settings, its trials, and the study as a whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    model_validator,
)

from powerml.costs.cost import Accesses, PriceName
from powerml.costs.counts import PHASES, Fidelity, PhaseName
from powerml.costs.measurement import Measurement
from powerml.memory.record import Memory
from powerml.spaces.values import Value
from powerml.studies.earlier import by_phase, of_schema, quantity_name, renamed, with_state
from powerml.studies.limits import Limits
from powerml.tables import Cell, RecordTable, Tabular, table_of
from powerml.workloads.metrics import ACCURACY, TaskKind
from powerml.workloads.workload import DEFAULT_TEST_SHARE, Deployment, ProtocolName

__all__ = [
    "ALL_QUANTITIES",
    "Complete",
    "CostRatios",
    "Failed",
    "LeaderComparison",
    "Prediction",
    "Pruned",
    "Quantity",
    "Repeated",
    "RunRecord",
    "State",
    "StudyRecord",
    "StudySettings",
    "TrialRecord",
    "Winner",
]

# The score, or the cost of a phase.
Quantity = Annotated[Literal["score"] | PhaseName, BeforeValidator(quantity_name)]
ALL_QUANTITIES: tuple[Literal["score"] | PhaseName, ...] = ("score", *PHASES)
CostRatios = dict[PhaseName, NonNegativeFloat]


class StudySettings(BaseModel):
    """Settings of a study; two runs with the same settings do the same trials.

    `reference` is the topology by which costs are normalised, with its batch size as in
    ``dffr:layers=5,width=10 batch 64``, or ``first`` for the first trial. `objective` names the
    function that is minimised, with the costs of `machine`; `other_machines` are priced too. The
    costs of the training are those of `training_machine`, where it is given; `machines_of` tells.
    `profiles_digest` is the SHA-256 of their profiles. What is reported as the best meets the
    `limits`. With `pareto` the front of score and costs is searched, and only ``powerml best`` uses
    the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str = Field(
        description="space that is searched, with narrowed bounds; or a user's own file or module"
    )
    space_digest: str | None = Field(
        default=None, description="SHA-256 of a user's own space's code; null for others"
    )
    data: str = Field(description="name of the dataset")
    data_digest: str = Field(description="SHA-256 of the dataset")
    target: str | None = Field(
        default=None, description="column of a table that is predicted; null for the usual one"
    )
    task: TaskKind | None = Field(
        default=None, description="task of the data as it was given; null if the data tells it"
    )
    metric: str = Field(default=ACCURACY, description="metric of the score")
    test_share: float = Field(
        default=DEFAULT_TEST_SHARE,
        description="share of the data held out for the test if it has no test split",
    )
    validation: float = Field(description="share of the training data held out for validation")
    alpha: float = Field(description="weight of the training cost")
    beta: float = Field(description="weight of the inference cost")
    objective: str = Field(default="squared", description="name of the objective")
    limits: Limits = Field(default=Limits(), description="limits of the best")
    pareto: bool = Field(default=False, description="true if the Pareto front is searched")
    epochs: int = Field(description="passes over the training data")
    early_stopping: int | None = Field(
        default=None,
        ge=1,
        description="epochs without a better validation score that end a training; null for all "
        "epochs",
    )
    pruner: str | None = Field(
        default=None, description="name of the pruner of trainings; null without one"
    )
    protocol: ProtocolName = Field(description="preprocessing, initialisers and score")
    machine: str = Field(
        description="machine of the objective; of its inference alone where a "
        "training machine is given"
    )
    other_machines: tuple[str, ...] = Field(default=(), description="machines that are priced too")
    training_machine: str | None = Field(
        default=None, description="machine of the training; null for the same machines as above"
    )
    other_training_machines: tuple[str, ...] = Field(
        default=(), description="further machines that the training is priced for"
    )
    profiles_digest: str = Field(description="SHA-256 of the machines' profiles")
    levels: Literal[2, 3] = Field(default=2, description="levels of caches that are priced")
    accesses: Accesses = Field(description="accesses that are priced")
    price: PriceName = Field(default="paper", description="name of the price")
    deployment: Deployment | None = Field(
        default=None, description="deployment of the networks; null for Keras's evaluate"
    )
    reference: str = Field(description="topology that costs are relative to, or first")
    sampler: str = Field(default="tpe", description="name of the sampler")
    startup_trials: int = Field(description="trials that are drawn at random first")
    score_seeds: int = Field(description="trainings that a score is averaged over")
    seed: int = Field(description="seed of the trainings and of the search")
    meter: str = Field(description="name of the meter")
    fidelity: Fidelity = Field(description="exact or sampled")
    error: float = Field(description="largest stated bound of a sample's relative error")
    backend: str = Field(description="Keras's backend")

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return renamed(content, {"family": "space"})

    @property
    def inference_machines(self) -> tuple[str, ...]:
        """Names of the machines that the inference is priced for, that of the objective first."""
        return (self.machine, *self.other_machines)

    @property
    def training_machines(self) -> tuple[str, ...]:
        """Names of the machines that the training is priced for, that of the objective first."""
        if self.training_machine is None:
            return self.inference_machines
        return (self.training_machine, *self.other_training_machines)

    @property
    def machines(self) -> tuple[str, ...]:
        """Names of all machines, those of the inference first."""
        return tuple(dict.fromkeys((*self.inference_machines, *self.training_machines)))

    def machines_of(self, inference: str | None = None) -> dict[PhaseName, str]:
        """Return the machine of each phase in the objective.

        Parameters
        ----------
        inference
            The machine of the inference; None for that of the study's objective. A training on
            another machine is that of the same machine, if the training is priced for it.
        """
        machine = self.machine if inference is None else inference
        trained_on = self.training_machines[0]
        if machine != self.machine and machine in self.training_machines:
            trained_on = machine
        return {"training": trained_on, "inference": machine}


class Prediction(BaseModel):
    """Costs and score expected of a topology before it is tried.

    Nine in ten predictions are within their errors. Predictions of studies before
    ``powerml.study/4`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cost_ratios: CostRatios = Field(description="cost of each phase, relative to the reference's")
    cost_errors: CostRatios = Field(description="error of each cost, relative to the cost")
    score: FiniteFloat | None = Field(default=None, description="score; null if it is not known")
    score_error: NonNegativeFloat | None = Field(
        default=None, description="error of the score, absolute"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = by_phase(content, "cost_ratios", "{}_cost_ratio")
        return by_phase(content, "cost_errors", "{}_error")

    @property
    def parameters(self) -> None:
        """The number of weights and biases, which is not predicted."""

    @property
    def memory(self) -> None:
        """The memory, which is not predicted."""


class _StateRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Complete(_StateRecord):
    """A trial that was counted and trained."""

    name: Literal["complete"] = Field(default="complete", description="the state's name")


class Pruned(_StateRecord):
    """A trial that was not trained to its end, nor counted if its size already ruled it out."""

    name: Literal["pruned"] = Field(default="pruned", description="the state's name")
    reason: str = Field(description="reason why it was not trained to its end")
    score: FiniteFloat | None = Field(
        default=None, description="score when its training was ended; null if it had none"
    )


class Failed(_StateRecord):
    """A trial whose counting or training failed."""

    name: Literal["failed"] = Field(default="failed", description="the state's name")
    reason: str = Field(description="error")


class Repeated(_StateRecord):
    """A trial of the same topology as an earlier one, whose results it has."""

    name: Literal["repeated"] = Field(default="repeated", description="the state's name")
    trial: int = Field(ge=1, description="number of the trial that met the topology first")
    outcome: Annotated[Complete | Pruned, Field(discriminator="name")] = Field(
        description="state of that trial"
    )


State = Annotated[Complete | Repeated | Pruned | Failed, Field(discriminator="name")]


class TrialRecord(Tabular, BaseModel):
    """One proposed topology, with its outcome.

    Trials of studies before ``powerml.study/4`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1, description="place among the trials of the study")
    topology: str = Field(description="as in dffr:layers=2,width=16")
    batch_size: int = Field(description="samples in a batch of the training")
    values: dict[str, Value] | None = Field(
        default=None, description="parameters of a user's own space, in their order; else null"
    )
    state: State = Field(description="state, with its details")
    parameters: int | None = Field(default=None, ge=1, description="weights and biases")
    memory: Memory | None = Field(
        default=None,
        description="bytes that its untrained network takes where it is deployed; null if nothing "
        "is deployed, if it was ruled out before, and in earlier records",
    )
    objective: float | None = Field(default=None, description="objective value")
    score: float | None = Field(
        default=None, description="score on the split that chooses, by the study's metric"
    )
    score_deviation: NonNegativeFloat | None = Field(
        default=None,
        description="standard deviation of its trainings' scores; null for fewer than two",
    )
    cost_ratios: CostRatios = Field(
        default_factory=dict,
        description="cost of each phase, relative to the reference's; empty if none is known",
    )
    measurement: Measurement | None = Field(
        default=None, description="counts and costs; null if it was not counted"
    )
    predicted: Prediction | None = Field(
        default=None, description="prediction of the cost model; null without one"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return with_state(by_phase(content, "cost_ratios", "{}_cost_ratio"))

    @property
    def outcome(self) -> Complete | Pruned | Failed:
        """State of the trial, or of the trial that it repeats."""
        return self.state.outcome if self.state.name == "repeated" else self.state

    def _table(self) -> RecordTable:
        return table_of(f"trial {self.number}", [_trial_cells(self)])


def _trial_cells(trial: TrialRecord) -> dict[str, Cell]:
    """Return what is known of a trial by column."""
    outcome = trial.outcome
    return {
        "trial": trial.number,
        "topology": trial.topology,
        "batch_size": trial.batch_size,
        "state": trial.state.name,
        "score": trial.score,
        "score_deviation": trial.score_deviation,
        **{f"{phase}_cost_ratio": trial.cost_ratios.get(phase) for phase in PHASES},
        "objective": trial.objective,
        "parameters": trial.parameters,
        "needed_bytes": None if trial.memory is None else trial.memory.needed_bytes,
        "remark": None if outcome.name == "complete" else outcome.reason,
    }


class RunRecord(BaseModel):
    """One run of a study, up to `trials` trials, with `jobs` of them under way at once.

    Proposals depend on `jobs`, so a repetition needs the same number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int = Field(ge=1)
    trials: int = Field(ge=1)


class Winner(BaseModel):
    """A trial that meets a study's goal, with its models' test score and export.

    `test_score` is the score on the test split, averaged over the `score_seeds`
    trainings. `exported` is the deployed model in the study's folder. `export_difference` is the
    largest absolute difference of its outputs from the trained network's on test samples. Both are
    None if Keras runs the inference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: TrialRecord = Field(description="trial that won")
    test_score: FiniteFloat = Field(
        description="score on the test split, averaged over the trainings"
    )
    exported: str | None = Field(
        default=None, description="deployed model in the study's folder; null where Keras runs it"
    )
    export_difference: NonNegativeFloat | None = Field(
        default=None,
        description="largest absolute difference of its outputs from the trained network's",
    )


class StudyRecord(Tabular, BaseModel):
    """A finished study. JSON: ``powerml.study/5``.

    `best` is None where no trial is feasible; `least_infeasible` is then given.
    `test_score`, `exported` and `export_difference` are those of the best, as in `Winner`. A study
    of the front has no best: `front` holds its members. `remark` says so where the weights prefer
    an inaccurate network. `reference` is None if the first trial is the reference. Its measurement
    has its `score` on the split that chooses the best; `reference_test_score` is that on the test
    split. Records of ``powerml.study/2``, ``/3`` and ``/4`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.study/5"] = Field(
        default="powerml.study/5", alias="schema", description="name and version of the schema"
    )
    folder: str = Field(description="folder of the study")
    settings: StudySettings = Field(description="settings of the study")
    reference: Measurement | None = Field(
        description="measurement of the reference; null where the first trial is the reference"
    )
    reference_test_score: FiniteFloat | None = Field(
        default=None, description="the reference's score on the test split"
    )
    trials: list[TrialRecord] = Field(description="trials in the order in which they ended")
    best: TrialRecord | None = Field(
        description="the best trial; null where none is feasible, or a front is searched"
    )
    least_infeasible: TrialRecord | None = Field(
        default=None, description="the least infeasible trial, where none is feasible"
    )
    test_score: FiniteFloat | None = Field(
        default=None, description="the best's score on the test split"
    )
    exported: str | None = Field(
        default=None, description="the best's deployed model in the study's folder"
    )
    export_difference: NonNegativeFloat | None = Field(
        default=None,
        description="largest absolute difference of its outputs from the trained network's",
    )
    front: list[Winner] = Field(
        default_factory=list, description="members of the Pareto front, where it is searched"
    )
    remark: str | None = Field(
        default=None, description="a warning where the weights prefer an inaccurate network"
    )
    seconds: NonNegativeFloat = Field(description="seconds that the run took")

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = of_schema(content, "powerml.study", (2, 3, 4), 5)
        return renamed(content, {"nearest": "least_infeasible"})

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        settings = self.settings
        best = None if self.best is None else f"the best is trial {self.best.number}"
        return table_of(
            f"study of {settings.space} on {settings.data}",
            [_trial_cells(trial) for trial in self.trials],
            [one for one in (best, self.remark) if one is not None],
        )


class LeaderComparison(BaseModel):
    """The best compared with the trial that leads in one quantity.

    Comparisons of ``powerml.best/2`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: Quantity = Field(description="quantity in which the other trial leads")
    trial: int = Field(description="the other trial's number")
    topology: str = Field(description="the other trial's topology")
    batch_size: int = Field(description="the other trial's batch size")
    score_difference: float = Field(description="score of the best minus the other's")
    cost_factors: CostRatios = Field(
        description="cost of each phase of the best, divided by the other's"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return by_phase(content, "cost_factors", "{}_cost_factor")
