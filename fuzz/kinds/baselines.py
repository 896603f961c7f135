"""Configurations and baselines of ``powerml check``."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from random import Random
from typing import Any

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Kind, Place
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.machines import toml_of
from fuzz.kinds.places import odd_place
from fuzz.mutations import HOSTILE_TEXTS, changed_bytes, changed_json, changed_text, dumped

__all__ = ["KIND"]

CONFIG = """\
[tool.powerml]
machine = "xeon-x5650"
max-regression = "2%"

[tool.powerml.models.small]
model = "dense.onnx"
max-inference-cycles = 1e9
max-memory = "64KiB"

[tool.powerml.models.other]
model = "dffr:layers=1,width=2"
batch-size = 16
training = true
"""
BASELINE = "powerml-baseline.jsonl"
FORMATS = ("markdown", "json", "junit", "sarif", "bencher", "github")


@cache
def record() -> dict[str, Any]:
    """A record of a baseline, as the stand-in counts it."""
    from tests.builders import make_counts, make_fingerprint

    from powerml.gate.baseline import BaselinePhase, BaselineRecord, events_of

    phase = BaselinePhase(
        name="inference", cycles=1e6, joules=None, counts=events_of(make_counts())
    )
    made = BaselineRecord(
        name="small",
        machine="xeon-x5650",
        conditions={"price": "core"},
        phases=[phase],
        weights_bytes=1,
        activations_bytes=1,
        file_bytes=1,
        fingerprint=make_fingerprint(),
    )
    found: dict[str, Any] = made.model_dump(mode="json", by_alias=True)
    return found


def _command(place: Place, random: Random, config: bytes | None, baseline: bytes | None) -> Command:
    (place.work / "dense.onnx").write_bytes(material.model("dense.onnx"))
    if config is not None:
        (place.work / "pyproject.toml").write_bytes(config)
    if baseline is not None:
        (place.work / BASELINE).write_bytes(baseline)
    arguments = ["check", *random.choice(((), ("small",), ("small",), ("nothing",)))]
    may_write: tuple[str, ...] = ()
    form = random.randrange(5)
    if form == 0:
        arguments.append("--update")
        may_write = (f"work/{BASELINE}",)
    elif form == 1:
        arguments += ["--format", random.choice(FORMATS)]
    elif form == 2:
        arguments += ["--output", random.choice(("out.md", "out.sarif", "out.x", "a/b.md", "."))]
        may_write = ("work/out.*",)
    return Command(tuple(arguments), way="counting", may_write=may_write)


def _changed_config(place: Place, random: Random) -> Command:
    content = changed_text(CONFIG, random).encode("utf-8", "surrogateescape")
    if random.randrange(4) == 0:
        content = changed_bytes(content, random)
    return _command(place, random, content, None)


def _values_of_config(place: Place, random: Random) -> Command:
    content: Any = tomllib.loads(CONFIG)["tool"]["powerml"]
    table = toml_of({"tool": {"powerml": changed_json(content, random)}})
    return _command(place, random, table, None)


def _options_of_config(place: Place, random: Random) -> Command:
    """Give every option of a configuration a hostile text."""
    from powerml.gate.limits import GateLimits
    from powerml.measuring.options import MeasureOptions
    from powerml.options import flag_of

    keys = [
        flag_of(name, field).removeprefix("--")
        for model in (MeasureOptions, GateLimits)
        for name, field in model.fields().items()
    ]
    table = {random.choice(keys): random.choice((*HOSTILE_TEXTS, 1, 0, -1, 1e9, True, [], {}))}
    models = {"small": {"model": "dense.onnx", **table}}
    return _command(place, random, toml_of({"tool": {"powerml": {"models": models}}}), None)


def _changed_baseline(place: Place, random: Random) -> Command:
    line = json.dumps(record()).encode()
    return _command(place, random, CONFIG.encode(), changed_bytes(line, random) + b"\n")


def _values_of_baseline(place: Place, random: Random) -> Command:
    text = dumped(changed_json(record(), random), random)
    line = text.encode("utf-8", "surrogatepass")
    again = random.choice((b"\n", b"\n" + line + b"\n", b"\n<<<<<<< HEAD\n", b"\n\n\x00\n"))
    return _command(place, random, CONFIG.encode(), line + again)


def _odd_place(place: Place, random: Random) -> Command:
    if random.randrange(2):
        odd_place(place.work / "pyproject.toml", random)
        found = _command(place, random, None, None)
    else:
        odd_place(place.work / BASELINE, random)
        found = _command(place, random, CONFIG.encode(), None)
    return found


def _strategy() -> st.SearchStrategy[Case]:
    return st.one_of(
        of_forms((_changed_config, _values_of_config, _options_of_config)),
        of_forms((_changed_baseline, _values_of_baseline, _values_of_baseline, _odd_place)),
    )


KIND = Kind("baselines", 400, _strategy)
