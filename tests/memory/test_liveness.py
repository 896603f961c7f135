"""Liveness: what of a graph's tensors lies in memory at once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.memory.liveness import Footprint, GraphStep, TensorGraph, footprint_of

sizes = st.integers(0, 2**40)


def chain(tensors: list[int]) -> TensorGraph:
    steps = [GraphStep([number], [number + 1]) for number in range(len(tensors) - 1)]
    return TensorGraph(steps, [0], [len(tensors) - 1], dict(enumerate(tensors)))


@given(st.lists(sizes, min_size=2, max_size=20))
def test_in_a_chain_two_neighbours_live_at_once(tensors: list[int]) -> None:
    largest = max(map(sum, itertools.pairwise(tensors)))
    assert footprint_of(chain(tensors)) == Footprint(0, largest)


def test_a_residual_lives_until_it_is_added() -> None:
    steps = [GraphStep(["x"], ["a"]), GraphStep(["a"], ["b"]), GraphStep(["b", "x"], ["y"])]
    graph = TensorGraph(steps, ["x"], ["y"], {"x": 10, "a": 30, "b": 5, "y": 10})
    # x, a and b at the second step
    assert footprint_of(graph).activations_bytes == 45
    assert footprint_of(TensorGraph(steps[:2], ["x"], ["b"], graph.sizes)).activations_bytes == 40


def test_an_output_lives_to_the_end_and_an_input_is_there_before_the_first_step() -> None:
    steps = [GraphStep(["x"], ["y"]), GraphStep(["x"], ["a"]), GraphStep(["a"], ["z"])]
    graph = TensorGraph(steps, ["x"], ["y", "z"], {"x": 1, "y": 100, "a": 10, "z": 10})
    assert footprint_of(graph).activations_bytes == 120
    unused = TensorGraph(
        [GraphStep(["x"], ["y"])], ["x", "unused"], ["y"], {"x": 1, "y": 2, "unused": 50}
    )
    assert footprint_of(unused).activations_bytes == 53


def test_weights_that_are_read_count_once_and_others_do_not() -> None:
    steps = [GraphStep(["x", "w"], ["a"]), GraphStep(["a", "w"], ["y"])]
    graph = TensorGraph(
        steps, ["x"], ["y"], {"x": 1, "w": 7, "a": 1, "y": 1, "dead": 99}, {"w", "dead"}
    )
    assert footprint_of(graph) == Footprint(7, 2)


def test_what_follows_from_weights_alone_is_computed_once() -> None:
    steps = [GraphStep(["w"], ["transposed"]), GraphStep(["x", "transposed"], ["y"])]
    known: dict[Hashable, int] = {"x": 1, "w": 7, "transposed": 7, "y": 2}
    assert footprint_of(TensorGraph(steps, ["x"], ["y"], known, {"w"})) == Footprint(7, 3)


def test_a_state_lives_from_the_start_to_the_end() -> None:
    steps = [GraphStep(["x"], ["a"]), GraphStep(["a"], ["b"]), GraphStep(["b", "state"], ["y"])]
    graph = TensorGraph(
        steps, ["x"], ["y"], {"x": 9, "a": 9, "b": 1, "y": 1, "state": 4}, (), {"state"}
    )
    assert footprint_of(graph).activations_bytes == 22


def test_an_alias_takes_no_bytes_and_keeps_its_storage_alive() -> None:
    steps = [
        GraphStep(["x"], ["q"]),
        GraphStep(["q"], ["f"]),
        GraphStep(["x"], ["a"]),
        GraphStep(["f", "a"], ["y"]),
    ]
    graph = TensorGraph(steps, ["x"], ["y"], {"x": 4, "q": 1, "a": 4, "y": 4}, aliases={"f": "q"})
    assert footprint_of(graph) == Footprint(0, 9)
    with pytest.raises(ValueError, match="its own"):
        footprint_of(TensorGraph(steps, ["x"], ["y"], {}, aliases={"f": "q", "q": "f"}))


def test_an_unknown_size_leaves_the_figure_unknown_never_zero() -> None:
    steps = [GraphStep(["x", "w"], ["a"]), GraphStep(["a"], ["y"])]
    found = footprint_of(TensorGraph(steps, ["x"], ["y"], {"x": 1, "w": 7, "y": 1}, {"w"}))
    assert found == Footprint(7, None, ("a",))
    found = footprint_of(TensorGraph(steps, ["x"], ["y"], {"x": 1, "a": 2, "y": 1}, {"w"}))
    assert found == Footprint(None, 3, ("w",))


@given(
    st.lists(sizes, min_size=4, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12),
)
def test_the_peak_lies_between_the_largest_step_and_all_tensors(
    tensors: list[int], pairs: list[tuple[int, int]]
) -> None:
    steps = [GraphStep([read], [written]) for read, written in pairs]
    peak = footprint_of(TensorGraph(steps, [0], [3], dict(enumerate(tensors)))).activations_bytes
    at_once = [sum({name: tensors[name] for name in pair}.values()) for pair in pairs]
    assert peak is not None
    assert max(at_once, default=0) <= peak <= sum(tensors)
