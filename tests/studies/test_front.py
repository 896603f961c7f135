"""The front: nothing on it is beaten, and whatever is not on it is."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.studies.goal import Point, front, weakly_dominates

# Few values, so that points are equal and beat each other often.
values = st.sampled_from([0.0, 0.5, 1.0])
points = st.builds(Point, values, st.tuples(values, values))
many = st.lists(points, max_size=12)


def test_a_front_by_hand() -> None:
    accurate = Point(1.0, (5.0, 1.2))
    balanced = Point(0.9, (0.8, 1.0))
    beaten = Point(0.9, (0.9, 1.0))
    cheap = Point(0.6, (0.5, 0.8))
    assert front([beaten, accurate, balanced, cheap]) == [1, 2, 3]


def test_of_equals_the_first_is_on_the_front() -> None:
    point = Point(0.9, (1.0, 1.0))
    assert front([point, point, point]) == [0]
    assert front([]) == []


@settings(deadline=None)
@given(many)
def test_no_point_of_the_front_is_dominated_by_another_of_it(all_points: list[Point]) -> None:
    members = [all_points[place] for place in front(all_points)]
    for one in members:
        assert [other for other in members if weakly_dominates(other, one)] == [one]


@settings(deadline=None)
@given(many)
def test_every_other_point_is_dominated_by_one_of_the_front(all_points: list[Point]) -> None:
    places = front(all_points)
    for place, point in enumerate(all_points):
        assert place in places or any(weakly_dominates(all_points[one], point) for one in places)
    assert bool(places) == bool(all_points)


@settings(deadline=None)
@given(many, st.randoms())
def test_the_front_does_not_depend_on_the_order(all_points: list[Point], random: Random) -> None:
    shuffled = list(all_points)
    random.shuffle(shuffled)
    assert {shuffled[place] for place in front(shuffled)} == {
        all_points[place] for place in front(all_points)
    }


@settings(deadline=None)
@given(many, points)
def test_a_point_that_the_front_dominates_does_not_change_it(
    all_points: list[Point], point: Point
) -> None:
    members = [all_points[place] for place in front(all_points)]
    if any(weakly_dominates(member, point) for member in members):
        assert front([*members, point]) == list(range(len(members)))
