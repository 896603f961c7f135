"""Terms of operations, and what a cost model makes of them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.cost_model import LAYERS, OPERATIONS, CostModel, Demand
from powerml.costs.operation_terms import (
    operation_inference_terms,
    operation_sums,
    operation_training_terms,
)
from powerml.operations import KINDS, Operation

DEMAND = Demand(training_samples=100, epochs=2, inference_samples=100, inference=(1, 1))

OPERATIONS_DRAWN = st.lists(
    st.builds(
        Operation,
        st.sampled_from(KINDS),
        inputs=st.integers(1, 1000),
        outputs=st.integers(1, 1000),
        weights=st.integers(0, 1000),
        multiply_accumulates=st.integers(0, 10**6),
        fan_in=st.integers(1, 100),
        units=st.integers(1, 100),
        positions=st.integers(1, 100),
        calls=st.integers(1, 10),
    ),
    min_size=1,
    max_size=6,
)


def _dense(fan_in: int, units: int) -> list[Operation]:
    """A dense layer as PyTorch computes it in Keras."""
    return [
        Operation("product", fan_in, units, fan_in * units, fan_in * units, fan_in, units),
        Operation("elementwise", units, units, units),
        Operation("elementwise", units, units),
    ]


def _convolution(channels: int, units: int, window: tuple[int, ...] = (3, 3)) -> Operation:
    area = int(np.prod(window))
    weights = channels * area * units
    return Operation(
        "convolution",
        channels * 64,
        units * 64,
        weights,
        weights * 64,
        channels * area,
        units,
        64,
        window,
    )


def _inference(operations: list[Operation], samples: int = 1) -> dict[str, float]:
    terms = operation_inference_terms(operation_sums(operations)[None], samples, 1)
    found = dict(zip(terms.names, terms.values[0].tolist(), strict=True))
    return {name: value for name, value in found.items() if value}


@given(OPERATIONS_DRAWN, OPERATIONS_DRAWN)
def test_sums_of_two_networks_add_up(one: list[Operation], other: list[Operation]) -> None:
    together = operation_sums([*one, *other])
    np.testing.assert_allclose(together, operation_sums(one) + operation_sums(other))


@given(OPERATIONS_DRAWN)
def test_the_order_of_operations_does_not_matter(operations: list[Operation]) -> None:
    np.testing.assert_allclose(operation_sums(operations[::-1]), operation_sums(operations))


@given(OPERATIONS_DRAWN, st.integers(1, 64), st.integers(1, 1000), st.integers(1, 5))
def test_no_term_is_negative(
    operations: list[Operation], batch_size: int, samples: int, epochs: int
) -> None:
    sums = operation_sums(operations)[None]
    trained = operation_training_terms(sums, np.array([float(batch_size)]), samples, epochs)
    assert np.all(trained.values >= 0)
    assert np.all(operation_inference_terms(sums, batch_size, epochs).values >= 0)


@given(OPERATIONS_DRAWN)
def test_two_epochs_are_twice_one_but_for_the_set_up(operations: list[Operation]) -> None:
    sums, sizes = operation_sums(operations)[None], np.array([8.0])
    one, two = (operation_training_terms(sums, sizes, 100, epochs) for epochs in (1, 2))
    once = np.array([name == "set-up" or name.endswith(", network") for name in one.names])
    np.testing.assert_allclose(two.values[:, once], one.values[:, once])
    np.testing.assert_allclose(two.values[:, ~once], 2 * one.values[:, ~once])


def test_a_batch_larger_than_the_data_is_all_the_data() -> None:
    sums = np.array([operation_sums(_dense(784, 8))] * 2)
    terms = operation_training_terms(sums, np.array([100.0, 128.0]), 100, 2)
    np.testing.assert_array_equal(terms.values[0], terms.values[1])


def test_units_are_rounded_up_to_blocks() -> None:
    nine, sixteen = (_inference(_dense(10, units)) for units in (9, 16))
    name = "product product in blocks of 8"
    assert nine[name] == sixteen[name] == 160


def test_what_adds_weights_is_no_operation_of_its_own_in_a_runtime() -> None:
    found = _inference(_dense(10, 4))
    assert found["elementwise operation"] == 1
    assert found["elementwise operation with weights"] == 1


@pytest.mark.parametrize(
    ("channels", "window", "expected"),
    [
        (3, (3, 3), "blocked product of few channels"),
        (8, (3, 3), "blocked product"),
        (12, (3, 3), "blocked product"),
        (10, (3, 3), "gathered product"),
        (8, (3,), "gathered product"),
    ],
)
def test_a_runtime_computes_convolutions_in_blocks_of_channels_if_it_can(
    channels: int, window: tuple[int, ...], expected: str
) -> None:
    found = _inference([_convolution(channels, 8, window)])
    names = {"blocked product of few channels", "blocked product", "gathered product"}
    assert {name for name in names if f"convolution {name}" in found} == {expected}


def test_channels_are_rounded_up_to_blocks_too() -> None:
    twelve, sixteen = (_inference([_convolution(channels, 8)]) for channels in (12, 16))
    name = "convolution blocked product"
    assert twelve[name] == sixteen[name]


@pytest.mark.parametrize(("weights", "again"), [(6000, 0.0), (8192, 8192.0), (20000, 20000.0)])
def test_weights_of_a_recurrence_are_read_again_where_they_do_not_fit(
    weights: int, again: float
) -> None:
    one = Operation("recurrence", 1, 1, weights, 1, 1, 1, positions=5)
    found = _inference([one]).get("recurrence weight read again", 0.0)
    assert found == pytest.approx(5 * again)


@pytest.mark.parametrize(
    ("depthwise", "side", "window", "stride", "passes"),
    [
        # As ONEDNN_VERBOSE=1 names the kernels for AVX2: gemm where windows are unfolded.
        (False, 8, 5, 1, 0),
        (False, 4, 5, 1, 1),
        (False, 2, 3, 1, 1),
        (False, 2, 5, 2, 2),
        (False, 4, 1, 2, 0),
        (False, 16, 9, 1, 1),
        (True, 8, 3, 1, 0),
        (True, 8, 3, 2, 0),
        (True, 8, 5, 1, 1),
        (True, 4, 1, 2, 1),
        (True, 2, 7, 1, 2),
    ],
)
def test_a_training_unfolds_windows_that_have_no_kernel(
    depthwise: bool, side: int, window: int, stride: int, passes: int
) -> None:
    channels = 16
    outputs = (side // stride) ** 2
    read = window**2 * (1 if depthwise else channels)
    one = Operation(
        "depthwise" if depthwise else "convolution",
        channels * side**2,
        channels * outputs,
        fan_in=read,
        units=channels,
        positions=outputs,
        window=(window, window),
        groups=channels if depthwise else 1,
    )
    terms = operation_training_terms(operation_sums([one])[None], np.array([10.0]), 10, 1)
    found = dict(zip(terms.names, terms.values[0].tolist(), strict=True))
    assert found[f"{one.kind} unfolded image"] == 10 * one.groups * passes
    assert found[f"{one.kind} unfolded window"] == 10 * read * one.groups * outputs * passes


@pytest.mark.parametrize(("size", "small"), [(6, 384), (7, 0)])
def test_small_matrices_are_told_from_those_that_a_library_multiplies(
    size: int, small: int
) -> None:
    products = 3 * 8 * 8 * size
    one = Operation("matching", 48 * size, 192, 0, products, size, 8, 24, groups=3)
    terms = operation_training_terms(operation_sums([one])[None], np.array([1.0]), 1, 1)
    found = dict(zip(terms.names, terms.values[0].tolist(), strict=True))
    assert found["matching small product"] == 3 * small
    assert found["matching pair"] == 3


def test_every_kind_has_terms_in_both_phases() -> None:
    for kind in KINDS:
        sums = operation_sums([Operation(kind, 8, 8, 8, 8, 8, 8)])[None]
        without = np.zeros_like(sums)
        sizes = np.array([4.0])
        for one, other in (
            (operation_inference_terms(sums, 1, 1), operation_inference_terms(without, 1, 1)),
            (
                operation_training_terms(sums, sizes, 8, 1),
                operation_training_terms(without, sizes, 8, 1),
            ),
        ):
            assert (one.values > other.values).any(), kind


def test_each_prior_is_of_a_term() -> None:
    sums = np.zeros((1, *operation_sums([]).shape))
    known = {
        "training": set(operation_training_terms(sums, np.array([1.0]), 1, 1).names),
        "inference": set(operation_inference_terms(sums, 1, 1).names),
    }
    for phase, prior in OPERATIONS.prior.items():
        assert set(prior) <= known[phase]
        assert all(cost > 0 for cost in prior.values())


def test_a_model_of_operations_learns_and_predicts() -> None:
    model = CostModel(DEMAND, OPERATIONS)
    widths = np.random.default_rng(0).integers(1, 256, size=12)
    networks = [_dense(784, width) for width in widths.tolist()]
    costs = [1e6 + sum(50 * one.multiply_accumulates for one in network) for network in networks]
    for network, cost in zip(networks[:8], costs[:8], strict=True):
        model.learn(network, 16, {"training": 30 * cost, "inference": cost})
    sums = np.array([model.structure.sums(network) for network in networks[8:]])
    predicted = model.predict("inference", sums, np.full(4, 16.0))
    errors = np.abs(predicted.cycles / costs[8:] - 1)
    # The costs are exactly of two of its terms, and the prior pulls at them: within the 10 % that a
    # search is promised of other networks' costs.
    assert errors.max() < 0.1
    assert np.all(errors <= model.fit("inference").bound(predicted.error))


def test_layers_are_learned_from_unless_told_otherwise() -> None:
    assert CostModel(DEMAND).structure is LAYERS


DATA = Path(__file__).parents[2] / "benchmarks" / "data" / "networks.csv"


@pytest.mark.parametrize("kind", ["gru", "torch-mlp"])
def test_twenty_inferences_tell_the_others_of_a_space(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(DATA.parents[1])])
    from drawn_networks import KINDS as DRAWN
    from powerml.operations import operations_of

    with DATA.open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["kind"], row["phase"]) == (kind, "inference")
        ]
    model, found = CostModel(DEMAND, OPERATIONS), []
    for number, row in enumerate(rows):
        network = DRAWN[kind].build(json.loads(row["network"]))
        operations = operations_of(network, DRAWN[kind].input_shape)
        if number < 20:
            cycles = float(row["core"])
            model.learn(operations, 1, {"training": cycles, "inference": cycles})
        else:
            found.append((operation_sums(operations), float(row["core"])))
    predicted = model.predict("inference", np.array([one for one, _ in found]), np.ones(len(found)))
    errors = np.abs(predicted.cycles / [cycles for _, cycles in found] - 1)
    # Asked for are 10 %; benchmarks/networks.py has 0.9 and 1.5 % for these.
    assert np.median(errors) < 0.05
