"""Records of a study: its settings, its trials, and the study as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.cost import Accesses
from powerml.counts import Fidelity
from powerml.limits import Limits
from powerml.measurement import Measurement
from powerml.workload import Deployment, Protocol

__all__ = ["StudyRecord", "StudySettings", "TrialRecord", "Winner"]


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


class TrialRecord(BaseModel):
    """One proposed topology, and what became of it.

    `parameters` is the number of weights and biases. The costs are relative to the reference's.
    `pruned` says why a trial was not trained: its size or its costs ruled it out. It has no score
    and no objective, and where its size did, no measurement. `repeats` is the number of the trial
    that met the topology first, where this one was not measured again. `failure` says why a trial
    has no measurement. Everything that a trial lacks is None.
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


class Winner(BaseModel):
    """A trial that a study was looking for, with what became of its models.

    `test_score` is the accuracy on the test split, from 0 to 1, averaged over the `score_seeds`
    trainings. `exported` is the deployed model in the study's folder, and `export_difference` the
    largest absolute difference of its outputs from the Keras model's on test images; both are
    None where Keras is what runs the inference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: TrialRecord
    test_score: float = Field(ge=0, le=1)
    exported: str | None = None
    export_difference: NonNegativeFloat | None = None


class StudyRecord(BaseModel):
    """A finished study. JSON: ``powerml.study/2``.

    `best` is None where no trial obeys the limits; `nearest` is then the one that comes nearest.
    `test_score`, `exported` and `export_difference` are those of the best, as in `Winner`. A study
    of the front has no best: `front` holds its members. `reference` is None where the first trial
    is the reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.study/2"] = Field(default="powerml.study/2", alias="schema")
    folder: str
    settings: StudySettings
    reference: Measurement | None
    trials: list[TrialRecord]
    best: TrialRecord | None
    nearest: TrialRecord | None = None
    test_score: float | None = Field(default=None, ge=0, le=1)
    exported: str | None = None
    export_difference: NonNegativeFloat | None = None
    front: list[Winner] = Field(default_factory=list)
    seconds: NonNegativeFloat

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)
