"""Tests that are marked with limits of cost: their models measured and held."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from powerml.costs.measurement import Measurement
from powerml.errors import UsageError
from powerml.gate.baseline import BaselineRecord, baseline_text, read_baseline, write_baseline
from powerml.gate.check import gate_options, hold
from powerml.gate.formats.sentences import (
    cause_text,
    causes_of,
    differences_text,
    limit_text,
    value_text,
)
from powerml.gate.limits import REGRESSION, GateLimits
from powerml.gate.models import given_model
from powerml.gate.record import CheckedModel
from powerml.gate.settings import LEFT_OUT, find_config, read_settings
from powerml.gate.simulator import KeptSimulator
from powerml.measuring.measure import measure
from powerml.measuring.options import MeasureOptions
from powerml.meters.catalogue import require_counting

__all__ = ["TestGate", "merge_records", "records_text"]

UPDATE = "pytest --powerml-update"
MAX = "max_"
MARKER = "limit_cost"


class TestGate:
    """The gate of one process of pytest: it measures, and collects records for a baseline.

    Parameters
    ----------
    root
        Pytest's root folder, whose ``[tool.powerml]`` gives the default options.
    baseline
        The file of the baseline.
    update
        Whether to collect records for it instead of comparing with it.
    """

    __test__ = False  # pytest takes it for tests by its name

    def __init__(self, root: Path, baseline: Path, *, update: bool) -> None:
        self._root, self._baseline, self._update = root, baseline, update
        self._simulator = KeptSimulator()
        self.records: dict[str, BaselineRecord] = {}
        self.lines: list[str] = []

    def close(self) -> None:
        """End the simulator."""
        self._simulator.close()

    @functools.cached_property
    def _defaults(self) -> Mapping[str, Any]:
        path = find_config(self._root)
        return {} if path is None else read_settings(path, needs_models=False).defaults

    @functools.cached_property
    def _known(self) -> Mapping[str, BaselineRecord]:
        return read_baseline(self._baseline, UPDATE)

    def measure(self, model: object, **given: Any) -> Measurement:
        """Measure a path, a topology or a Keras model; see `powerml.measure`.

        Options that are not given are those of ``[tool.powerml]``.
        """
        options = self._options(MeasureOptions.of_call("powerml_measure", None, given))
        with (
            given_model("model", model, "powerml_measure was given a") as taken,
            self._simulator.used(options) as used,
        ):
            return measure(taken, options=used)

    def _options(self, given: MeasureOptions) -> MeasureOptions:
        """Add the defaults to options."""
        named = {name: getattr(given, name) for name in given.model_fields_set}
        return MeasureOptions(**{**self._defaults, **named})

    def parse(self, marked: Mapping[str, Any]) -> tuple[MeasureOptions, GateLimits, bool]:
        """Read a marker's keywords: options, limits, and whether they tell of the training.

        Raises
        ------
        UsageError
            A keyword is unknown, or a value is invalid.
        """
        limits = {
            name if name == REGRESSION else name.removeprefix(MAX): name
            for name in GateLimits.fields()
        }
        options = [name for name in MeasureOptions.fields() if name not in LEFT_OUT]
        for keyword in marked:
            if keyword not in limits and keyword not in options:
                near = difflib.get_close_matches(keyword, [*limits, *options], n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"limits are {', '.join(limits)}"
                raise UsageError(f"{MARKER} has no keyword {keyword!r}: {hint}")
        own = MeasureOptions(**{name: marked[name] for name in marked if name in options})
        chosen = self._options(own)
        require_counting(chosen.meter, MARKER)
        held = GateLimits(**{limits[name]: marked[name] for name in marked if name in limits})
        if held.is_empty and not self._update:
            raise UsageError(f"{MARKER} sets no limit: give one, as inference_cycles=1.5e6")
        return chosen, held, "training" in own.model_fields_set or "training" in self._defaults

    def hold(self, name: str, model: object, marked: Mapping[str, Any]) -> str | None:
        """Hold a test's model against the limits of its marker.

        Parameters
        ----------
        name
            The test.
        model
            The model that it returned.
        marked
            The marker's keywords.

        Returns
        -------
        str | None
            The message of a failure; None if the limits are kept.

        Raises
        ------
        PowerMLError
            The keywords are invalid, or the model cannot be measured.
        """
        options, limits, sets_training = self.parse(marked)
        machine = options.phase_machines().inference[0].name
        record = f"{name} on {machine}"
        baseline = None
        if limits.max_regression is not None and not self._update:
            baseline = self._known.get(record)
            if baseline is None:
                raise UsageError(
                    f"the baseline {self._baseline} has no record of {record}: write it with "
                    f"{UPDATE}"
                )
        options = gate_options(options, limits, baseline, sets_training=sets_training)
        with (
            given_model(name.rpartition("::")[2], model, "the test returned a") as taken,
            self._simulator.used(options) as used,
        ):
            held = hold(record, taken, used, limits, baseline=baseline, update=self._update)
        if held.record is not None:
            self.records[record] = held.record
        self.lines.append(_line(name, held.checked))
        return _failure(held.checked)


def _line(name: str, checked: CheckedModel) -> str:
    """Return one line on a measured test, for the summary."""
    costs = ", ".join(
        f"{phase.name} {value_text('cycles', phase.cycles)}" for phase in checked.phases
    )
    return f"{name} on {checked.machine}: {costs}"


def _failure(checked: CheckedModel) -> str | None:
    """Return the message of a failure: each limit with the value, the machine and the nodes."""
    said = []
    for limit in checked.exceeded:
        said.append(limit_text(checked, limit))
        said += [f"  {cause_text(row)}" for row in causes_of(checked, limit)]
    if checked.differences:
        said.append(differences_text(checked).replace("powerml check --update", UPDATE))
    return "\n".join(said) or None


def records_text(records: Mapping[str, BaselineRecord]) -> str:
    """Return records as text, which passes from one process of pytest to another."""
    return baseline_text(records.values())


def merge_records(baseline: Path, texts: Iterable[str]) -> int:
    """Write records that processes of pytest collected into a baseline; return their number.

    Records of tests that did not run are kept.

    Raises
    ------
    UsageError
        The baseline that is there is damaged.
    """
    known = dict(read_baseline(baseline, UPDATE)) if baseline.exists() else {}
    found = [
        BaselineRecord.model_validate_json(line) for text in texts for line in text.splitlines()
    ]
    write_baseline(baseline, {**known, **{one.name: one for one in found}}.values())
    return len(found)
