"""Optuna's own conformance suite for samplers, run on the composite sampler."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from powerml.samplers.composite import CompositeSampler
from powerml.studies.objective import Squared, Weights


class WithoutAnObjective(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return CompositeSampler


class WithAnObjective(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Trials of another program, which sets no quantities, must not stop it."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: CompositeSampler(Squared(Weights(0.5, 0.05)))


class TestWithoutAnObjective(WithoutAnObjective):
    pass


class TestWithAnObjective(WithAnObjective):
    pass
