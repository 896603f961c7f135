"""Counts predicted from the cache of counts, without any simulation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from powerml.costs.cache import CountsCache, Entry
from powerml.costs.core import has_core
from powerml.costs.cost import PriceName, cycles_of
from powerml.costs.cost_fit import Terms, fit_costs, structure_sums
from powerml.costs.cost_model import Demand
from powerml.costs.counts import EVENTS, Counts, Details, Instructions, PhaseCounts, Streamed
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import PredictionError
from powerml.machines import Machine
from powerml.progress import Notify, silent
from powerml.spaces import Layer
from powerml.workloads.workload import AnyWorkload, Material, TopologyWorkload

__all__ = ["DEFAULT_PREDICTED_ERROR", "FEWEST", "PREDICTED", "PredictingMeter"]

PREDICTED = "predicted"
DEFAULT_PREDICTED_ERROR = 0.05

# With fewer measurements the stated error is a guess, not a finding.
FEWEST = 5
# What may differ between a topology and those that it is predicted from.
OWN = frozenset(("topology", "batch_size")) | TopologyWorkload.uncounted
CONFIDENCE = 0.9


class SupportsDeterminants(Protocol):
    """A meter that gives the determinants of its counts without measuring."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        """Everything beside the workload that determines its counts, as plain JSON."""


@dataclass(frozen=True)
class _Example:
    """A topology that was simulated."""

    layers: tuple[Layer, ...]
    batch_size: int
    phases: Mapping[str, PhaseCounts]
    fingerprint: Fingerprint


class PredictingMeter:
    """A meter that answers with the cost model, from topologies simulated before.

    Parameters
    ----------
    meter
        The meter that simulated them.
    cache
        The cache of their counts.
    machines
        The machines on which the error of the cost must not exceed `error`.
    error
        The largest relative error that may be stated.
    """

    def __init__(
        self,
        meter: SupportsDeterminants,
        cache: CountsCache,
        machines: Sequence[Machine],
        error: float,
    ) -> None:
        self._meter = meter
        self._cache = cache
        self._machines = machines
        self._error = error
        self._fingerprint: Fingerprint | None = None
        self.name = meter.name

    def measure(
        self,
        workload: AnyWorkload,
        _material: Material,
        notify: Notify = silent,
    ) -> list[PhaseCounts]:
        """Predict the counts of a topology.

        Raises
        ------
        PredictionError
            The counts cannot be predicted well enough.
        """
        layers = workload.layers()
        if layers is None or workload.kind != "topology":
            raise PredictionError(
                f"{workload.title} cannot be predicted: only topologies of spaces that tell "
                "their layers can; measure it with --fidelity sampled or exact"
            )
        examples = list(self._examples(workload))
        if len(examples) < FEWEST:
            raise PredictionError(
                f"{workload.title} cannot be predicted from {len(examples)} measurements like it "
                f"in the cache of counts: measure {FEWEST} topologies of its space with the same "
                "data and options, or use --fidelity sampled"
            )
        notify(f"{workload.title}: predicted from {len(examples)} measurements")
        self._fingerprint = examples[0].fingerprint
        return [self._predict(workload, layers, examples, name) for name in examples[0].phases]

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the counts that it predicted from; known after a prediction."""
        if self._fingerprint is None:
            raise PredictionError(
                "no fingerprint is known before the first prediction: predict first"
            )
        return self._fingerprint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing has to be ended."""

    def _examples(self, workload: TopologyWorkload) -> Iterator[_Example]:
        """Find measurements that differ only in the topology and its batches."""
        wanted = _comparable(workload, self._meter.determinants(workload))
        phases: set[str] = set()
        for entry in self._cache.entries():
            example = _example(entry, wanted)
            if example is not None and (not phases or phases == set(example.phases)):
                phases = set(example.phases)
                yield example

    def _predict(
        self,
        workload: TopologyWorkload,
        layers: tuple[Layer, ...],
        examples: Sequence[_Example],
        phase: str,
    ) -> PhaseCounts:
        fits = _Fits(
            Demand.of(workload).prior(phase),
            _terms(workload, phase, [(one.layers, one.batch_size) for one in examples]),
            _terms(workload, phase, [(layers, workload.batch_size)]),
            [one.phases[phase].counts for one in examples],
        )
        counts = fits.counts()
        bound = max(
            fits.bound(counts, machine, by)
            for machine in self._machines
            for by in (("paper", "core") if has_core(machine) else ("paper",))
        )
        if bound > self._error:
            raise PredictionError(
                f"the {phase} cost of {workload.title} is predicted to within {bound:.1%} only, "
                f"from {len(examples)} measurements, and {100 * self._error:g}% is asked for: "
                "measure more topologies like it, give a larger --error, or use --fidelity sampled"
            )
        steps = workload.training_steps if phase == "training" else _inference_steps(workload)
        return PhaseCounts(
            name=phase,
            counts=counts,
            fidelity=PREDICTED,
            error_bound=bound,
            steps_simulated=0,
            steps_total=steps,
        )


@dataclass(frozen=True)
class _Fits:
    """One phase of the simulated topologies and of the requested one."""

    prior: Mapping[str, float]
    known: Terms
    asked: Terms
    counted: Sequence[Counts]

    def counts(self) -> Counts:
        """Return predicted counts, each event fitted like costs, or averaged if incomplete."""
        return Counts(
            **self._numbers(self.counted, EVENTS),
            instructions=self._details("instructions", Instructions),
            streamed=self._details("streamed", Streamed),
        )

    def _details(self, name: str, kind: type[Details]) -> Details | None:
        """Return predicted details of the counts, None unless all the counts tell them."""
        told = [getattr(one, name) for one in self.counted]
        return None if None in told else kind(**self._numbers(told, kind.model_fields))

    def _numbers(self, counted: Sequence[object], names: Iterable[str]) -> dict[str, int]:
        found = {}
        for name in names:
            measured = np.array([getattr(one, name) for one in counted], dtype=float)
            expected = float(measured.mean())
            if measured.all():
                predicted, _ = fit_costs(self.known, measured, self.prior).predict(self.asked)
                expected = float(predicted[0])
            found[name] = round(expected)
        return found

    def bound(self, counts: Counts, machine: Machine, by: PriceName) -> float:
        """Bound the relative error of the cost, by its fit and its difference from the counts."""
        cost = partial(cycles_of, machine, "data", by)
        fitted = fit_costs(self.known, np.array([cost(one) for one in self.counted]), self.prior)
        cycles, error = fitted.predict(self.asked)
        disagreement = abs(cost(counts) / float(cycles[0]) - 1)
        return float(fitted.bound(error, CONFIDENCE)[0]) + disagreement


def _comparable(workload: TopologyWorkload, determinants: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content that two workloads must share for a prediction of one by the other."""
    # A sample and an exact count of one workload differ by less than predictions do.
    alike = {key: determinants[key] for key in determinants if key not in ("fidelity", "prices")}
    return {
        "space": workload.topology.space,
        "meter": alike,
        **workload.model_dump(mode="json", exclude=set(OWN)),
    }


def _example(entry: Entry, wanted: Mapping[str, Any]) -> _Example | None:
    stored = entry.determined_by
    described = stored.get("workload", {})
    if described.get("kind") != "topology":
        return None
    workload = TopologyWorkload.model_validate({"seed": 0, "data": "", **described})
    # As JSON has it: lists where there were tuples.
    if _comparable(workload, stored["meter"]) != _plain(wanted):
        return None
    layers = workload.layers()
    if layers is None:
        return None
    phases = {phase.name: phase for phase in entry.phases}
    return _Example(layers, workload.batch_size, phases, entry.fingerprint)


def _terms(
    workload: TopologyWorkload, phase: str, topologies: Sequence[tuple[tuple[Layer, ...], int]]
) -> Terms:
    sums = np.array([structure_sums(layers) for layers, _ in topologies])
    batch_sizes: NDArray[np.float64] = np.array([float(size) for _, size in topologies])
    return Demand.of(workload).terms(phase, sums, batch_sizes)


def _inference_steps(workload: TopologyWorkload) -> int:
    deployment = workload.deployment
    return workload.inference_steps if deployment is None else deployment.inferences


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
