"""Liveness: what of a graph's tensors lies in memory at once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.memory.liveness import Footprint, Graph, Step, footprint_of

sizes = st.integers(0, 2**40)


def chain(tensors: list[int]) -> Graph:
    steps = [Step([number], [number + 1]) for number in range(len(tensors) - 1)]
    return Graph(steps, [0], [len(tensors) - 1], dict(enumerate(tensors)))


@given(st.lists(sizes, min_size=2, max_size=20))
def test_in_a_chain_two_neighbours_live_at_once(tensors: list[int]) -> None:
    largest = max(map(sum, itertools.pairwise(tensors)))
    assert footprint_of(chain(tensors)) == Footprint(0, largest)


def test_a_residual_lives_until_it_is_added() -> None:
    steps = [Step(["x"], ["a"]), Step(["a"], ["b"]), Step(["b", "x"], ["y"])]
    graph = Graph(steps, ["x"], ["y"], {"x": 10, "a": 30, "b": 5, "y": 10})
    # x, a and b at the second step
    assert footprint_of(graph).activations_bytes == 45
    assert footprint_of(Graph(steps[:2], ["x"], ["b"], graph.sizes)).activations_bytes == 40


def test_an_output_lives_to_the_end_and_an_input_is_there_before_the_first_step() -> None:
    steps = [Step(["x"], ["y"]), Step(["x"], ["a"]), Step(["a"], ["z"])]
    graph = Graph(steps, ["x"], ["y", "z"], {"x": 1, "y": 100, "a": 10, "z": 10})
    assert footprint_of(graph).activations_bytes == 120
    unused = Graph([Step(["x"], ["y"])], ["x", "unused"], ["y"], {"x": 1, "y": 2, "unused": 50})
    assert footprint_of(unused).activations_bytes == 53


def test_weights_that_are_read_count_once_and_others_do_not() -> None:
    steps = [Step(["x", "w"], ["a"]), Step(["a", "w"], ["y"])]
    graph = Graph(steps, ["x"], ["y"], {"x": 1, "w": 7, "a": 1, "y": 1, "dead": 99}, {"w", "dead"})
    assert footprint_of(graph) == Footprint(7, 2)


def test_what_follows_from_weights_alone_is_computed_once() -> None:
    steps = [Step(["w"], ["transposed"]), Step(["x", "transposed"], ["y"])]
    known: dict[Hashable, int] = {"x": 1, "w": 7, "transposed": 7, "y": 2}
    assert footprint_of(Graph(steps, ["x"], ["y"], known, {"w"})) == Footprint(7, 3)


def test_a_state_lives_from_the_start_to_the_end() -> None:
    steps = [Step(["x"], ["a"]), Step(["a"], ["b"]), Step(["b", "state"], ["y"])]
    graph = Graph(steps, ["x"], ["y"], {"x": 9, "a": 9, "b": 1, "y": 1, "state": 4}, (), {"state"})
    assert footprint_of(graph).activations_bytes == 22


def test_an_alias_takes_no_bytes_and_keeps_its_storage_alive() -> None:
    steps = [Step(["x"], ["q"]), Step(["q"], ["f"]), Step(["x"], ["a"]), Step(["f", "a"], ["y"])]
    graph = Graph(steps, ["x"], ["y"], {"x": 4, "q": 1, "a": 4, "y": 4}, aliases={"f": "q"})
    assert footprint_of(graph) == Footprint(0, 9)
    with pytest.raises(ValueError, match="its own"):
        footprint_of(Graph(steps, ["x"], ["y"], {}, aliases={"f": "q", "q": "f"}))


def test_an_unknown_size_leaves_the_figure_unknown_never_zero() -> None:
    steps = [Step(["x", "w"], ["a"]), Step(["a"], ["y"])]
    found = footprint_of(Graph(steps, ["x"], ["y"], {"x": 1, "w": 7, "y": 1}, {"w"}))
    assert found == Footprint(7, None, ("a",))
    found = footprint_of(Graph(steps, ["x"], ["y"], {"x": 1, "a": 2, "y": 1}, {"w"}))
    assert found == Footprint(None, 3, ("w",))


@given(
    st.lists(sizes, min_size=4, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12),
)
def test_the_peak_lies_between_the_largest_step_and_all_tensors(
    tensors: list[int], pairs: list[tuple[int, int]]
) -> None:
    steps = [Step([read], [written]) for read, written in pairs]
    peak = footprint_of(Graph(steps, [0], [3], dict(enumerate(tensors)))).activations_bytes
    at_once = [sum({name: tensors[name] for name in pair}.values()) for pair in pairs]
    assert peak is not None
    assert max(at_once, default=0) <= peak <= sum(tensors)
