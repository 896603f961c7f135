"""Charges: what is told is read, and adds up to what was counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.counts import Counts, Instructions, PhaseCounts, Streamed
from powerml.errors import OutputError, UsageError
from powerml.meters.simulator.charges import (
    FIELDS,
    INTERPRETER,
    RUNTIME,
    FunctionKey,
    NodeKey,
    Told,
    charges_of_deployment,
    charges_of_training,
    counts_of,
    fitted,
    nodes_by_entries,
    nodes_by_looks,
    nodes_by_segments,
    parse_told,
    phase_of,
    read_trace,
    vector_of,
)
from powerml.meters.simulator.meter import require_layers

TOLD = (
    "scope\t0\t\t\t0\t5\t6\n"
    "scope\t1\t0\tload\t1\t7\t8\n"
    "function\t0\tmain\t/usr/bin/python3\t1\t2\n"
    "function\t1\tmalloc\t/lib/libc.so.6\t3\t4\n"
    "function\t1\tmalloc\t/proc/self/fd/100/libc.so.6\t10\t20\n"
)
SECONDS = 1544400000
ONE = Counts(
    Ir=100, Dr=50, Dw=10, I1mr=5, D1mr=4, D1mw=3, ILmr=2, DLmr=1, DLmw=1,
    instructions=Instructions(**dict.fromkeys(Instructions.model_fields, 9)),
    streamed=Streamed(D1m=2, DLm=1),
)  # fmt: skip


def _vector(number: int) -> Any:
    return np.full(len(FIELDS), number, np.int64)


def _phase(name: str, number: int, steps: int = 1) -> PhaseCounts:
    return PhaseCounts(
        name=name, counts=counts_of(_vector(number)), steps_simulated=1, steps_total=steps
    )


def test_what_is_told_is_read_by_segment_and_by_the_librarys_name() -> None:
    told = parse_told(TOLD, "told")
    assert {name: list(one) for name, one in told.segments.items()} == {"": [5, 6], "load": [7, 8]}
    assert list(told.functions["load"][FunctionKey("libc.so.6", "malloc")]) == [13, 24]
    assert list(told.functions_of(["", "load"])) == [
        FunctionKey("python3", "main"),
        FunctionKey("libc.so.6", "malloc"),
    ]


@pytest.mark.parametrize(
    "text", ["scope\t0\n", "function\t7\tf\tl\t1\n", "scope\t0\t\t\t0\tx\n", "what\t1\n"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(OutputError, match=r"12\.functions cannot be read"):
        parse_told(text, "12.functions")


def test_counts_survive_as_a_vector() -> None:
    assert counts_of(vector_of(ONE)) == ONE


@given(
    st.lists(st.lists(st.integers(-5, 1000), min_size=3, max_size=3), min_size=1, max_size=8),
    st.lists(st.integers(0, 5000), min_size=3, max_size=3),
)
def test_rows_are_fitted_to_the_whole_and_never_negative(
    rows: list[list[int]], whole: list[int]
) -> None:
    found = fitted({n: np.array(row) for n, row in enumerate(rows)}, np.array(whole))
    assert [int(one) for one in np.sum(list(found.values()), axis=0)] == whole
    assert all((one >= 0).all() for one in found.values())
    assert list(found) == list(range(len(rows)))


def test_a_node_lies_between_the_looks_of_its_event() -> None:
    told = Told({f"look {n}": _vector(n) for n in range(7, 20)}, {})
    start = SECONDS * 10**9 + 5000
    trace = [
        {"cat": "Session", "name": "model_run", "ts": 4, "dur": 9},
        {"cat": "Node", "name": "early_kernel_time", "ts": 0, "dur": 1, "args": {}},
        {"cat": "Node", "name": "a_kernel_time", "ts": 4, "dur": 1, "args": {"op_name": "Relu"}},
        {"cat": "Node", "name": "b_kernel_time", "ts": 6, "dur": 2, "args": {"op_name": "Gemm"}},
        {"cat": "Node", "name": "a_kernel_time", "ts": 9, "dur": 1, "args": {"op_name": "Relu"}},
    ]
    found = nodes_by_looks(told, trace, start)
    assert {key: int(one[0]) for key, one in found.items()} == {
        NodeKey("a", "Relu"): 9 + 14,
        NodeKey("b", "Gemm"): 11 + 12,
    }
    with pytest.raises(OutputError, match="told of no node"):
        nodes_by_looks(told, [], start)


def test_entries_are_nodes_in_their_order_until_the_run_ends() -> None:
    segments = {
        "entry 1 -1": 99,
        "entry 2 3": 30,
        "entry 0 0": 1,
        "entry 1 4": 99,
        "entry 0 1": 2,
        "entry 0 5": 99,
    }
    told = Told({name: _vector(number) for name, number in segments.items()}, {})
    found = nodes_by_entries(told, ["first", "last"], end=1)
    assert {key: int(one[0]) for key, one in found.items()} == {
        NodeKey("0", "first"): 1,
        NodeKey("1", "first"): 2,
        NodeKey("2", "last"): 30,
    }


def test_layers_are_told_by_part() -> None:
    told = Told({"": _vector(1), "layer backward Conv2D my conv": _vector(2)}, {})
    assert list(nodes_by_segments(told)) == [NodeKey("my conv", "Conv2D", "backward")]


def test_what_belongs_to_no_node_is_the_interpreters_and_the_runtimes() -> None:
    evaluating, of_runtime = FunctionKey("python3.11", "eval"), FunctionKey("ort.so", "")
    functions = {
        "load": {of_runtime: _vector(90)},
        "inference": {evaluating: _vector(30), of_runtime: _vector(55)},
        "nothing": {evaluating: _vector(20)},
    }
    nodes = {NodeKey("conv", "Conv"): _vector(20)}
    load, inference = charges_of_deployment(
        Told({}, functions), [_phase("load", 90), _phase("inference", 80)], nodes, runs=2
    )
    assert load.nodes == {}
    assert {key.name: int(one[0]) for key, one in inference.nodes.items()} == {
        "conv": 40,
        INTERPRETER: 20,
        RUNTIME: 20,
    }
    phase = phase_of(inference, 2)
    assert phase.counts == counts_of(_vector(80))
    assert phase.origins is not None
    assert {name: one.Ir for name, one in phase.origins.items()} == {
        "kernels": 40,
        "interpreter": 20,
        "runtime": 20,
    }
    assert phase_of(load, 2).origins is None


def test_a_trainings_layers_are_those_of_its_steps_and_the_rest_is_shared_out() -> None:
    told = Told(
        {"": _vector(40), "layer forward Dense d": _vector(10)},
        {
            "": {
                FunctionKey("python3.11", "eval"): _vector(30),
                FunctionKey("torch.so", "f"): _vector(10),
            },
            "layer forward Dense d": {FunctionKey("torch.so", "gemm"): _vector(10)},
        },
    )
    charges = charges_of_training(told, _phase("training", 1000, steps=20), steps=4)
    assert {key.name: int(one[0]) for key, one in charges.nodes.items()} == {
        "d": 50,
        INTERPRETER: 712,
        RUNTIME: 238,
    }
    assert {key.function: int(one[0]) for key, one in charges.functions.items()} == {
        "eval": 600,
        "f": 200,
        "gemm": 200,
    }


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_trace_that_is_none_is_refused(content: str) -> None:
    with pytest.raises(OutputError, match=r"trace\.json cannot be read"):
        read_trace(content, "trace.json")


def test_a_backend_that_compiles_a_step_is_refused_before_anything_starts() -> None:
    require_layers("torch")
    with pytest.raises(UsageError, match=r"jax compiles .*--no-training"):
        require_layers("jax")
