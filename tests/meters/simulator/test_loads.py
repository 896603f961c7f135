"""Synthetic loads under the real simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from powerml.costs.cost import price
from powerml.costs.counts import PhaseCounts
from powerml.machines import Machine
from powerml.meters.base import MeterOptions
from powerml.meters.simulator import guest_meter, rows
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.progress import Advance, silent, unwatched
from powerml.workloads.workload import (
    AnyWorkload,
    LoadWorkload,
    Material,
    ModelFile,
    Stage,
    Workload,
)

pytestmark = pytest.mark.simulator

# A row of A is 64 KB: its place in the last level repeats after 8.2 rows. A column of B takes
# 8000 lines, of which the first level holds 512.
LOAD = LoadWorkload(name="tiny", rows_a=24, inner=8000, cols_b=16)
OTHER = LoadWorkload(name="other", rows_a=5, inner=30, cols_b=7)


@pytest.fixture(scope="module")
def exact(machine: Machine) -> Iterator[SimulatorMeter]:
    with SimulatorMeter(machine, None, MeterOptions(limit_seconds=600)) as meter:
        yield meter


def _count(meter: SimulatorMeter, load: LoadWorkload, advance: Advance = unwatched) -> PhaseCounts:
    (counted,) = meter.measure(load, None, silent, advance)
    return counted


def test_counts_repeat_to_the_last_digit_and_say_how_far_they_are(
    exact: SimulatorMeter,
) -> None:
    parts: list[float] = []
    first = _count(exact, OTHER, parts.append)
    big = _count(exact, LOAD, parts.append)
    assert _count(exact, OTHER) == first
    assert _count(exact, LOAD) == big
    assert parts
    assert all(0 <= part <= 1 for part in parts)
    # An inner loop reads both of its numbers, and each column of B again.
    assert first.parts[rows.PRODUCT].Dr > 2 * OTHER.products
    assert big.parts[rows.PRODUCT].D1mr > LOAD.products
    assert (first.fidelity, first.error_bound, first.steps_simulated) == ("exact", 0, 5)
    assert "keras" not in exact.fingerprint().software


def test_a_sample_of_rows_is_within_its_bound(
    exact: SimulatorMeter, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = rows.RowPlan(rows=10, piece=1, first=2, made_a=4, made_b=2500)
    monkeypatch.setattr(guest_meter, "plan_rows", lambda *_: plan)
    with SimulatorMeter(machine, None, MeterOptions(fidelity="sampled")) as meter:
        sampled = _count(meter, LOAD)
    whole = _count(exact, LOAD)
    assert (sampled.fidelity, sampled.steps_simulated, sampled.steps_total) == ("sampled", 10, 24)
    error = (
        price(sampled.counts, machine, by="paper").cycles
        / price(whole.counts, machine, by="paper").cycles
        - 1
    )
    assert abs(error) <= sampled.error_bound < 0.05


class OneMore(Workload):
    """A kind of workload that writes the request to its job itself."""

    kind: Literal["one_more"] = "one_more"
    deployment: None = None
    backend: None = None

    @property
    def title(self) -> str:
        return "one more"

    @property
    def guest_jobs(self) -> tuple[str, ...]:
        return ("loads",)

    def request(self, material: Material, stage: Stage) -> dict[str, Any]:
        assert isinstance(material, ModelFile)
        sizes = OTHER.model_dump(include={"rows_a", "inner", "cols_b"})
        return {**sizes, **asdict(rows.exact_rows(OTHER)), "progress": stage(material.path)}


def test_a_kind_with_a_job_of_its_own_is_counted_by_what_the_job_marks(
    exact: SimulatorMeter, tmp_path: Path
) -> None:
    given = tmp_path / "given.txt"
    given.write_text("read me", encoding="utf-8")
    workload = cast(AnyWorkload, OneMore())
    phases = exact.measure(workload, ModelFile(given))
    assert [phase.name for phase in phases][:3] == ["a 5", "b 30", "row 0"]
    makings, product = phases[:2], phases[2:]
    parts = _count(exact, OTHER).parts
    for name, found in ((rows.MATRICES, makings), (rows.PRODUCT, product)):
        # The requests' lengths move what lies in which set of the caches, and nothing else.
        for event in ("Ir", "Dr", "Dw"):
            total = sum(getattr(phase.counts, event) for phase in found)
            assert total == getattr(parts[name], event)
    assert exact.measure(workload, ModelFile(given)) == phases
