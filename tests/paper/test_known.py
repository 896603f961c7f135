"""What is known beforehand: the package's file says what the tables of the benchmarks say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from powerml.paper.known import ACCURATE_SCORE, known
from powerml.paper.settings import SETTINGS, SPACES

SCRIPT = Path(__file__).parents[2] / "scripts" / "write_known_topologies.py"


def test_the_file_is_what_the_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("write_known_topologies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.TARGET.read_text(encoding="utf-8") == script.known_text()


@pytest.mark.parametrize("space", SPACES)
def test_what_is_preferred_is_eq_2_6_and_the_accurate_one_is_accurate(space: str) -> None:
    for setting in SETTINGS:
        preferred = known().spaces[space].at(setting.number)
        for one in (preferred.best, preferred.best_accurate):
            gamma = 1 - setting.alpha - setting.beta
            assert one.objective == pytest.approx(
                setting.alpha * one.training_cost_ratio**2
                + setting.beta * one.inference_cost_ratio**2
                - gamma * one.validation_score,
                abs=1e-6,
            )
        assert preferred.best.objective <= preferred.best_accurate.objective
        assert preferred.best_accurate.validation_score >= ACCURATE_SCORE - 1e-6


def test_bare_eq_2_6_asks_for_inaccurate_dffr_wherever_costs_weigh_half() -> None:
    preferred = {one.setting: one.best for one in known().spaces["dffr"].preferred}
    assert {number for number, one in preferred.items() if one.validation_score < 0.9} == {
        2,
        3,
        4,
        5,
    }
