"""Searching a user's own space: its code is run for each member, which decides its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.samplers import BaseSampler
from optuna.trial import Trial as OptunaTrial

from powerml.costs.choice_terms import TrialChoices
from powerml.costs.cost_model import OPERATIONS, CostModel, Demand
from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement
from powerml.errors import (
    LONGEST_MESSAGE,
    ModelError,
    SpaceError,
    TopologyError,
    UnknownNameError,
    shortened,
)
from powerml.machines import PhaseMachines
from powerml.networks.own_training import (
    BATCH_SIZE,
    DEFAULT_BATCH_SIZE,
    batch_size_of,
    look_at,
    make_own_workload,
)
from powerml.operations import Operation, operations_of
from powerml.samplers import (
    CandidateCosts,
    Choose,
    Drawn,
    Quantities,
    Requirements,
    StudyKnowledge,
    make_sampler,
)
from powerml.search.known_costs import CONFIDENCE
from powerml.search.problem import FIRST, Problem, Proposal, SearchedWorkload
from powerml.search.proposals import aimed_score, score_range_of
from powerml.search.trained_epochs import TrainedEpochs
from powerml.spaces.from_file import OwnSpace
from powerml.spaces.trial import (
    Answer,
    Choices,
    Domain,
    Floats,
    Integers,
    Trial,
    answers_of,
    middle_of,
    named,
)
from powerml.spaces.values import ParameterValues, Value, read_values, written
from powerml.studies.folder import Study
from powerml.studies.goal import objective_of
from powerml.studies.limits import RatioLimits
from powerml.studies.records import Prediction, StudySettings, TrialRecord
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial, OwnWorkload

__all__ = ["OwnProblem", "OwnProposals", "choices_of", "distribution_of", "own_reference"]

Array = NDArray[np.float64]
# Networks that are built before a search to look into other branches: each takes up to 0.1 s.
MOST_BRANCHES = 16


def distribution_of(domain: Domain) -> BaseDistribution:
    """Return a domain as Optuna's distribution."""
    if isinstance(domain, Integers):
        return IntDistribution(domain.low, domain.high, domain.log, domain.step)
    if isinstance(domain, Floats):
        return FloatDistribution(domain.low, domain.high, domain.log, domain.step)
    return CategoricalDistribution(domain.choices)


def domain_of(distribution: BaseDistribution) -> Domain | None:
    """Return the domain of a distribution of Optuna's, None for those that no domain has."""
    if isinstance(distribution, IntDistribution):
        return Integers(distribution.low, distribution.high, distribution.step, distribution.log)
    if isinstance(distribution, FloatDistribution):
        return Floats(distribution.low, distribution.high, distribution.step, distribution.log)
    if isinstance(distribution, CategoricalDistribution):
        return Choices(tuple(distribution.choices))
    return None


def answers_by(trial: OptunaTrial) -> Answer:
    """Answer as a trial of Optuna's suggests.

    The answer raises ``TopologyError`` where another trial of the study asked for another kind.
    """

    def answer(name: str, domain: Domain) -> Value:
        try:
            return suggested(name, domain)
        except ValueError as error:
            before = _asked_before(trial, name, distribution_of(domain))
            if before is None:
                raise
            raise _two_kinds(name, domain, before) from error

    def suggested(name: str, domain: Domain) -> Value:
        if isinstance(domain, Integers):
            return trial.suggest_int(
                name, domain.low, domain.high, step=domain.step, log=domain.log
            )
        if isinstance(domain, Floats):
            return domain.rounded(
                trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
            )
        chosen: Value = trial.suggest_categorical(name, domain.choices)
        return chosen

    return answer


def _asked_before(trial: OptunaTrial, name: str, distribution: BaseDistribution) -> Domain | None:
    """Return a parameter's domain in an earlier trial that Optuna takes for another parameter's.

    None if all are alike.
    """
    for one in trial.study.get_trials(deepcopy=False):
        known = one.distributions.get(name)
        if known is not None and not _are_alike(known, distribution):
            return domain_of(known)
    return None


def own_reference(space: OwnSpace, wanted: str | None, dataset: Dataset, epochs: int) -> str:
    """Write the reference of a study: ``first``, or the values of a network of the space.

    By default it is that of the space's file, or else the middle of the space.

    Raises
    ------
    SpaceError
        The space's code failed, or the network does not fit the data.
    TopologyError, UnknownNameError
        The values are not those of a network of the space.
    """
    if wanted == FIRST:
        return FIRST
    given = space.reference if wanted is None else _values_in(wanted)
    holder = f"reference of {space.code.main}" if wanted is None else None
    answer = middle_of if given is None else answers_of(given, space.name, holder)
    trial = look_at(space, dataset, answer, epochs).trial
    if not trial.params:
        raise SpaceError(
            f"build of {space.code.main} suggests nothing: ask for a parameter, as in "
            'trial.suggest_int("units", 4, 64)'
        )
    if unknown := [name for name in given or {} if name not in trial.params]:
        whose = space.name if holder is None else f"{space.name} in its reference"
        raise UnknownNameError(f"parameter of {whose}", str(unknown[0]), trial.params)
    _require_one_kind_each(space, dataset, epochs, trial)
    return f"{space.name}:{named(trial.params)}"


def _require_one_kind_each(
    space: OwnSpace, dataset: Dataset, epochs: int, reference: Trial
) -> None:
    """Refuse a name of two kinds, by networks that differ from the reference in one choice.

    Raises
    ------
    SpaceError
        Two networks ask for one name in two ways, of which Optuna takes the first alone.
    """
    known = reference.domains
    others = [
        (name, choice)
        for name, domain in known.items()
        if isinstance(domain, Choices)
        for choice in domain.choices
        if choice != reference.params[name]
    ]
    for changed, choice in others[:MOST_BRANCHES]:
        refused = False

        def answer(
            name: str, domain: Domain, changed: str = changed, choice: Value = choice
        ) -> Value:
            nonlocal refused
            before = known.setdefault(name, domain)
            if not _are_alike(distribution_of(before), distribution_of(domain)):
                refused = True
                raise _two_kinds(name, domain, before)
            wanted = choice if name == changed else reference.params.get(name)
            return wanted if wanted in domain else middle_of(name, domain)

        try:
            look_at(space, dataset, answer, epochs)
        except SpaceError:
            if refused:
                raise


def _are_alike(known: BaseDistribution, distribution: BaseDistribution) -> bool:
    """Return whether Optuna takes two distributions for those of one parameter."""
    try:
        check_distribution_compatibility(known, distribution)
    except ValueError:
        return False
    return True


def _two_kinds(name: str, domain: Domain, before: Domain) -> TopologyError:
    return TopologyError(
        f"{name} is {domain}, and in another network {before}: give each a name of its own"
    )


def _values_in(text: str) -> dict[str, Value]:
    """Read the values of ``mine:units=16``, ``mine.py:Name:units=16`` or ``units=16``."""
    before, equals, after = text.partition("=")
    return read_values(before.rpartition(":")[2] + equals + after)


@dataclass(frozen=True)
class _Member:
    """A network of the space: its operations, None where they cannot be read, and its size.

    `choices` are those of its categorical parameters.
    """

    operations: tuple[Operation, ...] | None
    parameters: int
    batch_size: int
    choices: TrialChoices


class OwnProblem(Problem):
    """The problem of a study of a user's own space.

    Parameters
    ----------
    space
        The space.
    files
        Its code, by the path from its folder.
    dataset, machines, settings
        The data, the machines that price it, and the study's settings.
    """

    def __init__(
        self,
        space: OwnSpace,
        files: Mapping[str, bytes],
        dataset: Dataset,
        machines: PhaseMachines,
        settings: StudySettings,
    ) -> None:
        super().__init__(dataset, machines, settings)
        self.space = space
        self._material = OwnMaterial(space, dataset, files)
        self._members: dict[str, _Member] = {}

    @property
    def material(self) -> OwnMaterial:
        """The space with the data."""
        return self._material

    def propose(self, study: Study, sampler: BaseSampler) -> Proposal:
        """Have a sampler choose the next network while its code asks, and make its workload."""
        trial, _ = study.ask(None, sampler)
        answer = answers_by(trial)
        values: dict[str, Value] = {}  # as the code got them: Optuna's are not rounded

        def answered(name: str, domain: Domain) -> Value:
            values[name] = answer(name, domain)
            return values[name]

        try:
            workload, built = self._workload(answered)
        except SpaceError as error:
            return Proposal(
                trial,
                f"{self.space.name}:{named(values)}",
                _size_of(values),
                failure=shortened(str(error), LONGEST_MESSAGE),
                values=values,
            )
        self._members[workload.name] = _member(built.model, built.trial, built.parameters, self)
        return Proposal(
            trial,
            workload.name,
            workload.batch_size,
            workload,
            built.parameters,
            values=workload.values,
        )

    def reference_workload(self) -> OwnWorkload | None:
        """Make the reference's workload, or None if the first trial is the reference."""
        if self.settings.reference == FIRST:
            return None
        workload, built = self._workload(answers_of(self.reference_values, self.space.name))
        self._members[workload.name] = _member(built.model, built.trial, built.parameters, self)
        return workload

    def usual_workload(self) -> OwnWorkload:
        """Make the reference's workload, or that of the middle of the space."""
        return self.reference_workload() or self._workload(middle_of)[0]

    def epochs_of(self, workload: SearchedWorkload) -> int | None:
        """Return the epochs of a training; None where the space has a `train` of its own."""
        return super().epochs_of(workload) if self.space.train is None else None

    @property
    def reference_values(self) -> dict[str, Value]:
        """The parameters of the reference."""
        return read_values(self.settings.reference.partition(":")[2])

    def member(self, name: str, values: ParameterValues) -> _Member | None:
        """Return what is known of a network; None where its code fails."""
        if name not in self._members:
            drawn = self.look(answers_of(values, self.space.name))
            if drawn is None:
                return None
            self._members[name] = drawn[1]
        return self._members[name]

    def look(self, answer: Answer) -> tuple[Trial, _Member] | None:
        """Build a network to look at it; None where its code fails."""
        try:
            built = look_at(self.space, self.dataset, answer, self.settings.epochs)
            name = f"{self.space.name}:{named(built.trial.params)}"
            if name not in self._members:
                self._members[name] = _member(built.model, built.trial, built.parameters, self)
        except SpaceError:
            return None
        return built.trial, self._members[name]

    def _workload(self, answer: Answer) -> tuple[OwnWorkload, Any]:
        settings = self.settings
        return make_own_workload(
            self.space,
            self.dataset,
            answer,
            epochs=settings.epochs,
            protocol=settings.protocol,
            backend=settings.backend,
            validation=settings.validation,
            seed=settings.seed,
            deployment=settings.deployment,
            metric=None if self.space.score is not None else settings.metric,
        )


def _size_of(values: ParameterValues) -> int:
    found = values.get(BATCH_SIZE)
    return found if isinstance(found, int) and found > 0 else DEFAULT_BATCH_SIZE


def _member(model: Any, trial: Trial, parameters: int, problem: OwnProblem) -> _Member:
    try:
        operations: tuple[Operation, ...] | None = operations_of(model, problem.dataset.input_shape)
    except ModelError:  # costs are then learned from the trials alone
        operations = None
    return _Member(operations, parameters, batch_size_of(trial.params), choices_of(trial))


def choices_of(trial: Trial) -> dict[str, str]:
    """Return the choices of a trial's categorical parameters, as texts."""
    return {
        name: written(value)
        for name, value in trial.params.items()
        if isinstance(trial.domains[name], Choices)
    }


class OwnProposals:
    """The proposer of a study's networks, which learns from each measurement.

    Parameters
    ----------
    problem
        The problem that is searched.
    """

    def __init__(self, problem: OwnProblem) -> None:
        self._problem = problem
        self._model: CostModel | None = None
        self._epochs = TrainedEpochs()
        reference = problem.reference_workload()
        if reference is not None:
            self._learn(reference, dict.fromkeys(PHASES, 1.0))

    def learn(self, trial: TrialRecord, unit: Measurement | None) -> None:
        """Learn from a trial that has ended, with costs relative to those of a unit."""
        if not trial.cost_ratios or trial.state.name == "repeated" or trial.measurement is None:
            return
        workload = trial.measurement.workload
        if workload.kind == "own":
            self._learn(workload, self._epochs.evened(trial, unit))

    def _learn(self, workload: OwnWorkload, ratios: Mapping[Any, float]) -> None:
        member = self._problem.member(workload.name, workload.values)
        if member is None or member.operations is None:
            return
        if self._model is None:
            self._model = CostModel(Demand.of(workload), OPERATIONS)
        self._model.learn(member.operations, workload.batch_size, ratios, member.choices)

    def predict(self, proposal: Proposal) -> Prediction | None:
        """Predict the costs of a network; None where nothing is known yet."""
        if proposal.values is None or proposal.workload is None or self._model is None:
            return None
        member = self._problem.member(proposal.topology, proposal.values)
        if member is None or member.operations is None:
            return None
        sums = OPERATIONS.sums(member.operations)[None]
        ratios, errors = {}, {}
        for phase in PHASES:
            sizes = np.array([float(proposal.batch_size)])
            predicted = self._model.predict(phase, sums, sizes, [member.choices])
            bound = self._model.fit(phase).bound(predicted.error, CONFIDENCE)
            ratios[phase], errors[phase] = float(predicted.cycles[0]), float(bound[0])
        return self._epochs.expected(Prediction(cost_ratios=ratios, cost_errors=errors))

    def sampler(
        self, earlier_trials: int, limits: RatioLimits, reference: Measurement | None
    ) -> BaseSampler:
        """Make the sampler of the next network, with the current limits."""
        settings = self._problem.settings
        aimed, margin = aimed_score(settings, limits, reference), settings.limits.score_margin
        least = aimed if aimed is None or margin is None else aimed - margin
        known = StudyKnowledge(
            objective=None if settings.pareto else objective_of(settings, least),
            requirements=Requirements(
                max_costs=dict(limits.max_cost_ratios.items()), min_score=aimed
            ),
            measured_before=self._measured_before(reference),
            draw=self._draw,
            costs_of_drawn=self._costs,
            admits_drawn=partial(_small_enough, limits.max_parameters),
            score_range=score_range_of(settings),
        )
        return make_sampler(
            settings.sampler, settings.startup_trials, settings.seed, earlier_trials, known
        )

    def _measured_before(
        self, reference: Measurement | None
    ) -> list[tuple[Mapping[str, Any], Quantities]]:
        """Return the reference where the search aims at the best score that was seen."""
        if self._problem.settings.limits.score_margin is None or reference is None:
            return []
        found = Quantities(dict.fromkeys(PHASES, 1.0), reference.score)
        return [(self._problem.reference_values, found)]

    def _draw(self, choose: Choose) -> Drawn | None:
        def answer(name: str, domain: Domain) -> Value:
            chosen: Value = choose(name, distribution_of(domain))
            if isinstance(domain, Floats) and isinstance(chosen, float):
                return domain.rounded(chosen)
            return chosen

        looked = self._problem.look(answer)
        if looked is None:
            return None
        trial, member = looked
        distributions = {name: distribution_of(one) for name, one in trial.domains.items()}
        return Drawn(trial.params, distributions, member)

    def _costs(self, drawn: Sequence[Drawn]) -> CandidateCosts | None:
        members = [one.structure for one in drawn]
        if self._model is None or len(self._model) == 0:
            return None
        sums, sizes, choices = [], [], []
        for one in members:
            if not isinstance(one, _Member) or one.operations is None:
                return None
            sums.append(OPERATIONS.sums(one.operations))
            sizes.append(float(one.batch_size))
            choices.append(one.choices)
        found = {
            phase: self._model.predict(phase, np.array(sums), np.array(sizes), choices)
            for phase in PHASES
        }
        return self._epochs.expected_of_candidates(
            CandidateCosts(
                {phase: one.cycles for phase, one in found.items()},
                {phase: one.error for phase, one in found.items()},
            )
        )


def _small_enough(max_parameters: int | None, drawn: Sequence[Drawn]) -> NDArray[np.bool_]:
    """Select the members with few enough parameters."""
    kept = [
        max_parameters is None
        or not isinstance(one.structure, _Member)
        or one.structure.parameters <= max_parameters
        for one in drawn
    ]
    return np.array(kept, dtype=bool)
