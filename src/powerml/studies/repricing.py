"""A study under another price than it was searched with: its counts are priced again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from powerml.costs.cost import PriceName, require_price
from powerml.costs.measurement import Measurement, reprice
from powerml.errors import MachineError
from powerml.machines import (
    Machine,
    PhaseMachines,
    load_machine,
    load_machine_file,
    machine_names,
)
from powerml.studies.goal import cost_ratios, make_goal, unit_of
from powerml.studies.reader import StoredStudy, read_study
from powerml.studies.records import StudySettings, TrialRecord

__all__ = ["MachineFiles", "read_priced_study", "repriced_study"]

MachineFiles = str | Path | Sequence[str | Path]


def read_priced_study(
    folder: Path,
    by: PriceName | None = None,
    machine_file: MachineFiles = (),
    storage: str | None = None,
) -> StoredStudy:
    """Read a study's folder, with its costs by a price.

    Parameters
    ----------
    folder
        The study's folder, or its name on a server.
    by
        The price; None for the study's own.
    machine_file
        Profiles of the study's machines that are the user's own.
    storage
        The option ``--storage``.

    Raises
    ------
    StudyError
        There is no such study.
    MachineError
        A profile cannot be found, or has not what the price needs.
    """
    stored = read_study(folder, storage)
    own = _own_machines(stored.settings, machine_file)
    if by is None or by == stored.settings.price:
        return stored
    return repriced_study(stored, _machines_of(stored.settings, own), by)


def _own_machines(settings: StudySettings, machine_file: MachineFiles) -> dict[str, Machine]:
    """Read the user's profiles; raises ``MachineError`` if the study has no such machine."""
    paths = [machine_file] if isinstance(machine_file, (str, Path)) else machine_file
    own = {machine.name: machine for machine in map(load_machine_file, paths)}
    machines = settings.machines
    if others := [name for name in own if name not in machines]:
        raise MachineError(
            f"the study has no machine {others[0]}, but {', '.join(machines)}: leave out "
            "--machine-file"
        )
    return own


def _machines_of(settings: StudySettings, own: Mapping[str, Machine]) -> PhaseMachines:
    found = {}
    for name in settings.machines:
        if name not in own and name not in machine_names():
            raise MachineError(
                f"the study's machine {name} is none of powerML's: give its profile with "
                f"--machine-file {name}.toml"
            )
        found[name] = own[name] if name in own else load_machine(name)
    return PhaseMachines(
        tuple(found[name] for name in settings.inference_machines),
        tuple(found[name] for name in settings.training_machines),
    )


def repriced_study(stored: StoredStudy, machines: PhaseMachines, by: PriceName) -> StoredStudy:
    """Return a study with its costs by another price. Pure.

    Counts, scores and states stay as they are, and so do limits in cycles. Predictions are left
    out: they were of the price that it was searched with.

    Parameters
    ----------
    stored
        The study.
    machines
        The study's machines of each phase.
    by
        The price.

    Raises
    ------
    MachineError
        A profile has not what the price needs, or other caches than were simulated.
    """
    require_price(machines.all, by)

    def again(measurement: Measurement | None) -> Measurement | None:
        if measurement is None:
            return None
        return reprice(measurement, machines.inference, by, machines.training)

    settings = stored.settings.model_copy(update={"price": by})
    reference = again(stored.reference)
    counted = [
        trial.model_copy(update={"measurement": again(trial.measurement), "predicted": None})
        for trial in stored.trials
    ]
    unit = unit_of(reference, counted)

    def related(trial: TrialRecord) -> TrialRecord:
        if trial.measurement is None or unit is None:
            return trial
        return trial.model_copy(
            update={"cost_ratios": cost_ratios(trial.measurement, unit, settings.machines_of())}
        )

    trials = [related(trial) for trial in counted]
    goal = make_goal(settings, reference, trials)
    trials = [
        trial
        if trial.objective is None
        else trial.model_copy(update={"objective": goal.objective_value(trial)})
        for trial in trials
    ]
    by_number = {trial.number: trial for trial in trials}
    winners = [
        one.model_copy(update={"trial": by_number[one.trial.number]}) for one in stored.winners
    ]
    return replace(
        stored,
        settings=settings,
        reference=reference,
        trials=trials,
        winners=winners,
        searched_by=stored.searched_by or stored.settings.price,
    )
