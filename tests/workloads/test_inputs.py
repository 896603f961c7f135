"""Inputs of a model: open dimensions get sizes, and inputs are drawn or taken from data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from powerml.errors import ModelError, UnknownNameError, UsageError
from powerml.runtimes import Input
from powerml.workloads.inputs import (
    digest_of_arrays,
    inputs_from_arrays,
    inputs_from_dataset,
    open_dimensions_of,
    random_inputs,
    remarks_on,
    resolve_inputs,
)
from powerml.workloads.splits import Dataset, check_splits
from powerml.workloads.uses import Use
from powerml.workloads.workload import ModelInput
from tests.builders import make_arrays


def _open(*shape: int | str, name: str = "x", dtype: str = "float32") -> Input:
    return Input(name=name, shape=shape, dtype=dtype)


def _fixed(*shape: int, name: str = "x", dtype: str = "float32") -> ModelInput:
    return ModelInput(name=name, shape=shape, dtype=dtype)


def _dataset(**changed: NDArray[Any]) -> Dataset:
    return check_splits(make_arrays(**changed), "mine", 0.5)


@pytest.mark.parametrize("name", ["N", "batch", "batch_size", "x.0", "unk__12"])
def test_an_open_first_dimension_is_the_batch_whatever_it_is_called(name: str) -> None:
    inputs = [_open(name, 3)]
    assert resolve_inputs(inputs, None, {}) == ((_fixed(1, 3),), 1)
    assert resolve_inputs(inputs, 4, {}) == ((_fixed(4, 3),), 4)
    assert resolve_inputs(inputs, None, {name: 5}) == ((_fixed(5, 3),), 5)
    assert resolve_inputs(inputs, None, {"batch": 6}) == ((_fixed(6, 3),), 6)


def test_a_model_without_open_dimensions_keeps_its_batch() -> None:
    assert resolve_inputs([_open(8, 3)], None, {}, batch_first=True) == ((_fixed(8, 3),), 8)
    shape = (8, 3, 4, 4)
    assert resolve_inputs([_open(*shape)], 8, {}) == ((_fixed(*shape),), 8)


def test_one_batch_for_several_inputs() -> None:
    inputs = [_open("N", 3), _open("M", 2, name="y", dtype="int64")]
    resolved, batch = resolve_inputs(inputs, 2, {})
    assert resolved == (_fixed(2, 3), _fixed(2, 2, name="y", dtype="int64"))
    assert batch == 2


def test_an_open_dimension_that_several_inputs_share_is_given_once() -> None:
    inputs = [_open("N", "length"), _open("N", "length", name="mask", dtype="bool")]
    resolved, _ = resolve_inputs(inputs, None, {"length": 7})
    assert [one.shape for one in resolved] == [(1, 7), (1, 7)]


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (
            ("N", "length"),
            "leaves a dimension open, 'length' of x (?, ?): say how large with --dim length=N",
        ),
        (
            ("N", "width", 3, "height"),
            "leaves dimensions open, 'height' of x (?, ?, 3, ?), 'width' of x (?, ?, 3, ?): "
            "say how large with --dim height=N --dim width=N",
        ),
    ],
)
def test_other_open_dimensions_are_demanded(shape: tuple[int | str, ...], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_inputs([_open(*shape)], 2, {})
    assert str(caught.value) == f"the model {told}"


def test_only_what_is_still_missing_is_demanded() -> None:
    with pytest.raises(UsageError, match="leaves a dimension open, 'height'") as caught:
        resolve_inputs([_open("N", "width", "height")], None, {"width": 4})
    assert "--dim width" not in str(caught.value)


def test_a_fixed_batch_is_not_changed() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_inputs([_open(8, 3, 4, 4, name="image")], 4, {})
    assert str(caught.value) == (
        "the model has fixed the first dimension of image at 8, so a batch of 4 does not fit: "
        "leave out --inference-batch"
    )


@pytest.mark.parametrize(
    ("shape", "given", "told"),
    [
        (("N", "length"), "lenght", "unknown open dimension 'lenght': did you mean 'length'"),
        (("N", 3), "width", "unknown open dimension 'width': known: N"),
        ((4, 3), "width", "known: none, all are fixed"),
        ((4, 3), "batch", "unknown open dimension 'batch': known: none, all are fixed"),
        ((4, "length"), "batch", "unknown open dimension 'batch': known: length"),
    ],
)
def test_dimensions_that_the_model_does_not_have(
    shape: tuple[int | str, ...], given: str, told: str
) -> None:
    with pytest.raises(UnknownNameError, match=told):
        resolve_inputs([_open(*shape)], None, {given: 3})


@pytest.mark.parametrize("size", [0, -1])
@pytest.mark.parametrize("name", ["N", "length", "batch"])
def test_sizes_below_one_are_refused(name: str, size: int) -> None:
    with pytest.raises(UsageError, match=f"the dimension {name} is {size}: give at least 1"):
        resolve_inputs([_open("N", "length")], None, {"length": 3, name: size})


def test_a_batch_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="inference batch is 0: give at least 1"):
        resolve_inputs([_open("N", 3)], 0, {})


@pytest.mark.parametrize(
    "dtype", ["seq(tensor(float))", "bfloat16", "complex64", "optional(tensor(float))"]
)
def test_types_that_cannot_be_given_are_refused(dtype: str) -> None:
    with pytest.raises(
        ModelError, match=r"the input x is of type .*, which cannot be given"
    ) as raised:
        resolve_inputs([_open("N", 3, dtype=dtype)], None, {})
    assert dtype in str(raised.value)


def test_an_open_dimension_called_batch_that_is_not_the_first_gets_the_size_it_demands() -> None:
    with pytest.raises(UsageError, match="--dim batch=N"):
        resolve_inputs([_open(1, "batch")], None, {})
    assert resolve_inputs([_open(1, "batch")], None, {"batch": 4}) == ((_fixed(1, 4),), 1)


@pytest.mark.parametrize("name", ["batch", "N"])
def test_two_different_batches_contradict_each_other(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_inputs([_open("N", 3)], 2, {name: 4})
    assert "4" in str(caught.value)
    assert "2" in str(caught.value)
    assert "has fixed" not in str(caught.value)  # the model has not: the user said both


INTEGERS = ["int16", "uint16", "int32", "uint32", "int64", "uint64"]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(INTEGERS), st.integers(0, 2**32 - 1))
def test_integers_are_drawn_as_0_and_1_which_every_table_has(dtype: str, seed: int) -> None:
    drawn = random_inputs([_fixed(4, 50, dtype=dtype)], 2, seed)["x"]
    assert drawn.dtype == dtype
    assert set(np.unique(drawn)) == {0, 1}


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_bytes_take_any_value(dtype: str) -> None:
    drawn = random_inputs([_fixed(1, 10_000, dtype=dtype)], 1, 0)["x"]
    limits = np.iinfo(np.dtype(dtype))
    assert drawn.dtype == dtype
    assert (drawn.min(), drawn.max()) == (limits.min, limits.max)
    assert len(np.unique(drawn)) == 256


def test_booleans_are_either() -> None:
    drawn = random_inputs([_fixed(1, 100, dtype="bool")], 1, 0)["x"]
    assert drawn.dtype == np.bool_
    assert drawn.any()
    assert not drawn.all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_lie_between_0_and_1(dtype: str) -> None:
    drawn = random_inputs([_fixed(2, 3, 100, dtype=dtype)], 5, 0)["x"]
    assert (drawn.dtype, drawn.shape) == (np.dtype(dtype), (5, 2, 3, 100))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.std() > 0.1


def test_random_inputs_repeat_with_their_seed_only() -> None:
    inputs = [_fixed(1, 20), _fixed(1, 20, name="y", dtype="uint8")]
    first, again, other = (random_inputs(inputs, 3, seed) for seed in (7, 7, 8))
    assert set(first) == {"x", "y"}
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert (array != other[name]).any()


def test_inferences_differ_from_each_other() -> None:
    first, second = random_inputs([_fixed(1, 20)], 2, 0)["x"]
    assert (first != second).any()


def test_arrays_are_cut_into_inferences_and_come_round_again() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    cut = inputs_from_arrays([_fixed(2, 2)], 2, {"x": rows, "unused": rows}, "mine.npz", 2)
    assert list(cut) == ["x"]
    np.testing.assert_array_equal(cut["x"], [rows[:2], [rows[2], rows[0]]])


def test_arrays_take_the_type_of_the_input() -> None:
    given: dict[str, NDArray[Any]] = {
        "x": np.ones((1, 2)),
        "ids": np.ones((1, 2), np.int32),
    }
    cut = inputs_from_arrays(
        [_fixed(1, 2), _fixed(1, 2, name="ids", dtype="int64")], 1, given, "mine.npz"
    )
    assert [cut[name].dtype.name for name in ("x", "ids")] == ["float32", "int64"]


def test_a_missing_array_is_named_with_what_it_has_to_be() -> None:
    inputs = [_fixed(1, 2), _fixed(1, 5, name="mask", dtype="int64")]
    with pytest.raises(ModelError) as caught:
        inputs_from_arrays(inputs, 1, {"x": np.ones((1, 2))}, "mine.npz")
    assert str(caught.value) == (
        "mine.npz has no array for the input 'mask', which takes int64 of shape (1, 5): add it"
    )


@pytest.mark.parametrize("shape", [(4, 3), (2,), (4, 2, 2), (4, 4, 1), (0, 2)])
def test_arrays_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"must be of shape \(any number, 2\)") as caught:
        inputs_from_arrays([_fixed(1, 2)], 1, {"x": np.ones(shape)}, "mine.npz", 1)
    message = str(caught.value)
    assert f"mine.npz has an array of shape {shape} for the input 'x'" in message


@pytest.mark.parametrize("given", [(5, 4, 4), (5, 4, 4, 1), (5, 1, 4, 4)])
@pytest.mark.parametrize("taken", [(1, 4, 4), (1, 4, 4, 1), (1, 1, 4, 4)])
def test_one_channel_may_be_left_out_or_added(
    given: tuple[int, ...], taken: tuple[int, ...]
) -> None:
    samples = np.random.default_rng(0).random(given).astype(np.float32)
    cut = inputs_from_arrays([_fixed(*taken)], 5, {"x": samples}, "mine.npz", taken[0])["x"]
    assert cut.shape == (5, *taken)
    np.testing.assert_array_equal(cut.reshape(5, 4, 4), samples.reshape(5, 4, 4))


def test_a_single_number_is_no_array_of_samples() -> None:
    with pytest.raises(ModelError, match=r"shape \(\) for the input 'x'"):
        inputs_from_arrays([_fixed(2)], 1, {"x": np.array(3.0)}, "mine.npz")


def test_words_are_no_input() -> None:
    with pytest.raises(ModelError, match=r"mine\.npz .*'x'"):
        inputs_from_arrays([_fixed(2)], 1, {"x": np.array(["one", "two"])}, "mine.npz")


def test_open_dimensions_are_read_off_the_arrays() -> None:
    inputs = [_open("N", "length"), _open("N", 3, "depth", name="y"), _open("N", "z", name="z")]
    arrays = {"x": np.ones((9, 7)), "y": np.ones((9, 3, 4))}
    assert open_dimensions_of(inputs, arrays) == {"length": 7, "depth": 4}


def test_floats_get_scaled_pixels_and_bytes_raw_ones() -> None:
    samples = np.array([0, 51, 255] * 4, np.uint8).reshape(4, 1, 3)
    dataset = _dataset(x_train=np.repeat(samples, 2, axis=0), x_test=samples)
    floats, unsigned, signed, integers = (
        inputs_from_dataset([_fixed(1, 1, 3, dtype=dtype)], 1, dataset)["x"].ravel().tolist()
        for dtype in ("float32", "uint8", "int8", "int64")
    )
    assert floats == pytest.approx([0, 0.2, 1])
    assert unsigned == integers == [0, 51, 255]
    assert signed == [-128, -77, 127]


def test_the_test_samples_are_what_a_dataset_gives() -> None:
    dataset = _dataset()
    taken = inputs_from_dataset([_fixed(2, 4, 3, 1)], 2, dataset)["x"]
    assert taken.shape == (2, 2, 4, 3, 1)
    np.testing.assert_array_equal(taken.reshape(4, 4, 3), dataset.inputs(dataset.test, scaled=True))


def test_a_dataset_does_not_feed_several_inputs() -> None:
    with pytest.raises(ModelError) as caught:
        inputs_from_dataset([_fixed(1, 4, 3), _fixed(1, name="mask")], 1, _dataset())
    assert str(caught.value) == (
        "the model has 2 inputs (x, mask): give an .npz with an array of each name"
    )


def test_a_dataset_of_another_shape_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"mine has an array of shape \(4, 4, 3\) .* \(any number, 28"
    ):
        inputs_from_dataset([_fixed(1, 28, 28)], 1, _dataset())


def test_a_waveform_a_sequence_and_time_first_have_no_batch() -> None:
    for shape in ((16000,), (335, 10, 80), ("T", 1, 80), ("seq_len", 3)):
        named = {size: 9 for size in shape if isinstance(size, str)}
        _, batch = resolve_inputs([_open(*shape)], None, named)
        assert batch is None
        with pytest.raises(UsageError, match=r"no dimension .* known to be a batch \(x"):
            resolve_inputs([_open(*shape)], 2, named)


def test_keras_has_the_batch_first_whatever_the_shape() -> None:
    assert resolve_inputs([_open(335, 10)], None, {}, batch_first=True)[1] == 335


def test_inputs_that_disagree_have_no_batch() -> None:
    inputs = [_open(2, 3, 4, 4), _open(5, 3, 4, 4, name="y")]
    assert resolve_inputs(inputs, None, {})[1] is None


def test_an_open_batch_says_more_than_a_first_dimension_of_one() -> None:
    inputs = [_open("N", 3), _open(1, 4, name="scale")]
    assert resolve_inputs(inputs, 5, {})[1] == 5


def test_a_dimension_that_is_an_expression_is_given_or_follows() -> None:
    inputs = [_open("batch", "past + seq"), _open("batch", "seq", name="y")]
    resolved, _ = resolve_inputs(inputs, None, {"seq": 2, "past": 3})
    assert [one.shape for one in resolved] == [(1, 5), (1, 2)]
    resolved, _ = resolve_inputs(inputs, None, {"seq": 2, "past + seq": 9})
    assert resolved[0].shape == (1, 9)
    with pytest.raises(UsageError, match=r"--dim 'past [+] seq=N'"):
        resolve_inputs([inputs[0]], None, {})


def test_the_weights_tell_how_many_features_there_are() -> None:
    uses = {"x": Use(features=7)}
    assert resolve_inputs([_open("x.0", "x.1")], None, {}, uses=uses)[0][0].shape == (1, 7)
    assert resolve_inputs([_open("x.0", "x.1")], None, {"x.1": 9}, uses=uses)[0][0].shape == (1, 9)


@pytest.mark.parametrize(
    "dtype", ["bool", "float16", "float32", "float64", *INTEGERS, "int8", "uint8"]
)
def test_scalars_and_empty_shapes_are_drawn_and_given(dtype: str) -> None:
    inputs = [_fixed(dtype=dtype), _fixed(0, 3, name="none", dtype=dtype)]
    drawn = random_inputs(inputs, 3, 0)
    assert {name: (one.shape, one.dtype) for name, one in drawn.items()} == {
        "x": ((3,), np.dtype(dtype)),
        "none": ((3, 0, 3), np.dtype(dtype)),
    }
    given = {"x": np.ones((), dtype), "none": np.ones((0, 3), dtype)}
    cut = inputs_from_arrays(inputs, 2, given, "mine.npz")
    assert (cut["x"].shape, cut["none"].shape) == ((2,), (2, 0, 3))
    assert digest_of_arrays(cut) != digest_of_arrays(drawn)


def test_arrays_without_a_batch_are_one_inference_each() -> None:
    waves = np.arange(6.0).reshape(2, 3)
    cut = inputs_from_arrays([_fixed(3)], 3, {"x": waves}, "mine.npz")["x"]
    np.testing.assert_array_equal(cut, waves[[0, 1, 0]])
    (alone,) = inputs_from_arrays([_fixed(3)], 1, {"x": waves[1]}, "mine.npz")["x"]
    np.testing.assert_array_equal(alone, waves[1])
    with pytest.raises(ModelError, match=r"it must be of shape \(3,\), or several such stacked"):
        inputs_from_arrays([_fixed(3)], 1, {"x": np.ones((2, 4))}, "mine.npz")
    sizes = open_dimensions_of([_open("time", 2)], {"x": np.ones((5, 9, 2))})
    assert sizes == open_dimensions_of([_open("time", 2)], {"x": np.ones((9, 2))}) == {"time": 9}


def test_texts_are_given_and_not_drawn() -> None:
    texts = _fixed(1, 2, dtype="string")
    given = np.array([["a", "bcd"]])
    cut = inputs_from_arrays([texts], 1, {"x": given}, "mine.npz", 1)["x"]
    assert cut.tolist() == [[["a", "bcd"]]]
    with pytest.raises(UsageError, match="holds texts, so it is not drawn: give all inputs with"):
        random_inputs([texts], 1, 0)
    with pytest.raises(ModelError, match="give an array of texts"):
        inputs_from_arrays([texts], 1, {"x": np.ones((1, 2))}, "mine.npz", 1)
    with pytest.raises(ModelError, match="give an array of numbers"):
        inputs_from_arrays([_fixed(1, 2)], 1, {"x": given}, "mine.npz", 1)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint64", "int8", "float32"])
def test_indices_are_drawn_over_the_rows_of_their_table(dtype: str) -> None:
    uses = {"x": Use(low=0, high=99, indexes=True)}
    drawn = random_inputs([_fixed(1, 5000, dtype=dtype)], 1, 0, uses)["x"]
    assert drawn.dtype == dtype
    assert (drawn.min(), drawn.max(), len(np.unique(drawn))) == (0, 99, 100)
    assert remarks_on([_fixed(1, 5000, dtype=dtype)], uses) == (
        "the cost depends on the values of x, which were drawn: give real ones with --data",
    )


def test_bounds_beyond_the_type_are_those_of_the_type() -> None:
    uses = {"x": Use(low=-1000, high=1000)}
    drawn = random_inputs([_fixed(9999, dtype="int8")], 1, 0, uses)["x"]
    assert (drawn.min(), drawn.max()) == (-128, 127)


@pytest.mark.parametrize("dtype", ["int64", "bool", "int32"])
def test_masks_are_ones(dtype: str) -> None:
    drawn = random_inputs([_fixed(1, 9, name="attention_mask", dtype=dtype)], 1, 0)
    assert drawn["attention_mask"].all()
    assert remarks_on([_fixed(1, 9)], {"x": Use(low=0, high=3)}) == ()


def test_what_decides_what_is_computed_is_asked_for() -> None:
    uses = {"x": Use(decides="how often a loop runs")}
    with pytest.raises(UsageError) as caught:
        random_inputs([_fixed(dtype="int64")], 1, 0, uses)
    assert str(caught.value) == (
        "the input 'x', int64 of shape (), decides how often a loop runs, so it is not drawn: "
        "give all inputs with --data inputs.npz, an array for each name"
    )
