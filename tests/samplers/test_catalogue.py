"""Samplers by name, and one that another package brings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler

from powerml.errors import UnknownNameError
from powerml.samplers import make_sampler, sampler_names
from tests.doubles import FormulaMeter
from tests.searches import search

# A sampler that proposes at random, and keeps what it was told.
ONE_FILE = '''
"""Topologies at random."""

from optuna.samplers import RandomSampler

told = []


def make(startup_trials, seed, known):
    told.append((startup_trials, seed, sorted(known.space or ())))
    return RandomSampler(seed=seed)
'''
NAME = "dice_of_tests"
BUILT_IN = ["composite", "gp", "nsga2", "random", "tpe"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more sampler, installed as another package would be."""
    site = tmp_path / "site"
    facts = site / f"{NAME}-1.dist-info"
    facts.mkdir(parents=True)
    (site / f"{NAME}.py").write_text(ONE_FILE, encoding="utf-8")
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(f"[powerml.samplers]\n{NAME} = {NAME}:make\n")
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop(NAME, None)


def test_the_packages_own_are_listed() -> None:
    assert sampler_names() == BUILT_IN


def test_one_of_another_package_is_listed_and_made_by_its_name(installed: None) -> None:
    assert sampler_names() == sorted([*BUILT_IN, NAME])
    assert isinstance(make_sampler(NAME, 3, 0, 0), RandomSampler)
    with pytest.raises(UnknownNameError, match=f"did you mean '{NAME}'"):
        make_sampler(f"{NAME}s", 3, 0, 0)


def test_a_study_is_searched_with_it(installed: None, meter: FormulaMeter, tmp_path: Path) -> None:
    record = search(meter, tmp_path, trials=3, sampler=NAME, startup_trials=2)
    assert record.settings.sampler == NAME
    told = sys.modules[NAME].told
    assert [(startup, space) for startup, _, space in told] == [
        (2, ["batch_size", "layers", "width"])
    ] * len(told)
    # Each proposal has a seed of its own.
    assert len({seed for _, seed, _ in told}) == len(told) >= 3
