from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml import plugins, spaces
from powerml.errors import TopologyError, UnknownNameError, UsageError
from powerml.spaces import (
    Bounds,
    Topology,
    example_names,
    find_space,
    parse_subspace,
    parse_topology,
    space_names,
    topology_of,
)

# All that somebody who adds a space writes.
THIRD_SPACE = '''
"""One hidden layer."""

from powerml.spaces import Bounds


class Single:
    name = "{name}"
    bounds = {{"units": Bounds(1, 64)}}
    batch_size_bounds = Bounds(2, 128)
    reference = {{"units": 8}}
    reference_batch_size = 64
    optimizer = "sgd"

    def check_input(self, input_shape):
        return None

    def build(self, parameters, input_shape, classes, kernel_initializer):
        import keras

        return keras.Sequential(
            [
                keras.Input(input_shape),
                keras.layers.Flatten(),
                keras.layers.Dense(parameters["units"], kernel_initializer=kernel_initializer),
                keras.layers.Dense(classes, activation="softmax"),
            ]
        )


space = Single()
'''


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any topology of any built-in space."""
    space = find_space(draw(st.sampled_from(["cnn", "dffr"])))
    return Topology(
        space.name,
        {name: draw(st.integers(limits.low, limits.high)) for name, limits in space.bounds.items()},
    )


@settings(deadline=None)
@given(topologies())
def test_text_and_parameters_round_trip(topology: Topology) -> None:
    parsed = parse_topology(str(topology))
    assert parsed == topology
    assert str(parsed) == str(topology)
    assert hash(parsed) == hash(topology)


@settings(deadline=None)
@given(topologies(), st.randoms(use_true_random=False), st.sampled_from(["", " ", "\t", " \n"]))
def test_order_and_white_space_do_not_matter(
    topology: Topology, random: Random, space: str
) -> None:
    pairs = list(topology.parameters.items())
    random.shuffle(pairs)
    parts = [f"{space}{name}{space}={space}{value}{space}" for name, value in pairs]
    text = f"{space}{topology.space}{space}:{','.join(parts)}"
    assert str(parse_topology(text)) == str(topology)


def test_the_papers_search_space() -> None:
    spaces = {
        name: {key: str(limits) for key, limits in find_space(name).bounds.items()}
        for name in ("dffr", "cnn")
    }
    assert spaces == {
        "dffr": {"layers": "1 to 10", "width": "1 to 20"},
        "cnn": {"layers": "1 to 10", "filters": "1 to 5", "kernel": "1 to 10"},
    }
    for name in ("dffr", "cnn"):
        assert str(find_space(name).batch_size_bounds) == "2 to 128"


@pytest.mark.parametrize("name", ["dffr", "cnn"])
def test_the_reference_lies_in_the_space(name: str) -> None:
    space = find_space(name)
    assert topology_of(space, space.reference).parameters == dict(space.reference)
    assert space.reference_batch_size in space.batch_size_bounds
    assert space.reference_batch_size == 64


def test_the_references_are_the_ones_that_studies_are_compared_by() -> None:
    written = {
        name: str(topology_of(find_space(name), find_space(name).reference))
        for name in ("dffr", "cnn")
    }
    assert written == {
        "dffr": "dffr:layers=5,width=10",
        "cnn": "cnn:layers=5,filters=3,kernel=5",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dffr:layers=0,width=1", "dffr layers=0 is out of bounds: layers is 1 to 10"),
        ("dffr:layers=11,width=1", "layers is 1 to 10"),
        ("dffr:layers=1,width=21", "width is 1 to 20"),
        ("dffr:layers=-3,width=1", "layers=-3 is out of bounds"),
        ("cnn:layers=1,filters=6,kernel=1", "filters is 1 to 5"),
        ("cnn:layers=1,filters=1,kernel=11", "kernel is 1 to 10"),
        ("dffr:layers=2", "dffr needs width: write dffr:layers=5,width=10"),
        ("dffr:", "dffr needs layers"),
        ("dffr", "dffr needs layers"),
        ("cnn:kernel=2,filters=2", "cnn needs layers"),
        ("dffr:layers=2,layers=2,width=3", "gives layers twice"),
    ],
)
def test_out_of_the_space(text: str, told: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "part",
    ["layers", "layers=", "layers=two", "layers=2.0", "layers==2", "layers=--2", "layers=-", "",
     "layers=2 3", "layers=٢", "layers=0x2", "layers=1e1", "layers=+2", "layers=2_0"],
)  # fmt: skip
def test_malformed_text_names_the_part(part: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse_topology(f"dffr:width=3,{part}")
    assert f"cannot read {part!r}" in str(caught.value)
    assert "name=integer" in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"dffr:{text}", f"dffr:layers=1,width={text}"):
        with contextlib.suppress(TopologyError, UnknownNameError):
            parsed = parse_topology(candidate)
            assert parse_topology(str(parsed)) == parsed


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown space 'dfr': did you mean 'dffr'"):
        parse_topology("dfr:layers=1,width=1")
    with pytest.raises(
        UnknownNameError, match="unknown parameter of dffr 'widht': did you mean 'width'"
    ):
        parse_topology("dffr:layers=1,widht=1")
    with pytest.raises(UnknownNameError, match="known: filters, kernel, layers"):
        parse_topology("cnn:layers=1,zoom=1")
    with pytest.raises(UnknownNameError, match="unknown space ''"):
        parse_topology("")


@pytest.fixture
def third_space_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """One more file among the spaces."""
    name = "single_of_tests"
    (tmp_path / f"{name}.py").write_text(THIRD_SPACE.format(name=name), encoding="utf-8")
    monkeypatch.setattr(spaces, "__path__", [*spaces.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield name
    sys.modules.pop(f"{spaces.__name__}.{name}", None)
    vars(spaces).pop(name, None)


def test_a_third_space_is_one_file(third_space_file: str) -> None:
    assert third_space_file in space_names()
    assert find_space(third_space_file).optimizer == "sgd"
    assert parse_topology(f"{third_space_file}:units=3").parameters == {"units": 3}
    with pytest.raises(TopologyError, match="units is 1 to 64"):
        parse_topology(f"{third_space_file}:units=65")
    with pytest.raises(UnknownNameError, match=f"did you mean {third_space_file!r}"):
        parse_topology("single_of_test:units=3")


def test_a_space_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "powerml_tests_plug_in"
    (tmp_path / f"{module}.py").write_text(THIRD_SPACE.format(name="single"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("single", f"{module}:space", "powerml.spaces")

    def entry_points(group: str) -> list[EntryPoint]:
        return [point] if group == point.group else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    try:
        assert space_names() == sorted([*example_names(), "cnn", "dffr", "single"])
        assert str(parse_topology("single:units=3")) == "single:units=3"
        assert parse_topology("dffr:layers=1,width=1").space == "dffr"
    finally:
        sys.modules.pop(module, None)


def test_without_plug_ins_there_are_the_papers_two() -> None:
    assert {"cnn", "dffr"} <= set(space_names())
    assert space_names() == sorted(space_names())


def test_parameters_come_in_the_spaces_order() -> None:
    parameters: Mapping[str, int] = {"width": 3, "layers": 2}
    assert str(topology_of(find_space("dffr"), parameters)) == "dffr:layers=2,width=3"


def test_equal_topologies_have_equal_hashes() -> None:
    one = Topology("dffr", {"layers": 2, "width": 3})
    other = Topology("dffr", {"width": 3, "layers": 2})
    assert one == other
    assert hash(one) == hash(other)


def test_a_number_with_thousands_of_digits_is_refused() -> None:
    with pytest.raises(TopologyError, match="cannot read"):
        parse_topology(f"dffr:layers={'9' * 5000},width=1")


@pytest.mark.parametrize(
    ("text", "written", "layers", "width"),
    [
        ("dffr", "dffr", Bounds(1, 10), None),
        ("dffr:layers=1-3,width=4-12", "dffr:layers=1-3,width=4-12", Bounds(1, 3), Bounds(4, 12)),
        ("dffr:layers=2", "dffr:layers=2", Bounds(2, 2), None),
        (" dffr: layers = 1 - 1 ", "dffr:layers=1", Bounds(1, 1), None),
        ("dffr:layers=1-10", "dffr", Bounds(1, 10), None),
    ],
)
def test_a_subspace_is_a_space_within_bounds(
    text: str, written: str, layers: Bounds, width: Bounds | None
) -> None:
    subspace = parse_subspace(text)
    assert str(subspace) == written
    assert str(parse_subspace(str(subspace))) == written
    assert subspace.bounds["layers"] == layers
    assert subspace.bounds["width"] == (width or find_space("dffr").bounds["width"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dffr:layers=0-3", "has layers from 0 to 3: give a range within 1 to 10"),
        ("dffr:layers=3-2", "has layers from 3 to 2: give a range within 1 to 10"),
        ("dffr:layers=1-11", "give a range within 1 to 10"),
        ("dffr:layers=1-3,layers=2", "gives layers twice: give it once"),
        ("dffr:layers=a", "cannot read 'layers=a' in the space"),
        ("dffr:layers=1..3", "write name=integer or name=low-high"),
        ("dffr:layer=1", "did you mean 'layers'?"),
        ("dfr:layers=1", "did you mean 'dffr'?"),
    ],
)
def test_a_subspace_that_cannot_be_searched_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_subspace(text)
    assert told in str(caught.value)
