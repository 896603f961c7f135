"""What the paper's records say under eq. 2.6, and what is known of the spaces beforehand.

    python benchmarks/reproduction.py records    # at once
    python benchmarks/reproduction.py known      # at once
    python benchmarks/reproduction.py checks OUT # what `powerml reproduce --out OUT` has come to

The studies themselves are made by `powerml reproduce`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from powerml.paper.checks import Convergence, RequirementCheck, Saving
from powerml.paper.figures import SeedSpread
from powerml.paper.files import RECORD
from powerml.paper.known import ACCURATE_SCORE, known
from powerml.paper.original import RecordedStudy, RecordedTrial, recorded_studies
from powerml.paper.page import recorded_rows
from powerml.paper.reproduction import Reproduction
from powerml.paper.settings import SETTINGS, SPACES


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description="The paper's records, and a reproduction.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("records", help="what the records say under eq. 2.6")
    verbs.add_parser("known", help="what accurate topologies cost, and what eq. 2.6 prefers")
    checks = verbs.add_parser("checks", help="what powerml reproduce has come to")
    checks.add_argument("out", type=Path, help="the folder of the reproduction")
    chosen = parser.parse_args()
    if chosen.verb == "records":
        print_records()
    elif chosen.verb == "known":
        print_known()
    elif not (chosen.out / RECORD).is_file():
        parser.error(f"{chosen.out} holds no {RECORD}: powerml reproduce --out writes it")
    else:
        print_checks(chosen.out)


def print_records() -> None:
    """The winner of each study as recorded and under eq. 2.6, and Figure 3 of all settings."""
    print(
        "| study | printed score | winner as recorded: iteration, score, training, inference "
        "| of setting 1's: training, inference | under eq. 2.6 "
        "| standard deviation of training, inference |\n| --- | --- | --- | --- | --- | --- |"
    )
    for row in recorded_rows(SPACES, [setting.number for setting in SETTINGS]):
        study = row.study
        deviations = (study.deviation("training"), study.deviation("inference"))
        print(
            f"| {study.space} {study.setting.number} | {row.printed_score} "
            f"| {_said(study, study.recorded_winner)} | {_numbers(row.over_baseline)} "
            f"| {_said(study, study.winner) if row.differs else 'the same'} "
            f"| {_numbers(deviations)} |"
        )
    differing = sum(
        study.recorded_objective(trial) != trial.objective_as_recorded
        for study in recorded_studies()
        for trial in study.trials
    )
    trials = sum(len(study.trials) for study in recorded_studies())
    print(f"{trials - differing} of {trials} objectives are computed to the last digit")


def _said(study: RecordedStudy, trial: RecordedTrial) -> str:
    costs = (study.ratio(trial, "training"), study.ratio(trial, "inference"))
    return f"{trial.iteration}, {trial.score:.2f}, {_numbers(costs)}"


def _numbers(values: tuple[float, float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def print_known() -> None:
    """What accurate topologies cost, and what eq. 2.6 prefers at each setting."""
    for space, one in known().spaces.items():
        print(
            f"{space}: {one.accurate} of {one.topologies} score at least 0.98 (test); costs of "
            "these, relative to the reference: "
            + "; ".join(
                f"{phase} median {one.median[phase]:.3f}, least {one.least[phase]:.3f} "
                f"({1 - one.least[phase] / one.median[phase]:.1%} below it)"
                for phase in ("training", "inference")
            )
        )
    print(
        f"\n| space | setting | best under eq. 2.6 | score | objective "
        f"| best that scores {ACCURATE_SCORE:g} | score | objective |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for space, one in known().spaces.items():
        for preferred in one.preferred:
            cells = [
                f"{some.topology} batch {some.batch_size} | {some.validation_score:.2f} "
                f"| {some.objective:.3f}"
                for some in (preferred.best, preferred.best_accurate)
            ]
            print(f"| {space} | {preferred.setting} | {' | '.join(cells)} |")


def print_checks(out: Path) -> None:
    """What was to be reached, put right."""
    found = Reproduction.model_validate_json((out / RECORD).read_text(encoding="utf-8"))
    print("| space | setting | | median (lowest to highest) | required | cheapest known | |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    checks: list[RequirementCheck] = [*found.convergences, *found.savings]
    for one in checks:
        what, measured, cheapest = _of(one)
        print(
            f"| {one.space} | {one.setting} | {what} | {_range(measured)} | {one.required:g} "
            f"| {cheapest} | {'met' if one.met else 'not met'} |"
        )
    print(f"\nthe studies took {found.seconds / 60:.0f} minutes together")


def _of(one: RequirementCheck) -> tuple[str, SeedSpread, str]:
    if isinstance(one, Saving):
        return f"{one.phase} cost saved of the median", one.saving, f"{one.cheapest_known:.3f}"
    if isinstance(one, Convergence):
        return "test score", one.score, ""
    raise TypeError(one)


def _range(value: SeedSpread) -> str:
    if value.median is None or value.low is None or value.high is None:
        return "none"
    return f"{value.median:.3f} ({value.low:.3f} to {value.high:.3f})"


if __name__ == "__main__":
    main()
