"""The tables of topologies that the samplers are compared on: how they are made.

    python benchmarks/tabular.py scores dffr    # native trainings (25 minutes; cnn 40, taper 15)
    python benchmarks/tabular.py costs dffr     # simulations of a sample (6 minutes; cnn 25)
    python benchmarks/tabular.py table dffr     # both put together, costs predicted elsewhere

The first two go on where they were interrupted and write ``benchmarks/data/SPACE-scores.csv`` and
``SPACE-costs.csv``; the third writes ``SPACE.csv``, which is what the samplers are compared on.

The search space of each table is a grid over the product's own.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import spaces
from powerml.backend import import_keras, select_backend
from powerml.costs.cost import price
from powerml.costs.cost_fit import Terms, fit_costs, inference_terms, structure_sums, training_terms
from powerml.costs.counts import EVENTS, PHASES, Counts
from powerml.costs.readings import require_counts
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import DEFAULT_METER, MeterOptions
from powerml.meters.catalogue import make_meter

if TYPE_CHECKING:
    from powerml.costs.counts import PhaseCounts

# Trainings that a score is averaged over, and how many members are simulated: as many as an
# afternoon allows.
SEEDS: Mapping[str, int] = {"dffr": 3, "cnn": 3, "taper": 2}
SAMPLE: Mapping[str, int] = {"dffr": 96, "cnn": 34, "taper": 40}
DATA = Path(__file__).parent / "data"
SCORE_COLUMNS = ("member", "seed", "validation_score", "test_score")
COST_COLUMNS = ("member", "phase", *EVENTS)
TABLE_COLUMNS = ("member", "validation_score", "test_score", *PHASES)


def main() -> None:
    """Make one part of one table."""
    parts = {"scores": make_scores, "costs": make_costs, "table": make_table}
    part, space = parts[sys.argv[1]], spaces.find(sys.argv[2])
    DATA.mkdir(exist_ok=True)
    part(space)


def make_scores(space: spaces.TabularSpace) -> None:
    """Train every member with every seed, in an order that is random so that a part is usable."""
    select_backend()
    import_keras()
    path = DATA / f"{space.name}-scores.csv"
    known = {(row["member"], int(row["seed"])) for row in read(path)}
    wanted = [(member, seed) for seed in range(SEEDS[space.name]) for member in shuffled(space)]
    for member, seed in wanted:
        if (str(member), seed) not in known:
            validation, test = space.train(member, seed)
            append(path, SCORE_COLUMNS, [str(member), seed, f"{validation:.4f}", f"{test:.4f}"])


def make_costs(space: spaces.TabularSpace) -> None:
    """Simulate the reference and a random sample of the members, as a study does."""
    backend = select_backend()
    import_keras()  # here, so that no two threads do
    path = DATA / f"{space.name}-costs.csv"
    known = {row["member"] for row in read(path)}
    wanted = [space.reference, *shuffled(space)][: SAMPLE[space.name] + 1]
    profile = load_machine(PAPERS_MACHINE)
    jobs = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    options = MeterOptions(fidelity="sampled", jobs=jobs)
    with (
        make_meter(DEFAULT_METER, [profile], backend, options) as meter,
        ThreadPoolExecutor(jobs) as threads,
    ):

        def count(member: spaces.Member) -> tuple[spaces.Member, list[PhaseCounts]]:
            workload, material = space.workload(member)
            return member, require_counts(meter.name, meter.measure(workload, material))

        pending: list[Future[tuple[spaces.Member, list[PhaseCounts]]]] = [
            threads.submit(count, member) for member in wanted if str(member) not in known
        ]
        for future in pending:
            member, phases = future.result()
            for phase in phases:
                counts = phase.counts.model_dump()
                append(path, COST_COLUMNS, [str(member), phase.name, *(counts[e] for e in EVENTS)])
            print(member, flush=True)


def make_table(space: spaces.TabularSpace) -> None:
    """Average the scores and predict the costs by the cost model, from all that was simulated."""
    scores: dict[str, list[tuple[float, float]]] = {}
    for row in read(DATA / f"{space.name}-scores.csv"):
        pair = float(row["validation_score"]), float(row["test_score"])
        scores.setdefault(row["member"], []).append(pair)
    members = [member for member in space.members() if str(member) in scores]
    simulated = simulated_costs(space)
    columns = []
    for phase in PHASES:
        fitted = fit_costs(
            terms_of(space, list(simulated), phase),
            np.array([cost[phase] for cost in simulated.values()]),
            {},
        )
        predicted, _ = fitted.predict(terms_of(space, members, phase))
        columns.append(predicted / simulated[space.reference][phase])
        errors = np.abs(fitted.left_out)
        print(
            f"{space.name} {phase}: {len(errors)} simulated; error of one left out: median "
            f"{np.median(errors):.2%}, nine in ten below {np.quantile(errors, 0.9):.2%}, "
            f"largest {errors.max():.2%}"
        )
    path = DATA / f"{space.name}.csv"
    path.unlink(missing_ok=True)
    for member, *ratios in zip(members, *columns, strict=True):
        means = [f"{np.mean(one):.4f}" for one in zip(*scores[str(member)], strict=True)]
        append(path, TABLE_COLUMNS, [str(member), *means, *(f"{ratio:.5f}" for ratio in ratios)])
    seeds = {len(pairs) for pairs in scores.values()}
    print(f"{len(members)} members, scores averaged over {sorted(seeds)} trainings: {path}")


def simulated_costs(space: spaces.TabularSpace) -> dict[spaces.Member, dict[str, float]]:
    """Costs in cycles of the default machine, by phase, of what was simulated."""
    machine = load_machine(PAPERS_MACHINE)
    found: dict[spaces.Member, dict[str, float]] = {}
    for row in read(DATA / f"{space.name}-costs.csv"):
        counts = Counts(**{event: int(row[event]) for event in EVENTS})
        costs = found.setdefault(spaces.Member.parse(row["member"]), {})
        costs[row["phase"]] = price(counts, machine, by="paper").cycles
    return {member: costs for member, costs in found.items() if set(PHASES) <= set(costs)}


def terms_of(space: spaces.TabularSpace, members: Sequence[spaces.Member], phase: str) -> Terms:
    """What the cost model makes of members."""
    sums = np.array([structure_sums(space.layers(member)) for member in members])
    if phase == "inference":
        return inference_terms(sums, 1, 1)
    batch_sizes = np.array([space.batch_size(member) for member in members], dtype=float)
    return training_terms(sums, batch_sizes, space.training_samples, space.epochs)


def shuffled(space: spaces.TabularSpace) -> list[spaces.Member]:
    """Return the members in an order that is random and always the same."""
    members = list(space.members())
    random.Random(space.name).shuffle(members)
    return members


def read(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table, none where there is no table."""
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def append(path: Path, columns: tuple[str, ...], row: list[object]) -> None:
    """Add a row to a table."""
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(columns)
        writer.writerow(row)


if __name__ == "__main__":
    main()
