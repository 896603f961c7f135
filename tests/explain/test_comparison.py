"""Comparing profiles: which row makes the difference, and that the rows add up to it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import ComparisonError, UsageError
from powerml.explain.comparison import (
    compare_profiles,
    pricing_differences,
    repriced_profile,
)
from powerml.explain.matching import operation_of
from powerml.explain.phases import kept_phases
from powerml.explain.profile_record import Profile, ProfileRow
from powerml.machines import load_machine
from powerml.workloads.workload import Deployment
from tests.builders import make_counts, make_file_record, make_fingerprint, make_workload_record
from tests.explain.compared import nodes_of, phase_of, profile_of, row


def test_the_largest_difference_stands_first_whatever_its_sign() -> None:
    before = profile_of(row("a", 100, "Conv"), row("b", 50, "Relu"), row("runtime", 10))
    after = profile_of(row("a", 110, "Conv"), row("b", 20, "Relu"), row("runtime", 10))
    found = nodes_of(compare_profiles(before, after))
    assert [(name, one.difference_cycles) for name, one in found.items()] == [
        ("b", -30),
        ("a", 10),
        ("runtime", 0),
    ]


def test_costs_are_of_one_inference() -> None:
    rows = {"node": [row("a", 100)]}
    before = profile_of(phases=[phase_of("inference", rows, runs=10)])
    after = profile_of(phases=[phase_of("inference", {"node": [row("a", 60)]}, runs=4)])
    compared = compare_profiles(before, after)
    assert compared.phases[0].difference_cycles == 5
    assert nodes_of(compared)["a"].before_cycles == 10


def test_what_only_one_has_is_gone_or_new() -> None:
    found = nodes_of(compare_profiles(profile_of(row("a", 3, "A")), profile_of(row("b", 5, "B"))))
    assert (found["a"].before_cycles, found["a"].after_cycles) == (3, None)
    assert (found["b"].before_cycles, found["b"].after_cycles) == (None, 5)


def test_a_node_whose_operator_changed_is_the_same_node() -> None:
    before = profile_of(row("/0/Conv", 100, "Conv"))
    after = profile_of(row("/0/Conv", 40, "QLinearConv"), row("q", 5, "QuantizeLinear"))
    found = nodes_of(compare_profiles(before, after))
    assert found["/0/Conv"].kind == "Conv → QLinearConv"
    assert found["/0/Conv"].difference_cycles == -60
    assert found["q"].before_cycles is None


def test_nodes_that_hold_the_same_nodes_of_the_model_are_matched_and_called_by_it() -> None:
    before = profile_of(
        row("/1/Relu_output_0_nchwc", 100, "Conv", nodes=["/0/Conv", "/1/Relu"]),
        row("/2/MatMul/MatMulAddFusion", 50, "Gemm", nodes=["/2/MatMul", "/2/Add"]),
    )
    after = profile_of(
        row("/0/Conv_token_25", 40, "QLinearConv", nodes=["x_Dequantize", "/0/Conv", "q"]),
        row("fused", 20, "MatMulIntegerToFloat", nodes=["/2/MatMul_quant", "mul"]),
        row("/2/Add", 4, "Add"),
    )
    compared = compare_profiles(before, after)
    found = nodes_of(compared)
    assert found["/0/Conv"].difference_cycles == -60
    assert found["/2/MatMul"].kind == "Gemm → MatMulIntegerToFloat"
    assert found["/2/Add"].before_cycles is None
    assert compared.phases[0].remarks == []


def test_a_node_is_called_by_the_models_node_that_it_is_named_after() -> None:
    fused = [
        row("6_nchwc", 4, "Conv", nodes=["conv3", "relu3"]),
        row("/0/Conv_token_3", 3, "QLinearConv", nodes=["x_DequantizeLinear", "/0/Conv"]),
        row("kernel", 2, "QGemm", nodes=["y_DequantizeLinear", "gemm", "z_QuantizeLinear"]),
        row("softmax", 1, "Softmax"),
    ]
    same = profile_of(*fused)
    assert set(nodes_of(compare_profiles(same, same))) == {"conv3", "/0/Conv", "gemm", "softmax"}


def test_renamed_nodes_are_matched_by_operator_in_natural_order() -> None:
    before = profile_of(*(row(f"MatMul_{n}", 100 * n, "MatMul") for n in (10, 9)))
    after = profile_of(
        *(row(f"node_{n}", 10 * n, "MatMulInteger") for n in (7, 12)),
        *(row(f"quantize_{n}", n, "DynamicQuantizeLinear") for n in (1, 2)),
    )
    compared = compare_profiles(before, after)
    found = nodes_of(compared)
    assert found["MatMul_9 → node_7"].difference_cycles == 70 - 900
    assert found["MatMul_10 → node_12"].difference_cycles == 120 - 1000
    assert found["quantize_1"].before_cycles is None
    assert compared.phases[0].remarks == [
        "2 nodes of the inference have another name before and after, and are matched by operator, "
        "in order"
    ]


def test_where_the_numbers_of_nodes_differ_only_equal_work_is_matched() -> None:
    before = profile_of(
        row("a", 1, "Conv", multiply_accumulates=100),
        row("b", 2, "Conv", multiply_accumulates=200),
    )
    after = profile_of(
        row("c", 3, "Conv", multiply_accumulates=200),
        row("d", 4, "Conv", multiply_accumulates=300),
        row("e", 5, "Conv"),
    )
    found = nodes_of(compare_profiles(before, after))
    assert set(found) == {"b → c", "a", "d", "e"}


def test_equal_work_matters_more_than_the_order_of_names() -> None:
    before = profile_of(
        row("fused /MatMul", 9, "Gemm", multiply_accumulates=100),
        row("/MatMul_1", 8, "Gemm", multiply_accumulates=20),
    )
    after = profile_of(
        row("FULLY_CONNECTED:4", 7, "FULLY_CONNECTED", multiply_accumulates=100),
        row("FULLY_CONNECTED:5", 6, "FULLY_CONNECTED", multiply_accumulates=20),
    )
    assert set(nodes_of(compare_profiles(before, after))) == {
        "fused /MatMul → FULLY_CONNECTED:4",
        "/MatMul_1 → FULLY_CONNECTED:5",
    }


def test_parts_of_a_training_are_matched_apart() -> None:
    def training(forward: float, backward: float) -> Profile:
        rows = [
            row("dense", forward, "Dense", part="forward"),
            row("dense", backward, "Dense", part="backward"),
        ]
        return profile_of(phases=[phase_of("training", {"node": rows})])

    (phase,) = compare_profiles(training(10, 20), training(11, 50)).phases
    assert [(one.part, one.difference_cycles) for one in phase.rows["node"]] == [
        ("backward", 30),
        ("forward", 1),
    ]


def test_functions_of_one_name_in_two_libraries_are_two() -> None:
    def profiled(cycles: float, library: str) -> Profile:
        rows = {"function": [row("run", cycles, library)]}
        return profile_of(phases=[phase_of("inference", rows)])

    (phase,) = compare_profiles(profiled(1, "a.so"), profiled(2, "b.so")).phases
    assert [(one.kind, one.difference_cycles) for one in phase.rows["function"]] == [
        ("b.so", 2),
        ("a.so", -1),
    ]
    assert set(phase.rows) == {"function"}


def test_a_phase_that_only_one_has_is_a_remark() -> None:
    load = phase_of("load", {"node": [row("a", 1)]})
    both = profile_of(row("a", 1))
    compared = compare_profiles(both, both.model_copy(update={"phases": [load, *both.phases]}))
    assert [phase.name for phase in compared.phases] == ["inference"]
    assert compared.remarks == ["the load is of model.onnx alone, and is not compared"]
    with pytest.raises(ComparisonError, match="no phase in common"):
        compare_profiles(both, both.model_copy(update={"phases": [load]}))
    with pytest.raises(UsageError, match="no phase 'inferenc': its phases are inference"):
        kept_phases(compared, ["inferenc"])
    assert kept_phases(compared, ["inference"]) == compared


def test_workloads_that_differ_are_remarked_on() -> None:
    litert = make_file_record(deployment=Deployment(runtime="litert", batch_size=1, inferences=2))
    one = profile_of(row("a", 1), title="a.onnx")
    other = profile_of(row("a", 1), title="a.tflite", workload=litert)
    remarks = compare_profiles(one, other).remarks
    assert "a.onnx ran in onnxruntime, a.tflite in litert" in remarks[0]
    assert remarks[1] == ("an inference of a.onnx is a batch of 4, one of a.tflite a batch of 1")
    trained = [
        profile_of(row("a", 1), workload=make_workload_record(epochs=epochs)) for epochs in (1, 2)
    ]
    assert compare_profiles(*trained).remarks == ["the two differ in their epochs: 1, 2"]


def test_unlike_prices_are_refused() -> None:
    one = profile_of(row("a", 1))
    with pytest.raises(ComparisonError, match="price: core, paper") as refused:
        compare_profiles(one, profile_of(row("a", 1), price="paper"))
    assert refused.value.exit_code == 4


def test_a_profile_is_priced_again_as_another() -> None:
    machine = load_machine("epyc-7763")
    fingerprint = make_fingerprint(
        geometry=machine.geometry, simulated_geometry=machine.simulated_geometry
    )
    counts = [make_counts(), make_counts(Ir=90_000, D1mr=2_000)]
    rows = [row(name, 1, counts=one) for name, one in zip("ab", counts, strict=True)]
    one = profile_of(*rows, fingerprint=fingerprint)
    like = profile_of(price="paper", accesses="all")
    again = repriced_profile(one, machine, like)
    assert pricing_differences(again, like) == []
    phase = again.phase("inference")
    assert math.fsum(each.cycles for each in phase.rows["node"]) == pytest.approx(phase.cycles)
    assert [each.name for each in phase.rows["node"]] == ["b", "a"]
    with pytest.raises(ComparisonError, match="other caches than those of xeon-x5650"):
        repriced_profile(one, load_machine("xeon-x5650"), like)
    with pytest.raises(ComparisonError, match="three levels"):
        repriced_profile(one, machine, like.model_copy(update={"levels": 3}))


@pytest.mark.parametrize(
    ("operators", "operation"),
    [
        ("Conv FusedConv QLinearConv ConvInteger CONV_2D DEPTHWISE_CONV_2D Conv2D", "conv"),
        ("Gemm QGemm MatMul FusedMatMul MatMulIntegerToFloat FULLY_CONNECTED Dense", "product"),
        ("AVERAGE_POOL_2D AveragePool QLinearAveragePool", "averagepool"),
        ("TRANSPOSE_CONV ConvTranspose", "convtranspose"),
        ("QuantizeLinear QUANTIZE_LINEAR", "quantizelinear"),
    ],
)
def test_operators_of_one_operation_are_told(operators: str, operation: str) -> None:
    assert {operation_of(one) for one in operators.split()} == {operation}


names = st.sampled_from(["runtime", "/0/Conv", "/1/Relu", "MatMul_3", "MatMul_12", "b", "c"])
kinds = st.sampled_from([None, "Conv", "QLinearConv", "MatMul", "Gemm", "Relu"])
works = st.sampled_from([None, 0, 100, 200])


@st.composite
def rows_of(draw: st.DrawFn) -> list[ProfileRow]:
    found = draw(st.lists(names, unique=True, max_size=7))
    return [
        row(
            name,
            draw(st.floats(0, 1e9)),
            draw(kinds),
            nodes=draw(st.lists(names, max_size=3)),
            multiply_accumulates=draw(works),
        )
        for name in found
    ]


@given(rows_of(), rows_of(), st.integers(1, 100), st.integers(1, 100))
def test_rows_add_up_to_the_difference_and_each_is_there_once(
    before: list[ProfileRow], after: list[ProfileRow], runs: int, other_runs: int
) -> None:
    def profiled(rows: list[ProfileRow], runs: int) -> Any:
        # A grouping without rows is not compared.
        kept = [*rows, row("interpreter", 1)]
        return profile_of(phases=[phase_of("inference", {"node": kept}, runs=runs)])

    (phase,) = compare_profiles(profiled(before, runs), profiled(after, other_runs)).phases
    rows = phase.rows["node"]
    scale = max(phase.before_cycles, phase.after_cycles)
    whole = math.fsum(one.difference_cycles for one in rows)
    assert math.isclose(whole, phase.difference_cycles, abs_tol=1e-9 * scale)
    for side, cycles in (
        ("before_cycles", phase.before_cycles),
        ("after_cycles", phase.after_cycles),
    ):
        told = [getattr(one, side) for one in rows if getattr(one, side) is not None]
        assert math.isclose(math.fsum(told), cycles, abs_tol=1e-9 * scale)
    assert sum(one.before_cycles is not None for one in rows) == len(before) + 1
    assert sum(one.after_cycles is not None for one in rows) == len(after) + 1
    differences = [abs(one.difference_cycles) for one in rows]
    assert differences == sorted(differences, reverse=True)
