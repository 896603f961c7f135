"""Comparing two models, records or trials of studies: what makes the difference of their costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from powerml.costs.fingerprint import differences
from powerml.errors import ComparisonError, MachineError, UsageError
from powerml.explain.comparison import compare_profiles, pricing_differences, repriced_profile
from powerml.explain.phases import kept_phases, phases_of, require_phases
from powerml.explain.profile import profile
from powerml.explain.profile_record import Comparison, Profile
from powerml.explain.sides import Side, read_side
from powerml.machines import (
    TRAINING_PHASES,
    Machine,
    load_machine,
    machine_names,
)
from powerml.measuring.objects import is_module, is_topology
from powerml.measuring.options import MeasureOptions
from powerml.options import described
from powerml.progress import Notify, silent

__all__ = ["compare"]


@described(MeasureOptions)
def compare(
    before: Any,
    after: Any,
    *,
    example_inputs: Any = None,
    phases: Sequence[str] = (),
    options: MeasureOptions | None = None,
    notify: Notify = silent,
    **given: Any,
) -> Comparison:
    """Compare the costs of two models: which nodes, libraries and functions make the difference.

    Models are profiled now, with the same options. Options that are not given are those of the
    study or the record that is compared, the first one's for the machine and its price. A record
    is priced again where it can be, to be priced as the other side is.

    Parameters
    ----------
    before, after
        A topology, the path of a ``.keras``, ``.onnx`` or ``.tflite`` file, or a built
        ``keras.Model``. Or a record of
        ``powerml profile --json`` or ``powerml measure --json``, as a path that ends in ``.json``
        or as an object. Or a trial of a study, as in ``STUDY:3``, ``STUDY:best``,
        ``STUDY:reference``. Or a ``torch.nn.Module``.
    example_inputs
        A tensor or a tuple of tensors, with which each ``torch.nn.Module`` is called.
    phases
        Names of the phases to compare; all that both have if none is given.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    ComparisonError
        The counts were not made alike, are not priced alike, or are of other phases.
    UsageError
        What was asked for cannot be done; nothing was started.
    LimitError
        No trial meets the limits of the study whose best is asked for.
    MeasurementError
        The counting failed.

    Examples
    --------
    >>> compared = powerml.compare("measured.json", "measured.json")
    >>> compared.phases[-1].name, compared.phases[-1].difference_cycles
    ('inference', 0.0)
    """
    wanted = MeasureOptions.of_call("compare", options, given)
    sides = read_side(before), read_side(after)
    if example_inputs is not None and not any(is_module(side.model) for side in sides):
        raise UsageError("example_inputs are for a torch.nn.Module: leave them out")
    for side in sides:
        require_phases(phases, _phases_of(side, sides, wanted), side.name)
    first, second = _priced_alike(
        [_profile_of(side, sides, wanted, notify, example_inputs) for side in sides], wanted
    )
    if any(side.profile is not None for side in sides):
        _require_counted_alike(first, second)
    compared = compare_profiles(first, second)
    remarks = [*compared.remarks, *(remark for side in sides for remark in side.remarks)]
    return kept_phases(compared.model_copy(update={"remarks": remarks}), phases)


def _phases_of(side: Side, sides: tuple[Side, Side], wanted: MeasureOptions) -> Sequence[str]:
    """Return the names of the phases that a side has, or can have if it is profiled now."""
    if side.profile is not None:
        return [phase.name for phase in side.profile.phases]
    return phases_of(side.model, _options_of(side, sides, wanted))


def _profile_of(
    side: Side,
    sides: tuple[Side, Side],
    wanted: MeasureOptions,
    notify: Notify,
    example_inputs: Any,
) -> Profile:
    """Return the profile of a side, under the name that it was given."""
    found = side.profile
    if found is None:
        options = _options_of(side, sides, wanted)
        inputs = example_inputs if is_module(side.model) else None
        found = profile(side.model, example_inputs=inputs, options=options, notify=notify)
    return found.model_copy(update={"title": side.name})


def _options_of(side: Side, sides: tuple[Side, Side], wanted: MeasureOptions) -> MeasureOptions:
    """Return the options that a side is profiled with.

    Raises
    ------
    MachineError
        The machine of the study or the record is the user's own, and its profile is not given.
    """
    asked = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    pricing = next((one.pricing for one in sides if one.pricing), {})
    workload = side.workload
    if not workload and is_topology(side.model):
        workload = next((one.workload for one in sides if one.workload), {})
    if "machine" in pricing and not {"machine", "machine_file"} & set(asked):
        _machine_named(pricing["machine"], wanted)
    return MeasureOptions(**{**workload, **pricing, **asked})


def _machine_named(name: str, wanted: MeasureOptions) -> Machine:
    """Return a machine of powerML's or of the given files; raises ``MachineError``."""
    if name in machine_names():
        return load_machine(name)
    own = [machine for machine in wanted.profiles() if machine.name == name]
    if not own:
        raise MachineError(
            f"the machine {name} is none of powerML's: give its profile with --machine-file "
            f"{name}.toml"
        )
    return own[0]


def _priced_alike(profiles: list[Profile], wanted: MeasureOptions) -> list[Profile]:
    """Return profiles that are priced by the options, or as the first one is.

    Raises
    ------
    ComparisonError
        One cannot be priced again.
    """
    told: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("price", "accesses", "levels")
        if name in wanted.model_fields_set
    }
    if {"machine", "machine_file"} & wanted.model_fields_set:
        told["machine"] = wanted.profiles()[0].name
    like = profiles[0].model_copy(update=told)
    return [
        repriced_profile(one, _machine_named(like.machine, wanted), like)
        if pricing_differences(one, like)
        else one
        for one in profiles
    ]


def _require_counted_alike(before: Profile, after: Profile) -> None:
    """Refuse profiles with different fingerprints; raises ``ComparisonError``."""
    pairs = [(before.fingerprint, after.fingerprint)]
    if all(_has_training(one) for one in (before, after)):
        pairs.append(
            (
                before.training_fingerprint or before.fingerprint,
                after.training_fingerprint or after.fingerprint,
            )
        )
    for one, other in pairs:
        if found := differences(one, other):
            raise ComparisonError.quoting(
                "the counts were not made alike and must not be compared: they differ",
                f"in {'; '.join(found)}",
                "give both models, which are then profiled now",
            )


def _has_training(profiled: Profile) -> bool:
    return any(phase.name in TRAINING_PHASES for phase in profiled.phases)
