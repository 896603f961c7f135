from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from powerml.samplers.candidates import MOST_ENUMERATED, draw, enumerate_all, of_parameters

MIXED: dict[str, BaseDistribution] = {
    "layers": IntDistribution(1, 3),
    "width": IntDistribution(4, 256, log=True),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "keep": FloatDistribution(0.0, 1.0, step=0.25),
    "activation": CategoricalDistribution(("relu", "tanh", None)),
}


def _is_in(value: Any, distribution: BaseDistribution) -> bool:
    return bool(distribution._contains(distribution.to_internal_repr(value)))


def test_a_finite_space_is_enumerated_whole_and_each_member_once() -> None:
    space = {
        "layers": IntDistribution(1, 7, step=3),
        "keep": FloatDistribution(0.0, 0.3, step=0.1),
        "activation": CategoricalDistribution(("relu", "tanh")),
    }
    found = enumerate_all(space)
    assert found is not None
    assert len(found) == len(set(found.identities())) == 3 * 4 * 2
    members = [found.parameters(number) for number in range(len(found))]
    assert {member["layers"] for member in members} == {1, 4, 7}
    assert {round(member["keep"], 9) for member in members} == {0.0, 0.1, 0.2, 0.3}
    assert all(_is_in(member[name], one) for member in members for name, one in space.items())


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(0.0, 1.0),
        IntDistribution(1, MOST_ENUMERATED + 1),
        IntDistribution(0, 10**12),
    ],
)
def test_what_is_not_finite_or_too_large_is_not_enumerated(distribution: BaseDistribution) -> None:
    assert enumerate_all({"x": distribution}) is None


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_drawn_lies_in_the_space_in_pythons_own_types(seed: int, around: bool) -> None:
    near = [{"layers": 3, "width": 4, "rate": 0.1, "keep": 1.0, "activation": None}]
    found = draw(MIXED, 32, np.random.default_rng(seed), near if around else [])
    assert np.all((found.points >= 0) & (found.points <= 1))
    for number in range(len(found)):
        member = found.parameters(number)
        assert all(_is_in(member[name], one) for name, one in MIXED.items())
        assert [type(member[name]) for name in ("layers", "width", "rate", "keep")] == [
            int,
            int,
            float,
            float,
        ]


def test_half_of_what_is_drawn_lies_around_what_is_promising() -> None:
    space = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    found = draw(space, 1000, np.random.default_rng(0), [{"x": 0.2, "y": 0.8}])
    near = np.hypot(found.columns["x"] - 0.2, found.columns["y"] - 0.8) < 0.3
    # A circle of this radius holds at most 0.28 of the square; of normal steps it holds over 0.98.
    assert near.mean() > 0.5


def test_points_are_logarithmic_where_the_parameter_is() -> None:
    space = {"width": IntDistribution(1, 100, log=True)}
    points = of_parameters(space, [{"width": 1}, {"width": 10}, {"width": 100}]).points
    np.testing.assert_allclose(points[:, 0], [0.0, 0.5, 1.0])


def test_two_choices_are_as_far_apart_as_two_ends() -> None:
    space = {"activation": CategoricalDistribution(("relu", "tanh", "none"))}
    points = of_parameters(space, [{"activation": "relu"}, {"activation": "none"}]).points
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(1.0)


def test_huge_integers_are_drawn_without_listing_them() -> None:
    found = draw({"x": IntDistribution(0, 10**15)}, 16, np.random.default_rng(1), [])
    assert len(set(found.identities())) == 16
