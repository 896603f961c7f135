"""Reproductions of earlier versions, as they were written, are read as ever."""

from __future__ import annotations

import json
import re

from powerml.paper.outcomes import StudyOutcome
from powerml.paper.plan import make_plan
from powerml.paper.reproduction import Reproduction
from tests.paper.outcomes import make_outcome, make_reproduction


def _before(text: str) -> str:
    """Return a record in the words of the first version of its schema."""
    text = re.sub(r'"powerml\.(\w+)/2"', r'"powerml.\1/1"', text)
    return text.replace('"spaces":', '"families":').replace('"space":', '"family":')


def test_a_reproduction_is_read() -> None:
    found = make_reproduction()
    text = _before(found.to_json())
    assert json.loads(text)["families"] == ["dffr", "cnn"]
    assert Reproduction.model_validate_json(text) == found


def test_an_outcome_is_read() -> None:
    found = make_outcome(make_plan((), (), (), seeds=1).studies[0])
    text = _before(found.model_dump_json(by_alias=True))
    assert json.loads(text)["family"] == "dffr"
    assert StudyOutcome.model_validate_json(text) == found
