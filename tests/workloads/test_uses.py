"""A graph tells what its inputs are: rows of a table, switches, trip counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from powerml.workloads.uses import Use, uses_of_inputs

HEAD = '<ir_version: 8, opset_import: ["": 17]>'


def _uses(text: str) -> dict[str, Use]:
    return uses_of_inputs(parser.parse_model(f"{HEAD} {text}"))


def _looked_up(*before: Any, ids: str = "ids", rows: int = 100) -> dict[str, Use]:
    """What `ids` is used for, when nodes make of it what indexes a table."""
    gather = helper.make_node("Gather", ["table", ids], ["y"])
    constants = [
        numpy_helper.from_array(np.zeros((rows, 4), np.float32), "table"),
        numpy_helper.from_array(np.array(2, np.int64), "two"),
        numpy_helper.from_array(np.array([1], np.int64), "axes"),
    ]
    graph = helper.make_graph(
        [*before, gather],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", "length"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    return uses_of_inputs(helper.make_model(graph))


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ([], (0, 99)),
        ([("Cast", [], {"to": TensorProto.INT32})], (0, 99)),
        ([("Unsqueeze", ["axes"], {}), ("Identity", [], {})], (0, 99)),
        ([("Add", ["two"], {})], (-2, 97)),
        ([("Sub", ["two"], {})], (2, 101)),
        ([("Mod", ["two"], {})], (0, 1)),
    ],
)
def test_indices_are_within_the_rows(
    operators: list[tuple[str, list[str], dict[str, Any]]], expected: tuple[int, int]
) -> None:
    nodes, name = [], "ids"
    for number, (operator, others, attributes) in enumerate(operators):
        nodes.append(helper.make_node(operator, [name, *others], [f"t{number}"], **attributes))
        name = f"t{number}"
    found = _looked_up(*nodes, ids=name)["ids"]
    assert (found.low, found.high) == expected
    assert found.indexes
    assert found.matters


def test_a_float_that_is_only_computed_with_does_not_matter() -> None:
    found = _uses("g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")
    assert found == {"x": Use()}


def test_the_depth_of_one_hot_bounds() -> None:
    found = _uses(
        "g (int64[N] x) => (float[N, 7] y) { d = Constant<value = int64 {7}>() "
        "v = Constant<value = float[2] {0, 1}>() y = OneHot(x, d, v) }"
    )
    assert (found["x"].low, found["x"].high) == (0, 6)


BRANCHES = (
    "y = If (c) <then_branch = a () => (float[4] p) { p = Relu(x) }, "
    "else_branch = b () => (float[4] q) { q = Sigmoid(x) }>"
)


@pytest.mark.parametrize(
    ("inputs", "condition", "expected"),
    [
        ("bool c, ", "", {"c": "which branch runs", "x": None}),
        (
            "int64 n, ",
            "z = Constant<value = int64 {0}>() c = Greater(n, z) ",
            {"n": "which branch runs", "x": None},
        ),
        # A shape is not a value.
        (
            "",
            "z = Constant<value = int64 {9}>() s = Size(x) c = Greater(s, z) ",
            {"x": None},
        ),
        # The shape of what is not 0 is one.
        (
            "",
            "z = Constant<value = int64 {9}>() m = NonZero(x) s = Size(m) c = Greater(s, z) ",
            {"x": "which branch runs"},
        ),
    ],
)
def test_what_decides_a_branch(
    inputs: str, condition: str, expected: dict[str, str | None]
) -> None:
    found = _uses(f"g ({inputs}float[4] x) => (float[4] y) {{ {condition}{BRANCHES} }}")
    assert {name: use.decides for name, use in found.items()} == expected


def test_what_decides_a_trip_count() -> None:
    found = _uses(
        "g (int64 n, float[4] x) => (float[4] y) { t = Constant<value = bool {1}>() "
        "y = Loop (n, t, x) <body = b (int64 i, bool c, float[4] v) => (bool d, float[4] w) "
        "{ d = Identity(c) w = Relu(v) }> }"
    )
    assert found["n"].decides == "how often a loop runs"
    assert found["x"].decides is None


def test_a_loop_that_runs_until_its_values_are_right() -> None:
    found = _uses(
        "g (float x) => (float y) { t = Constant<value = bool {1}>() "
        "n = Constant<value = int64 {9}>() "
        "y = Loop (n, t, x) <body = b (int64 i, bool c, float v) => (bool d, float w) "
        "{ w = Relu(v) z = Constant<value = float {1}>() d = Less(w, z) }> }"
    )
    assert found["x"].decides == "how often a loop runs"


def test_what_sizes_a_tensor() -> None:
    found = _uses(
        "g (int64 n) => (int64[k] y) { a = Constant<value = int64 {0}>() "
        "b = Constant<value = int64 {1}>() y = Range(a, n, b) }"
    )
    assert found["n"].sizes
    assert found["n"].decides is None


def test_an_ensemble_of_trees_tells_how_many_features_it_takes() -> None:
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_featureids=[0, 6, 3]
    )
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    assert uses_of_inputs(helper.make_model(graph))["x"].features == 7


def test_a_weight_tells_how_many_features_it_takes() -> None:
    weight = numpy_helper.from_array(np.zeros((5, 2), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    assert uses_of_inputs(helper.make_model(graph))["x"].features == 5
