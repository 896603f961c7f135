"""Verdicts: limits, regressions, differences and causes, by numbers made by hand."""

from __future__ import annotations

import pytest

from powerml.costs.cost import Cost
from powerml.errors import UsageError
from powerml.gate.baseline import BaselineNode, BaselinePhase
from powerml.gate.limits import GateLimits
from powerml.gate.record import CheckedMemory, CheckedPhase
from powerml.gate.verdict import (
    causes,
    cheaper_remarks,
    checked_phases,
    conditions_of,
    differences_to,
    held_limits,
    held_regressions,
    worst,
)
from tests.builders import make_file_record, make_fingerprint, make_measurement, make_phase
from tests.gate.doubles import make_baseline


def _phase(name: str, cycles: float, **fields: float | None) -> CheckedPhase:
    return CheckedPhase.model_validate(
        {"name": name, "cycles": cycles, "seconds": None, "joules": None, **fields}
    )


def test_a_cost_at_its_limit_is_kept_and_one_above_is_not() -> None:
    for value, exceeded in ((1000, False), (1001, True)):
        limits = GateLimits(max_inference_cycles=1000.0)
        [held] = held_limits(limits, [_phase("inference", value)], None, {})
        assert (held.exceeded, held.value, held.unit) == (exceeded, value, "cycles")


def test_each_limit_is_held_against_its_own_value() -> None:
    limits = GateLimits(
        max_load_cycles=10.0,
        max_training_cycles=10.0,
        max_inference_seconds=1.0,
        max_energy=1.0,
        max_memory=100,
        max_file_size=100,
    )
    phases = [
        _phase("training", 11),
        _phase("load", 12),
        _phase("inference", 13, seconds=2, joules=0.5),
    ]
    memory = CheckedMemory(needed_bytes=101, file_bytes=99)
    held = held_limits(limits, phases, memory, {"max_energy": 42})
    assert {one.name: (one.value, one.exceeded) for one in held} == {
        "max-load-cycles": (12, True),
        "max-training-cycles": (11, True),
        "max-inference-seconds": (2, True),
        "max-energy": (0.5, False),
        "max-memory": (101, True),
        "max-file-size": (99, False),
    }
    assert [one.line for one in held if one.name == "max-energy"] == [42]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (GateLimits(max_training_cycles=1.0), "max-training-cycles cannot be held"),
        (GateLimits(max_inference_seconds=1.0), "the price paper has none"),
        (GateLimits(max_energy=1.0), "the machine's profile has no energies"),
        (GateLimits(max_memory=1), "its graph does not tell the memory"),
    ],
)
def test_a_limit_of_something_unknown_is_refused_never_kept(limits: GateLimits, said: str) -> None:
    memory = CheckedMemory(needed_bytes=None, file_bytes=None)
    with pytest.raises(UsageError, match=said):
        held_limits(limits, [_phase("inference", 5)], memory, {})


def test_a_regression_is_the_change_of_a_phase() -> None:
    phases = [_phase("load", 1004, change=0.004), _phase("inference", 1006, change=0.006)]
    held = held_regressions(0.005, phases, {})
    assert [(one.phase, one.exceeded) for one in held] == [("load", False), ("inference", True)]


def test_costs_are_of_one_inference_and_so_are_changes() -> None:
    costs = {"epyc-7763": Cost(cycles=4000.0, joules=4.0)}
    one = {"epyc-7763": Cost(cycles=1010.0, joules=1.0)}
    phase = make_phase("inference", costs=costs, costs_per_inference=one, inferences=4)
    [found] = checked_phases(make_measurement(phases=[phase]), make_baseline())
    assert (found.cycles, found.joules, found.baseline_cycles) == (1010.0, 1.0, 1000.0)
    assert found.change == pytest.approx(0.01)


def test_a_phase_that_the_baseline_lacks_has_no_change() -> None:
    [found] = checked_phases(make_measurement(phases=[make_phase("load")]), make_baseline())
    assert found.change is None
    assert held_regressions(0.0, [found], {}) == []


def test_a_cheaper_phase_is_told_to_be_kept() -> None:
    phases = [_phase("inference", 1, change=-0.25), _phase("load", 1, change=-0.001)]
    [remark] = cheaper_remarks(0.005, phases)
    assert remark.startswith("inference is 25.00% cheaper than the baseline")


def test_what_differs_from_the_baseline_is_named() -> None:
    phase = make_phase("inference", costs={"epyc-7763": Cost(cycles=1000.0)})
    measured = make_measurement(workload=make_file_record(), phases=[phase])
    conditions = conditions_of(measured, "p" * 64)
    equal = make_baseline(conditions=conditions)
    assert differences_to(equal, measured, conditions) == []
    other = make_baseline(
        machine="raspberry-pi-4",
        conditions={**conditions, "inference batch": 1, "machine profile": "q" * 64},
        fingerprint=make_fingerprint(software={"python": "3.11.2", "onnxruntime": "1.0"}),
    )
    found = differences_to(other, measured, conditions)
    assert found[0] == "machine: raspberry-pi-4, epyc-7763"
    assert "inference batch: 1, 4" in found
    assert f"machine profile: {'q' * 12}, {'p' * 12}" in found
    assert "software.onnxruntime: 1.0, None" in found


def test_a_training_that_only_the_baseline_has_is_no_difference() -> None:
    phases = [
        make_phase(name, costs={"epyc-7763": Cost(cycles=1000.0)})
        for name in ("training", "inference")
    ]
    both = make_measurement(phases=phases)
    trained = make_baseline(
        conditions=conditions_of(both, "p"), phases=[], fingerprint=both.fingerprint
    )
    alone = make_measurement(phases=phases[1:])
    assert differences_to(trained, alone, conditions_of(alone, "p")) == []


def _nodes_before(*nodes: BaselineNode) -> BaselinePhase:
    cycles = sum(node.cycles for node in nodes)
    return BaselinePhase(name="inference", cycles=cycles, joules=None, counts={}, nodes=list(nodes))


def test_causes_are_ranked_by_their_rise_and_new_and_gone_nodes_are_among_them() -> None:
    before = _nodes_before(
        BaselineNode(name="a", cycles=100),
        BaselineNode(name="b", cycles=100),
        BaselineNode(name="gone", cycles=50),
        BaselineNode(name="same", cycles=5),
    )
    after = [
        BaselineNode(name="a", cycles=110),
        BaselineNode(name="b", cycles=160),
        BaselineNode(name="new", cycles=30),
        BaselineNode(name="same", cycles=5),
    ]
    found, remarks = causes(before, after)
    assert [(row.name, row.difference_cycles) for row in found] == [
        ("b", 60),
        ("new", 30),
        ("a", 10),
        ("gone", -50),
    ]
    assert sum(row.difference_cycles for row in found) == 305 - 255
    assert (found[1].before_cycles, found[3].after_cycles) == (None, None)
    assert remarks == []


def test_a_renamed_node_is_not_new() -> None:
    before = _nodes_before(
        BaselineNode(name="conv_1", kind="Conv", multiply_accumulates=9, cycles=100),
        BaselineNode(name="gemm_fused", kind="FusedGemm", nodes=["gemm", "relu"], cycles=30),
    )
    after = [
        BaselineNode(name="block/conv", kind="Conv", multiply_accumulates=9, cycles=120),
        BaselineNode(name="gemm", kind="QGemm", cycles=35),
    ]
    found, remarks = causes(before, after)
    assert [(row.name, row.before_cycles, row.difference_cycles) for row in found] == [
        ("conv_1 → block/conv", 100, 20),
        ("gemm", 30, 5),
    ]
    assert remarks == [
        "1 node of the inference has another name before and after, and is matched by operator, "
        "in order"
    ]


def test_the_parts_of_a_layers_training_are_rows_of_their_own() -> None:
    layers = [BaselineNode(name="a", part=part, cycles=10) for part in ("forward", "backward")]
    after = [layers[0], BaselineNode(name="a", part="backward", cycles=15)]
    [row], _ = causes(_nodes_before(*layers), after)
    assert (row.part, row.difference_cycles) == ("backward", 5)


def test_the_worst_state_is_the_checks() -> None:
    assert worst([]) == "kept"
    assert worst(["kept", "incomparable"]) == "incomparable"
    assert worst(["exceeded", "incomparable"]) == "exceeded"
    assert worst(["exceeded", "failed", "kept"]) == "failed"
