from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from powerml.costs.counts import EVENTS, Counts, Instructions
from tests.builders import make_counts

integers = st.integers(min_value=0, max_value=2**63)
any_instructions = st.builds(Instructions, **dict.fromkeys(Instructions.model_fields, integers))
any_counts = st.builds(Counts, **dict.fromkeys(EVENTS, integers))
told_counts = st.builds(
    Counts, **{**dict.fromkeys(EVENTS, integers), "instructions": any_instructions}
)
CLASSES = tuple(Instructions.model_fields)


def test_the_events_are_valgrinds_nine_in_its_order() -> None:
    assert " ".join(EVENTS) == "Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw"


@settings(deadline=None)
@given(any_counts, any_counts)
def test_subtraction_undoes_addition(one: Counts, other: Counts) -> None:
    assert (one + other) - other == one
    assert (one + other) - one == other


@settings(deadline=None)
@given(any_counts, any_counts)
def test_addition_is_event_by_event_and_stays_integer(one: Counts, other: Counts) -> None:
    total = one + other
    assert total == other + one
    for event in EVENTS:
        value = getattr(total, event)
        assert value == getattr(one, event) + getattr(other, event)
        assert type(value) is int


@settings(deadline=None)
@given(any_counts, any_counts)
def test_a_difference_is_counts_or_an_error(one: Counts, other: Counts) -> None:
    if all(getattr(one, event) >= getattr(other, event) for event in EVENTS):
        assert one - other + other == one
    else:
        with pytest.raises(ValueError, match="greater than or equal to 0"):
            _ = one - other


@pytest.mark.parametrize("event", EVENTS)
def test_one_negative_event_is_enough_to_refuse_a_difference(event: str) -> None:
    with pytest.raises(ValueError, match=event):
        _ = make_counts() - make_counts(**{event: 20_000})


@settings(deadline=None)
@given(any_counts)
def test_derived_numbers_are_of_data_alone(counts: Counts) -> None:
    assert counts.data_accesses == counts.Dr + counts.Dw
    assert counts.d1_misses == counts.D1mr + counts.D1mw
    assert counts.ll_misses == counts.DLmr + counts.DLmw
    without_instructions = counts.model_copy(update={"Ir": 0, "I1mr": 0, "ILmr": 0})
    assert without_instructions.data_accesses == counts.data_accesses


@settings(deadline=None)
@given(any_counts)
def test_json_keeps_every_digit(counts: Counts) -> None:
    assert Counts.model_validate_json(counts.model_dump_json()) == counts


@pytest.mark.parametrize("bad", [-1, 1.5, None, "many"])
def test_only_natural_numbers_are_counts(bad: object) -> None:
    with pytest.raises(ValidationError):
        Counts.model_validate({**make_counts().model_dump(), "Ir": bad})


def test_a_missing_event_is_refused_not_taken_for_zero() -> None:
    events = make_counts().model_dump()
    del events["DLmw"]
    with pytest.raises(ValidationError, match="DLmw"):
        Counts.model_validate(events)


def _told(counts: Counts) -> list[int]:
    assert counts.instructions is not None
    return [getattr(counts.instructions, name) for name in CLASSES]


@settings(deadline=None)
@given(told_counts, told_counts)
def test_instructions_are_added_and_taken_off_class_by_class(one: Counts, other: Counts) -> None:
    assert _told(one + other) == [a + b for a, b in zip(_told(one), _told(other), strict=True)]
    assert one + other - other == one
    less = [max(0, a - b) for a, b in zip(_told(one), _told(other), strict=True)]
    assert _told(one.less(other)) == less


@settings(deadline=None)
@given(told_counts)
def test_a_difference_with_a_negative_class_is_refused(counts: Counts) -> None:
    assert counts.instructions is not None
    more = counts.instructions.model_copy(update={"moves": counts.instructions.moves + 1})
    with pytest.raises(ValueError, match="moves"):
        _ = counts - counts.model_copy(update={"instructions": more})


@settings(deadline=None)
@given(told_counts, any_counts)
def test_instructions_are_unknown_as_soon_as_one_summand_does_not_tell_them(
    told: Counts, untold: Counts
) -> None:
    untold = untold.model_copy(update={"Ir": untold.Ir + 1})
    for total in (told + untold, untold + told, untold + untold, told.less(untold)):
        assert total.instructions is None
    # Nor does what was counted without them tell of none.
    assert untold.scaled(2.0).instructions is None


@settings(deadline=None)
@given(told_counts)
def test_counts_of_nothing_take_no_instructions_away(counts: Counts) -> None:
    for total in (counts + Counts.zero(), Counts.zero() + counts, counts - Counts.zero()):
        assert total == counts
    assert sum([counts, counts], Counts.zero()) == counts + counts
    assert (Counts.zero() + Counts.zero()).instructions is None


@given(st.integers(0, 1000), st.floats(0, 100))
def test_instructions_are_scaled_and_rounded_as_the_events_are(moves: int, factor: float) -> None:
    instructions = Instructions(**{**dict.fromkeys(CLASSES, 0), "moves": moves})
    scaled = make_counts(Ir=moves).model_copy(update={"instructions": instructions}).scaled(factor)
    assert scaled.instructions is not None
    assert scaled.instructions.moves == scaled.Ir == round(moves * factor)


@settings(deadline=None)
@given(told_counts)
def test_json_keeps_every_digit_of_the_instructions(counts: Counts) -> None:
    assert Counts.model_validate_json(counts.model_dump_json()) == counts


@pytest.mark.parametrize("name", CLASSES)
def test_a_missing_class_is_refused_not_taken_for_zero(name: str) -> None:
    numbers = dict.fromkeys(CLASSES, 0)
    del numbers[name]
    with pytest.raises(ValidationError, match=name):
        Counts.model_validate({**make_counts().model_dump(), "instructions": numbers})
