"""Records of a study: its settings, its trials, and the study as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.costs.cost import Accesses
from powerml.costs.counts import Fidelity
from powerml.costs.measurement import Measurement
from powerml.studies.limits import Limits
from powerml.workloads.workload import Deployment, Protocol

__all__ = [
    "Comparison",
    "Prediction",
    "Quantity",
    "RunRecord",
    "StudyRecord",
    "StudySettings",
    "TrialRecord",
    "Winner",
]

Quantity = Literal["score", "training_cost", "inference_cost"]


class StudySettings(BaseModel):
    """What a study is; two runs with the same settings do the same trials.

    `reference` is the topology by which costs are normalised, with its batch size as in
    ``dffr:layers=5,width=10 batch 64``, or ``first`` for the first trial. `objective` names the
    function that is made small; it is that of `machine`, and `other_machines` are priced too.
    `profiles_digest` is the SHA-256 of their profiles. What is reported as the best obeys the
    `limits`. With `pareto` the front of score and costs is searched, and the weights only stand
    by for ``powerml best``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    data: str
    data_digest: str
    validation: float
    alpha: float
    beta: float
    objective: str = "squared"
    limits: Limits = Limits()
    pareto: bool = False
    epochs: int
    protocol: Protocol
    machine: str
    other_machines: tuple[str, ...] = ()
    profiles_digest: str
    levels: Literal[2, 3] = 2
    accesses: Accesses
    deployment: Deployment | None = None
    reference: str
    sampler: str = "tpe"
    startup_trials: int
    score_seeds: int
    seed: int
    meter: str
    fidelity: Fidelity
    error: float
    backend: str


class Prediction(BaseModel):
    """What a topology is expected to cost and to score before it is tried.

    The costs are relative to the reference's, and their errors relative too; that of the score is
    absolute. Nine in ten predictions are no further off. The score may be None: not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_cost_ratio: NonNegativeFloat
    training_error: NonNegativeFloat
    inference_cost_ratio: NonNegativeFloat
    inference_error: NonNegativeFloat
    score: float | None = Field(default=None, ge=0, le=1)
    score_error: NonNegativeFloat | None = None

    @property
    def parameters(self) -> None:
        """How many weights and biases it has is not predicted."""


class TrialRecord(BaseModel):
    """One proposed topology, and what became of it.

    `parameters` is the number of weights and biases. The costs are relative to the reference's.
    `pruned` says why a trial was not trained: its size or its costs ruled it out. It has no score
    and no objective, and where its size did, no measurement. `repeats` is the number of the trial
    that met the topology first, where this one was not measured again. `failure` says why a trial
    has no measurement. `predicted` is what the cost model expected. Everything that a trial lacks
    is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    topology: str
    batch_size: int
    parameters: int | None = Field(default=None, ge=1)
    objective: float | None = None
    score: float | None = None
    training_cost_ratio: NonNegativeFloat | None = None
    inference_cost_ratio: NonNegativeFloat | None = None
    measurement: Measurement | None = None
    pruned: str | None = None
    repeats: int | None = None
    failure: str | None = None
    predicted: Prediction | None = None


class RunRecord(BaseModel):
    """One run of a study: it was to bring it to `trials` trials, `jobs` of them under way at once.

    What is proposed depends on `jobs`, so a study is only repeated with the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int = Field(ge=1)
    trials: int = Field(ge=1)


class Winner(BaseModel):
    """A trial that a study was looking for, with what became of its models.

    `test_score` is the accuracy on the test split, from 0 to 1, averaged over the `score_seeds`
    trainings. `exported` is the deployed model in the study's folder, and `export_difference` the
    largest absolute difference of its outputs from the Keras model's on test samples; both are
    None where Keras is what runs the inference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: TrialRecord
    test_score: float = Field(ge=0, le=1)
    exported: str | None = None
    export_difference: NonNegativeFloat | None = None


class StudyRecord(BaseModel):
    """A finished study. JSON: ``powerml.study/3``.

    `best` is None where no trial obeys the limits; `nearest` is then the one that comes nearest.
    `test_score`, `exported` and `export_difference` are those of the best, as in `Winner`. A study
    of the front has no best: `front` holds its members. `remark` says so where the weights prefer
    an inaccurate network. `reference` is None where the first trial is the reference; its own score
    on the split that chooses the best is the `score` of its measurement, that on the test split
    `reference_test_score`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.study/3"] = Field(default="powerml.study/3", alias="schema")
    folder: str
    settings: StudySettings
    reference: Measurement | None
    reference_test_score: float | None = Field(default=None, ge=0, le=1)
    trials: list[TrialRecord]
    best: TrialRecord | None
    nearest: TrialRecord | None = None
    test_score: float | None = Field(default=None, ge=0, le=1)
    exported: str | None = None
    export_difference: NonNegativeFloat | None = None
    front: list[Winner] = Field(default_factory=list)
    remark: str | None = None
    seconds: NonNegativeFloat

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)


class Comparison(BaseModel):
    """The best against the trial that is best in one quantity alone.

    The differences are the best's: its score less the other's, its costs by the other's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: Quantity
    trial: int
    topology: str
    batch_size: int
    score_difference: float
    training_cost_factor: NonNegativeFloat
    inference_cost_factor: NonNegativeFloat
