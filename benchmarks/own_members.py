"""Members of the spaces in `own_spaces`: drawn, trained and simulated.

The spaces are files as a user writes them; powerML loads, trains and measures them as a user's.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from powerml import load_dataset
from powerml.backend import import_keras, select_backend
from powerml.costs.cost import price
from powerml.costs.counts import PHASES
from powerml.costs.readings import require_counts
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import DEFAULT_METER, MeterOptions
from powerml.meters.catalogue import make_meter
from powerml.networks.epochs import ALL_EPOCHS
from powerml.networks.own_training import Built, look_at, make_own_workload, train_own
from powerml.runtimes import DEFAULT_RUNTIME
from powerml.samplers.candidates import value_at
from powerml.search.own import distribution_of
from powerml.spaces.from_file import find_code, load_space
from powerml.spaces.trial import Answer, Domain, Floats, answers_of, named
from powerml.spaces.values import ParameterValues, Value, read_values
from powerml.workloads.workload import Deployment, OwnMaterial, OwnWorkload

__all__ = ["DATA", "EPOCHS", "SPACES", "Member", "Space", "read", "values_of"]

SPACES = ("branching_mlp", "branching_cnn", "sequences")
FOLDER = Path(__file__).parent / "own_spaces"
DATA = Path(__file__).parent / "data"
EPOCHS = 10
SCORE_COLUMNS = ("member", "seed", "score", "seconds")
COST_COLUMNS = ("member", *PHASES, "seconds")

Member = Mapping[str, Value]


@dataclass(frozen=True)
class Space:
    """A space with `digits`, as a search of it sees both."""

    name: str

    @cached_property
    def material(self) -> OwnMaterial:
        """The space's code and the data."""
        select_backend()
        import_keras()
        space = load_space(find_code(str(FOLDER / f"{self.name}.py")))
        return OwnMaterial(space, load_dataset("digits"), space.code.files())

    @property
    def reference(self) -> Member:
        """The network that costs are relative to."""
        found = self.material.space.reference
        return self.built(answers_of(found or {}, self.name)).trial.params

    def built(self, answer: Answer) -> Built:
        """Build a network of the space."""
        return look_at(self.material.space, self.material.dataset, answer, EPOCHS)

    def built_at(self, number: int) -> Built:
        """Build a member at random, always the same by its number."""
        generator = np.random.default_rng([number])

        def answer(_name: str, domain: Domain) -> Value:
            chosen: Value = value_at(generator.random(), distribution_of(domain))
            if isinstance(domain, Floats) and isinstance(chosen, float):
                return domain.rounded(chosen)
            return chosen

        return self.built(answer)

    def drawn(self, number: int) -> Member:
        """Draw a member at random, always the same by its number."""
        return self.built_at(number).trial.params

    def members(self, count: int) -> Iterator[Member]:
        """Yield the reference, and then members at random."""
        yield self.reference
        yield from map(self.drawn, range(count))

    def workload(self, member: Member) -> OwnWorkload:
        """Make the workload of a member: its training, and one inference where it is deployed."""
        return make_own_workload(
            self.material.space,
            self.material.dataset,
            answers_of(member, self.name),
            epochs=EPOCHS,
            protocol="default",
            backend=select_backend(),
            validation=0.25,
            seed=0,
            deployment=Deployment(runtime=DEFAULT_RUNTIME, batch_size=1, inferences=1),
        )[0]

    def path(self, what: str) -> Path:
        """Return the file of what was collected: ``scores`` or ``costs``."""
        return DATA / f"{self.name.replace('_', '-')}-{what}.csv"

    def train(self, count: int, seed: int) -> None:
        """Train members natively, and go on where it was interrupted."""
        path = self.path("scores")
        known = {row["member"] for row in read(path) if int(row["seed"]) == seed}
        for member in self.members(count):
            if named(member) in known:
                continue
            started = time.process_time()
            _, score, _ = train_own(self.workload(member), self.material, seed, ALL_EPOCHS)
            seconds = time.process_time() - started
            _append(path, SCORE_COLUMNS, [named(member), seed, f"{score:.4f}", f"{seconds:.2f}"])

    def simulate(self, count: int) -> None:
        """Count members in the simulator, and go on where it was interrupted."""
        path = self.path("costs")
        known = {row["member"] for row in read(path)}
        wanted = [member for member in self.members(count) if named(member) not in known]
        if not wanted:
            return
        machine = load_machine(PAPERS_MACHINE)
        options = MeterOptions(fidelity="sampled", jobs=1)
        with make_meter(DEFAULT_METER, [machine], select_backend(), options) as meter:
            for member in wanted:
                started = time.monotonic()
                phases = require_counts(
                    meter.name, meter.measure(self.workload(member), self.material)
                )
                cycles = {one.name: price(one.counts, machine, by="paper").cycles for one in phases}
                seconds = time.monotonic() - started
                costs = [f"{cycles[phase]:.0f}" for phase in PHASES]
                _append(path, COST_COLUMNS, [named(member), *costs, f"{seconds:.2f}"])
                print(self.name, named(member), *costs, f"{seconds:.1f} s", flush=True)


def values_of(text: str) -> ParameterValues:
    """Read a member as it is written in a table."""
    return read_values(text)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none where there is no table."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _append(path: Path, columns: tuple[str, ...], row: list[object]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(columns)
        writer.writerow(row)
