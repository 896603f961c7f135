"""Comparison of two profiles: the rows that make their difference. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from powerml.costs.attribution import Levels, attribute, price_levels
from powerml.costs.cost import PriceName
from powerml.errors import ComparisonError
from powerml.explain.matching import compared_rows, pairs_of, remark_on_order
from powerml.explain.profile_record import (
    GROUPINGS,
    ComparedPhase,
    ComparedRow,
    Comparison,
    Grouping,
    Profile,
    ProfiledPhase,
    ProfileRow,
    check_grouping,
)
from powerml.machines import THREE_LEVELS, Machine

__all__ = [
    "compare_profiles",
    "pricing_differences",
    "repriced_profile",
]


def compare_profiles(before: Profile, after: Profile) -> Comparison:
    """Compare two profiles: by phase, and by the rows of each grouping.

    Costs are those of one inference. Rows come in descending order of their absolute difference,
    and add up to their phase's.

    Raises
    ------
    ComparisonError
        The profiles are priced for different machines or by different prices, or they have no
        phase in common.
    """
    if unlike := pricing_differences(before, after):
        raise ComparisonError(
            f"the costs are priced unlike and must not be compared; they differ in "
            f"{'; '.join(unlike)}"
        )
    names = [phase.name for phase in after.phases]
    shared = [phase.name for phase in before.phases if phase.name in names]
    if not shared:
        raise ComparisonError(
            f"{before.title} and {after.title} have no phase in common: compare two that are both "
            "run, or both trained"
        )
    remarks = [*_remarks_on_workloads(before, after), *_remarks_on_phases(before, after, shared)]
    phases = []
    for name in shared:
        phases.append(_compared_phase(before.phase(name), after.phase(name)))
    return Comparison(
        before=before.title,
        after=after.title,
        machine=before.machine,
        price=before.price,
        phases=phases,
        remarks=list(dict.fromkeys(remarks)),
    )


def pricing_differences(before: Profile, after: Profile) -> list[str]:
    """List the differences of the pricing, each as ``field: one, other``."""
    fields = ("machine", "price", "accesses", "levels")
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in fields]
    return [f"{name}: {one}, {other}" for name, one, other in pairs if one != other]


def repriced_profile(profile: Profile, machine: Machine, like: Profile) -> Profile:
    """Price a profile's counts again, as those of another are priced.

    Parameters
    ----------
    profile
        The profile. It stays as it is.
    machine
        The machine of the other, which has the same caches.
    like
        The other profile.

    Raises
    ------
    ComparisonError
        Its counts are not those that the price needs.
    MachineError
        The machine's profile has not what the price needs.
    """
    if machine.simulated_geometry != profile.fingerprint.simulated_geometry:
        raise ComparisonError(
            f"{profile.title} was counted on other caches than those of {machine.name}: profile it "
            f"again with --machine {machine.name}"
        )
    if THREE_LEVELS in (profile.levels, like.levels):
        raise ComparisonError(
            "a profile of three levels cannot be priced again: profile both with the same "
            "--machine, --price and --levels"
        )
    phases = [_repriced_phase(phase, machine, like) for phase in profile.phases]
    told = {"machine": like.machine, "price": like.price, "accesses": like.accesses}
    return profile.model_copy(update={**told, "phases": phases})


def _repriced_phase(phase: ProfiledPhase, machine: Machine, like: Profile) -> ProfiledPhase:
    by: PriceName = like.price
    whole = Levels(phase.counts)
    cost = price_levels(whole, machine, like.accesses, by)

    def again(rows: Sequence[ProfileRow]) -> list[ProfileRow]:
        parts = [Levels(row.counts) for row in rows]
        cycles = attribute(whole, parts, machine, like.accesses, by)
        priced = [
            row.model_copy(
                update={"cycles": one, "share": one / cost.cycles if cost.cycles else 0.0}
            )
            for row, one in zip(rows, cycles, strict=True)
        ]
        return sorted(priced, key=lambda row: -row.cycles)

    return phase.model_copy(
        update={
            "cycles": cost.cycles,
            "seconds": cost.seconds,
            "joules": cost.joules,
            "rows": {grouping: again(rows) for grouping, rows in phase.rows.items()},
        }
    )


def _remarks_on_workloads(before: Profile, after: Profile) -> list[str]:
    """Tell what differs in the two workloads, beside the model."""
    found = []
    one, other = before.workload.deployment, after.workload.deployment
    if one is not None and other is not None:
        if one.runtime != other.runtime:
            found.append(
                f"{before.title} ran in {one.runtime}, {after.title} in {other.runtime}: the "
                "difference is that of the runtimes too"
            )
        if one.batch_size != other.batch_size:
            found.append(
                f"an inference of {before.title} is a batch of {_or_fixed(one.batch_size)}, one of "
                f"{after.title} a batch of {_or_fixed(other.batch_size)}"
            )
    first, second = before.workload.training, after.workload.training
    if first is not None and second is not None:
        for name, told in (
            ("data_digest", "data"),
            ("epochs", "epochs"),
            ("batch_size", "batch size of the training"),
            ("protocol", "protocol"),
            ("backend", "backend"),
        ):
            values = [str(getattr(each, name)) for each in (first, second)]
            if values[0] != values[1]:
                shown = [first.data, second.data] if told == "data" else values
                found.append(f"the two differ in their {told}: {shown[0]}, {shown[1]}")
    return found


def _or_fixed(batch_size: int | None) -> str:
    return "the model's own size" if batch_size is None else str(batch_size)


def _remarks_on_phases(before: Profile, after: Profile, shared: Sequence[str]) -> list[str]:
    """Tell of phases that only one has, and repeat what the profiles say of themselves."""
    alone = [
        f"the {phase.name} is of {profile.title} alone, and is not compared"
        for profile in (before, after)
        for phase in profile.phases
        if phase.name not in shared
    ]
    return [*alone, *before.remarks, *after.remarks]


def _compared_phase(before: ProfiledPhase, after: ProfiledPhase) -> ComparedPhase:
    rows: dict[Grouping, list[ComparedRow]] = {}
    remarks: list[str] = []
    for name in GROUPINGS:
        by = check_grouping(name)
        one, other = before.rows.get(by), after.rows.get(by)
        if one and other:
            pairs = pairs_of(one, other, by)
            rows[by] = compared_rows(pairs, before.runs, after.runs)
            remarks += remark_on_order(pairs, before.name)
    return ComparedPhase(
        name=before.name,
        before_cycles=before.cycles / before.runs,
        after_cycles=after.cycles / after.runs,
        difference_cycles=after.cycles / after.runs - before.cycles / before.runs,
        rows=rows,
        remarks=remarks,
    )
