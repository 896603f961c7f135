"""Liveness: the tensors of a graph that lie in memory at once. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Footprint", "GraphStep", "TensorGraph", "UnknownGraphError", "footprint_of"]

Name = Hashable


class UnknownGraphError(Exception):
    """A graph whose memory is not known; the message names the reason in a clause."""


@dataclass(frozen=True)
class GraphStep:
    """One operator: the tensors that it reads and those that it writes."""

    reads: Sequence[Name]
    writes: Sequence[Name]


@dataclass(frozen=True)
class TensorGraph:
    """A graph in the order of its execution.

    `sizes` are the bytes of tensors; a tensor that is missing is of unknown size. `constants` are
    there before the first step. `states` live from the start to the end. Each tensor in `aliases`
    lies in the storage of another.
    """

    steps: Sequence[GraphStep]
    inputs: Sequence[Name]
    outputs: Sequence[Name]
    sizes: Mapping[Name, int]
    constants: Collection[Name] = ()
    states: Collection[Name] = ()
    aliases: Mapping[Name, Name] = field(default_factory=dict)


@dataclass(frozen=True)
class Footprint:
    """Bytes of a graph's weights and the peak of its activations; None if not known.

    `unknown` names tensors whose size is missing.
    """

    weights_bytes: int | None
    activations_bytes: int | None
    unknown: tuple[str, ...] = ()


def footprint_of(graph: TensorGraph) -> Footprint:
    """Compute the weights and the peak of activations of a graph.

    What follows from constants alone is computed once, and then is a constant. The weights are the
    constants that any other step reads, or that are outputs. A tensor lives from the step that
    writes it to the last that reads it. Inputs live from the first step on, outputs to the end. No
    step writes to the place of what it reads.
    """
    constants = set(graph.constants)
    running = []
    for step in graph.steps:
        read = [name for name in step.reads if name not in graph.states]
        if len(read) == len(step.reads) and constants.issuperset(read) and step.writes:
            constants.update(step.writes)
        else:
            running.append(step)
    storage = {name: _storage(name, graph.aliases) for step in running for name in step.reads}
    storage |= {name: _storage(name, graph.aliases) for step in running for name in step.writes}
    for name in (*graph.inputs, *graph.outputs, *graph.states):
        storage[name] = _storage(name, graph.aliases)
    read_names = {storage[name] for step in running for name in step.reads}
    weights = (read_names | {storage[name] for name in graph.outputs}) & constants
    activations = set(storage.values()) - constants
    missing = sorted(str(name) for name in (weights | activations) if name not in graph.sizes)
    unknown = weights - set(graph.sizes)
    held = None if unknown else sum(graph.sizes[name] for name in weights)
    if activations - set(graph.sizes):
        return Footprint(held, None, tuple(missing))
    return Footprint(held, _peak(graph, running, storage, activations), tuple(missing))


def _storage(name: Name, aliases: Mapping[Name, Name]) -> Name:
    seen = {name}
    while name in aliases:
        name = aliases[name]
        if name in seen:
            raise ValueError(f"the storage of {name} is its own")
        seen.add(name)
    return name


def _peak(
    graph: TensorGraph,
    running: Sequence[GraphStep],
    storage: Mapping[Name, Name],
    activations: Collection[Name],
) -> int:
    """Return the most bytes that live at once, over the steps."""
    first: dict[Name, int] = {}
    last: dict[Name, int] = {}

    def live(name: Name, step: int) -> None:
        held = storage[name]
        if held in activations:
            first[held] = min(first.get(held, step), step)
            last[held] = max(last.get(held, step), step)

    end = max(len(running) - 1, 0)
    for name in (*graph.inputs, *graph.states):
        live(name, 0)
    for number, step in enumerate(running):
        for name in (*step.reads, *step.writes):
            live(name, number)
    for name in (*graph.outputs, *graph.states):
        live(name, end)
    change = [0] * (end + 2)
    for name, start in first.items():
        change[start] += graph.sizes[name]
        change[last[name] + 1] -= graph.sizes[name]
    peak = now = 0
    for difference in change:
        now += difference
        peak = max(peak, now)
    return peak
