"""Charges: the counts of each function and of each node of a phase. Pure.

A guest that profiles tells of each segment what each function in it has cost. The phase as a whole
is counted with nothing profiled. The charges are fitted to that: they add up to the last digit.
Counts are vectors here, in the order of `FIELDS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from powerml.costs.counts import (
    EVENTS,
    NO_INSTRUCTIONS,
    NO_STREAMED,
    Counts,
    Instructions,
    Origin,
    PhaseCounts,
    Streamed,
)
from powerml.errors import OutputError
from powerml.machines import Geometry

__all__ = [
    "INTERPRETER",
    "RUNTIME",
    "Counters",
    "FunctionKey",
    "NodeKey",
    "PhaseCharges",
    "Profiled",
    "Told",
    "charges_of_deployment",
    "charges_of_training",
    "counts_of",
    "fitted",
    "nodes_by_entries",
    "nodes_by_looks",
    "nodes_by_segments",
    "parse_told",
    "phase_of",
    "read_trace",
    "vector_of",
    "with_rest",
]

Counters = NDArray[np.int64]
CLASSES, STREAMS = tuple(Instructions.model_fields), tuple(Streamed.model_fields)
FIELDS = (*EVENTS, *CLASSES, *STREAMS)
OUTSIDE = ""  # the name of the scope around all segments
Part = Literal["forward", "backward", "update"]
# Names of what belongs to no node.
RUNTIME, INTERPRETER = "runtime", "interpreter"
Key = TypeVar("Key", bound=Hashable)
LOOK, ENTRY, LAYER = "look ", "entry ", "layer "
PARTS: dict[str, Part | None] = {
    "forward": "forward",
    "backward": "backward",
    "update": "update",
    "inference": None,
}
# The clock's own date, and how far two looks are apart: instrument/tool.c.
START_NANOSECONDS, TICK_NANOSECONDS = 1544400000 * 10**9, 1000
NODE_EVENT, NODE_SUFFIX = "Node", "_kernel_time"  # of ONNX Runtime's trace
EMPTY_RUNS = 2  # with no inference at all: see deployment_job.py


class FunctionKey(NamedTuple):
    """A function of a library, by the name of the library's file."""

    library: str
    function: str


class NodeKey(NamedTuple):
    """A node, by the name that its runtime gives it, its operator and the part of a step."""

    name: str
    kind: str | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Told:
    """All that a guest has told: counters by segment, and by function in each segment."""

    segments: dict[str, Counters]
    functions: dict[str, dict[FunctionKey, Counters]]

    def converted(self, convert: Callable[[Counters], Counters]) -> Told:
        """Return the same with other vectors, as those of the caches of one geometry.

        `convert` takes all of them at once, a column each.
        """
        vectors = [*self.segments.values()]
        for functions in self.functions.values():
            vectors += functions.values()
        converted = iter(convert(np.stack(vectors, axis=1)).T)
        return Told(
            dict(zip(self.segments, converted, strict=False)),
            {
                name: dict(zip(functions, converted, strict=False))
                for name, functions in self.functions.items()
            },
        )

    def functions_of(self, segments: Iterable[str]) -> dict[FunctionKey, Counters]:
        """Return the counters of functions in several segments together."""
        found: dict[FunctionKey, Counters] = {}
        for segment in segments:
            for key, counters in self.functions.get(segment, {}).items():
                found[key] = found[key] + counters if key in found else counters
        return found


@dataclass(frozen=True)
class PhaseCharges:
    """Counters of a phase, and of each function and node in it, which add up to them.

    What belongs to no node is charged to the nodes ``runtime`` and ``interpreter``. There are no
    nodes where the runtime tells none.
    """

    name: str
    whole: Counters
    functions: dict[FunctionKey, Counters]
    nodes: dict[NodeKey, Counters] = field(default_factory=dict)


@dataclass(frozen=True)
class Profiled:
    """The charges of a workload's phases, for each of the caches that were simulated.

    `model` is the file that was run, with inputs of the given `shapes`. `optimized` is the graph
    that the runtime has made of it, where it tells it. Both are gone when the meter is closed.
    """

    phases: Mapping[Geometry, list[PhaseCharges]]
    model: Path | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    optimized: Path | None = None


def parse_told(text: str, source: str) -> Told:
    """Read what the instrument has told; see `simulation_tell` in instrument/hierarchy.h.

    Raises
    ------
    OutputError
        A line is not one of a scope or of a function.
    """
    names: dict[str, str] = {}
    keys: list[tuple[str, FunctionKey | None]] = []
    rows: list[list[int]] = []
    try:
        for line in text.split("\n"):
            kind, *fields = line.split("\t")
            if kind == "scope":
                number, _, name, _, *counters = fields
                names[number] = name
                keys.append((name, None))
            elif kind == "function":
                number, function, library, *counters = fields
                keys.append((names[number], FunctionKey(library.rpartition("/")[2], function)))
            elif line:
                raise ValueError(f"a line begins with {kind[:20]!r}")
            else:
                continue
            rows.append([int(counter) for counter in counters])
        table = np.array(rows, np.int64)
    except (ValueError, KeyError, OverflowError) as error:
        raise OutputError.quoting(
            f"what the simulator told in {source} cannot be read", error, "profile again"
        ) from error
    segments: dict[str, Counters] = {}
    functions: dict[str, dict[FunctionKey, Counters]] = {}
    for (segment, key), found in zip(keys, table, strict=True):
        if key is None:
            segments[segment] = found
        else:
            within = functions.setdefault(segment, {})
            within[key] = within[key] + found if key in within else found
    return Told(segments, functions)


def vector_of(counts: Counts) -> Counters:
    """Return counts as a vector; what they do not tell is 0 there."""
    found = [getattr(counts, name) for name in EVENTS]
    found += [getattr(counts.instructions or NO_INSTRUCTIONS, name) for name in CLASSES]
    found += [getattr(counts.streamed or NO_STREAMED, name) for name in STREAMS]
    return np.array(found, np.int64)


def counts_of(vector: Counters) -> Counts:
    """Return the counts of a vector."""
    named = dict(zip(FIELDS, vector.tolist(), strict=True))
    return Counts(
        **{name: named[name] for name in EVENTS},
        instructions=Instructions(**{name: named[name] for name in CLASSES}),
        streamed=Streamed(**{name: named[name] for name in STREAMS}),
    )


def phase_of(charges: PhaseCharges, inferences: int) -> PhaseCounts:
    """Return the counts of a phase of a deployment, by origin where nodes are told."""
    steps = inferences if charges.name == "inference" else 1
    found: dict[Origin, Counters] = {}
    for key, counters in charges.nodes.items():
        origin: Origin = "kernels"
        if key.name == RUNTIME:
            origin = "runtime"
        elif key.name == INTERPRETER:
            origin = "interpreter"
        found[origin] = found[origin] + counters if origin in found else counters
    return PhaseCounts(
        name=charges.name,
        counts=counts_of(charges.whole),
        steps_simulated=steps,
        steps_total=steps,
        origins={origin: counts_of(one) for origin, one in found.items()} or None,
    )


def charges_of_deployment(
    told: Told, phases: Sequence[PhaseCounts], nodes: Mapping[NodeKey, Counters], runs: int
) -> list[PhaseCharges]:
    """Return the charges of ``load`` and ``inference``.

    Parameters
    ----------
    told
        What the guest has told.
    phases
        The counts of both; see `composition.compose_deployment`.
    nodes
        The counts of each node in one inference.
    runs
        The inferences that were counted.
    """
    load, inference = (vector_of(phase.counts) for phase in phases)
    functions = told.functions_of(["inference"])
    for key, counters in told.functions_of(["nothing"]).items():
        if key in functions:
            functions[key] = functions[key] - counters // EMPTY_RUNS
    of_runs = {key: counters * runs for key, counters in nodes.items()}
    return [
        PhaseCharges("load", load, fitted(told.functions_of(["load"]), load)),
        PhaseCharges(
            "inference",
            inference,
            found := fitted(functions, inference),
            with_rest(of_runs, of_interpreter(found, inference), inference) if nodes else {},
        ),
    ]


def charges_of_training(told: Told, phase: PhaseCounts, steps: int) -> PhaseCharges:
    """Return the charges of a training, of which some steps were profiled.

    A layer's rows are those of the profiled steps for each step of the training. Functions are
    scaled to the training counter by counter. So set-up, first times and the ends of epochs are
    charged to the same functions, but to no layer.

    Parameters
    ----------
    told
        What the guest has told of the profiled steps.
    phase
        The counts of the training.
    steps
        The number of the profiled steps.
    """
    whole = vector_of(phase.counts)
    total = sum(told.segments.values(), np.zeros_like(whole))
    scale = whole / np.maximum(total, 1)
    functions = {
        key: np.rint(counters * scale).astype(np.int64)
        for key, counters in told.functions_of(told.segments).items()
    }
    nodes = {
        key: counters * phase.steps_total // steps
        for key, counters in nodes_by_segments(told).items()
    }
    outside = told.functions_of([OUTSIDE])
    nothing = np.zeros_like(whole)
    rest = np.maximum(whole - sum(nodes.values(), nothing), 0)
    part = of_interpreter(outside, whole) / np.maximum(sum(outside.values(), nothing), 1)
    rows = with_rest(nodes, np.rint(rest * part).astype(np.int64), whole)
    return PhaseCharges(phase.name, whole, fitted(functions, whole), rows)


def with_rest(
    nodes: Mapping[NodeKey, Counters], interpreter: Counters, whole: Counters
) -> dict[NodeKey, Counters]:
    """Add what belongs to no node to the nodes of a phase: the interpreter, and the runtime."""
    rest = np.maximum(whole - interpreter - sum(nodes.values(), np.zeros_like(whole)), 0)
    return fitted({**nodes, NodeKey(INTERPRETER): interpreter, NodeKey(RUNTIME): rest}, whole)


def of_interpreter(functions: Mapping[FunctionKey, Counters], whole: Counters) -> Counters:
    """Return the sum of Python's own functions; zeros of the form of `whole` if there are none."""
    own = (one for key, one in functions.items() if is_interpreter(key.library))
    return sum(own, np.zeros_like(whole))


def is_interpreter(library: str) -> bool:
    """Return True if a library, or a program, is Python itself."""
    return library.startswith(("python3", "libpython3"))


def fitted(rows: Mapping[Key, Counters], whole: Counters) -> dict[Key, Counters]:
    """Return rows that add up to a whole, counter by counter; the largest ones take the rest."""
    found = {key: np.maximum(counters, 0) for key, counters in rows.items()}
    if not found:
        return found
    keys = list(found)
    table = np.stack([found[key] for key in keys])
    for column in range(table.shape[1]):
        missing = int(whole[column] - table[:, column].sum())
        if missing > 0:
            table[int(table[:, column].argmax()), column] += missing
        for row in np.argsort(-table[:, column], kind="stable") if missing < 0 else ():
            taken = min(-missing, int(table[row, column]))
            table[row, column] -= taken
            missing += taken
            if missing == 0:
                break
    return dict(zip(keys, table, strict=True))


def nodes_by_looks(
    told: Told, trace: Sequence[Mapping[str, Any]], start_nanoseconds: int
) -> dict[NodeKey, Counters]:
    """Return the counters of each node of ONNX Runtime, from its trace on the clock of looks.

    A node lies between two looks. Each look begins a segment.

    Raises
    ------
    OutputError
        The trace has no nodes in the segments.
    """
    looks = {
        int(name.removeprefix(LOOK)): counters
        for name, counters in told.segments.items()
        if name.startswith(LOOK)
    }
    start = (start_nanoseconds - START_NANOSECONDS) // TICK_NANOSECONDS
    found: dict[NodeKey, Counters] = {}
    for event in trace:
        if event.get("cat") != NODE_EVENT or not event["name"].endswith(NODE_SUFFIX):
            continue
        begin = start + int(event["ts"])
        within = [looks[n] for n in range(begin, begin + int(event["dur"])) if n in looks]
        if within:
            key = NodeKey(event["name"].removesuffix(NODE_SUFFIX), event["args"].get("op_name"))
            found[key] = sum(within, found.get(key, np.zeros_like(within[0])))
    if not found:
        raise OutputError("ONNX Runtime's profiler told of no node: profile again")
    return found


def nodes_by_entries(told: Told, functions: Sequence[str], end: int) -> dict[NodeKey, Counters]:
    """Return the counters of each entry to an operator, numbered in their order.

    Parameters
    ----------
    told
        What the guest has told.
    functions
        Names of the operators' functions, by their addresses.
    end
        Place, among these addresses, of the one that ends the run.
    """
    entries = []
    for name, counters in told.segments.items():
        if name.startswith(ENTRY):
            address, number = map(int, name.removeprefix(ENTRY).split())
            entries.append((number, address, counters))
    found: dict[NodeKey, Counters] = {}
    for _, address, counters in sorted(entries, key=lambda entry: entry[0]):
        if address == end and not found:
            continue  # what copies the inputs may come back to Python, too
        if address == end:
            break
        name = functions[address - (address > end)]
        found[NodeKey(str(len(found)), name)] = counters
    return found


def nodes_by_segments(told: Told) -> dict[NodeKey, Counters]:
    """Return the counters of each layer; see `powerml.guest.layers.named`."""
    found: dict[NodeKey, Counters] = {}
    for name, counters in told.segments.items():
        if name.startswith(LAYER):
            part, kind, layer = name.removeprefix(LAYER).split(" ", 2)
            found[NodeKey(layer, kind, PARTS[part])] = counters
    return found


def read_trace(content: str, source: str) -> list[dict[str, Any]]:
    """Read a trace of ONNX Runtime; raises ``OutputError``."""
    try:
        trace = json.loads(content)
        if not isinstance(trace, list):
            raise ValueError("it is no list")
    except ValueError as error:
        raise OutputError.quoting(
            f"ONNX Runtime's trace {source} cannot be read", error, "profile again"
        ) from error
    return [event for event in trace if isinstance(event, dict)]
