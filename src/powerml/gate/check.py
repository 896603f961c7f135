"""The check: a configuration's models, measured and held against limits and a baseline."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerml.costs.fingerprint import digest_of
from powerml.errors import LONGEST_MESSAGE, PowerMLError, UnknownNameError, UsageError, shortened
from powerml.explain.profile import profile
from powerml.explain.profile_record import ProfiledPhase
from powerml.gate.baseline import BaselineRecord, read_baseline, write_baseline
from powerml.gate.limits import GateLimits
from powerml.gate.models import Model, named_model
from powerml.gate.options import CheckOptions
from powerml.gate.record import CheckedLimit, CheckedModel, CheckedPhase, CheckRecord, CheckState
from powerml.gate.settings import GateSettings, ModelSettings, read_settings
from powerml.gate.simulator import KeptSimulator
from powerml.gate.verdict import (
    baseline_record,
    causes,
    cheaper_remarks,
    checked_memory,
    checked_phases,
    conditions_of,
    differences_to,
    held_limits,
    held_regressions,
    nodes_of,
)
from powerml.gate.verdict import worst as worst_state
from powerml.measuring.measure import measure
from powerml.measuring.options import MeasureOptions
from powerml.options import described
from powerml.progress import Notify, silent

__all__ = ["Held", "check", "gate_options", "hold"]

UPDATE = "powerml check --update"


@described(CheckOptions)
def check(
    models: Sequence[str] = (),
    *,
    options: CheckOptions | None = None,
    notify: Notify = silent,
    **given: Any,
) -> CheckRecord:
    """Hold the costs of a configuration's models against their limits and a baseline.

    An error in one model does not keep the others from being checked.

    Parameters
    ----------
    models
        Names of the models to check; all of them if none is given.
    notify
        Called with one line of text at each stage.

    Returns
    -------
    CheckRecord
        Its `exit_code` is that of the command: 0 kept, 1 a model failed, 3 a limit is exceeded, 4
        a baseline cannot be compared with.

    Raises
    ------
    UsageError
        There is no configuration, no model or no baseline, or one of them is invalid.

    Examples
    --------
    >>> record = powerml.check(config="pyproject.toml")
    >>> record.state, [model.name for model in record.models]
    ('kept', ['keyword'])
    """
    wanted = CheckOptions.of_call("check", options, given)
    started = time.monotonic()
    settings = read_settings(wanted.config)
    chosen = _chosen(settings, models)
    path = settings.baseline if wanted.baseline is None else Path(wanted.baseline).absolute()
    known = _known(settings, chosen, path, partly=bool(models), update=wanted.update)
    checked, records = [], {}
    with KeptSimulator() as simulator:
        for one in chosen:
            notify(f"checking {one.name}")
            found = _checked(one, settings, wanted, known.get(one.name), simulator, notify)
            checked.append(found.checked)
            if found.record is not None:
                records[one.name] = found.record
    state = worst_state(one.state for one in checked)
    updated = wanted.update and state != "failed"
    if updated:
        kept = {name: known[name] for name in known if name not in records} if models else {}
        write_baseline(path, [*kept.values(), *records.values()])
    return CheckRecord(
        config=str(settings.path),
        baseline=str(path) if updated or known else None,
        updated=updated,
        state=state,
        models=checked,
        seconds=round(time.monotonic() - started, 3),
    )


def _chosen(settings: GateSettings, names: Sequence[str]) -> list[ModelSettings]:
    by_name = {one.name: one for one in settings.models}
    for name in names:
        if name not in by_name:
            raise UnknownNameError(f"model of {settings.path}", name, by_name)
    return [one for one in settings.models if not names or one.name in names]


def _known(
    settings: GateSettings,
    chosen: Sequence[ModelSettings],
    path: Path,
    *,
    partly: bool,
    update: bool,
) -> Mapping[str, BaselineRecord]:
    """Read the baseline where it is needed; raises ``UsageError`` if a model is missing in it."""
    command = UPDATE if settings.folder == Path.cwd() else f"{UPDATE} --config {settings.path}"
    if update:
        # A whole update replaces what is there, be it damaged.
        return read_baseline(path, command) if partly and path.exists() else {}
    if all(one.limits.is_empty for one in chosen):
        raise UsageError(
            f'{settings.path} sets no limit: add one, as max-regression = "0.5%" or '
            "max-inference-cycles = 1.5e6"
        )
    regressing = [one for one in chosen if one.limits.max_regression is not None]
    if not regressing:
        return {}
    known = read_baseline(path, command)
    missing = [one.name for one in regressing if one.name not in known]
    if missing:
        raise UsageError(
            f"the baseline {path} has no record of {', '.join(missing)}: write it with "
            f"{command} {shlex.join(missing)}"
        )
    return {one.name: known[one.name] for one in regressing}


def _options_of(
    model: ModelSettings, wanted: CheckOptions, baseline: BaselineRecord | None
) -> MeasureOptions:
    """Return the options of a model, with those of the check over them."""
    given = {"jobs": wanted.jobs, "warm": wanted.warm}
    options = gate_options(model.options, model.limits, baseline, sets_training=model.sets_training)
    return options.model_copy(
        update={
            "cache": wanted.cache and options.cache,
            **{name: value for name, value in given.items() if value is not None},
        }
    )


def _checked(  # noqa: PLR0917 - all of one check
    model: ModelSettings,
    settings: GateSettings,
    wanted: CheckOptions,
    known: BaselineRecord | None,
    simulator: KeptSimulator,
    notify: Notify,
) -> Held:
    """Hold one model; an error becomes a part of its record."""
    baseline = None if wanted.update else known
    try:
        with (
            named_model(model.name, model.model, settings.folder) as found,
            simulator.used(_options_of(model, wanted, baseline)) as options,
        ):
            held = hold(
                model.name,
                found,
                options,
                model.limits,
                baseline=baseline,
                update=wanted.update,
                lines=model.lines,
                notify=notify,
            )
    except PowerMLError as error:
        return Held(
            CheckedModel(
                name=model.name,
                model=model.model,
                machine=None,
                price=None,
                state="failed",
                failure=shortened(str(error), LONGEST_MESSAGE),
                line=model.line,
            )
        )
    checked = held.checked.model_copy(update={"model": model.model, "line": model.line})
    return Held(checked, held.record)


@dataclass(frozen=True)
class Held:
    """One model held against its limits, and its record for a baseline if one is to be written."""

    checked: CheckedModel
    record: BaselineRecord | None = None


def gate_options(
    options: MeasureOptions,
    limits: GateLimits,
    baseline: BaselineRecord | None,
    *,
    sets_training: bool,
) -> MeasureOptions:
    """Return options that count a training only where it is limited, wished, or in the baseline.

    `sets_training` is true where the options say so themselves. Under the paper's protocol the
    training is always counted.
    """
    if sets_training or (options.evaluates and options.runtime is None):
        return options
    in_baseline = baseline is not None and baseline.phase("training") is not None
    training = limits.max_training_cycles is not None or in_baseline
    return options.model_copy(update={"training": training})


def hold(
    name: str,
    model: Model,
    options: MeasureOptions,
    limits: GateLimits,
    *,
    baseline: BaselineRecord | None = None,
    update: bool = False,
    lines: Mapping[str, int] | None = None,
    notify: Notify = silent,
) -> Held:
    """Measure one model and hold it against its limits, and against a baseline if one is given.

    Parameters
    ----------
    name, model
        Its name, and the model as `powerml.measure` takes it.
    options, limits
        Its options, with one machine, and its limits.
    baseline
        Its record of an earlier time.
    update
        Whether to make a record for a new baseline, for which the nodes are profiled too.
    lines
        Lines of the configuration by the names of limits.

    Raises
    ------
    PowerMLError
        It cannot be measured, or a limit is of something that is not known.
    """
    digest = _profiles_digest(options)
    measured = measure(model, options=options, notify=notify)
    memory, conditions = checked_memory(measured), conditions_of(measured, digest)
    differing = [] if baseline is None else differences_to(baseline, measured, conditions)
    comparable = None if differing else baseline
    phases = checked_phases(measured, comparable)
    held = held_limits(limits, phases, memory, lines or {})
    if comparable is not None and limits.max_regression is not None:
        held += held_regressions(limits.max_regression, phases, lines or {})
    remarks = list(measured.remarks)
    record = None
    if limits.max_regression is not None:
        remarks += cheaper_remarks(limits.max_regression, phases)
    regressed = {
        one.phase for one in held if one.exceeded and one.unit == "share" and one.phase is not None
    }
    if update or regressed:
        profiled, remark = _profiled(name, model, options, notify)
        remarks += remark
        if update:
            record = baseline_record(name, measured, conditions, profiled)
        if comparable is not None:
            explained = [
                _with_causes(one, comparable, profiled) if one.name in regressed else (one, [])
                for one in phases
            ]
            phases = [phase for phase, _ in explained]
            remarks += [remark for _, said in explained for remark in said]
    return Held(
        CheckedModel(
            name=name,
            model=str(model),
            machine=measured.machines[0],
            price=measured.price,
            state=_state(held, differing),
            phases=phases,
            memory=memory,
            limits=held,
            differences=differing,
            remarks=remarks,
            fingerprint=measured.fingerprint,
        ),
        record,
    )


def _state(held: Sequence[CheckedLimit], differing: Sequence[str]) -> CheckState:
    """Return the state of a model: an exceeded limit counts, whatever the baseline."""
    if any(one.exceeded for one in held):
        return "exceeded"
    return "incomparable" if differing else "kept"


def _profiles_digest(options: MeasureOptions) -> str:
    """Return a digest of the profiles of the machine; raises ``UsageError`` if they are several."""
    machines = options.phase_machines()
    if len(machines.inference) > 1 or len(machines.training) > 1:
        names = ", ".join(one.name for one in machines.all)
        raise UsageError(
            f"limits hold on one machine, and there are {names}: name one, and add a table with "
            "the same model for each other"
        )
    priced = machines.all if options.training else machines.inference
    return digest_of(json.dumps([_numbers(one.model_dump()) for one in priced], sort_keys=True))


def _numbers(part: Any) -> Any:
    """Return the numbers of a profile, without its texts, which price nothing."""
    if not isinstance(part, dict):
        return part
    return {name: _numbers(inner) for name, inner in part.items() if not isinstance(inner, str)}


def _profiled(
    name: str, model: Model, options: MeasureOptions, notify: Notify
) -> tuple[Mapping[str, ProfiledPhase], list[str]]:
    """Profile a model; returns its phases by name, and a remark if its nodes cannot be told."""
    notify(f"profiling the nodes of {name}")
    try:
        found = profile(model, options=options, notify=notify)
    except PowerMLError as error:
        said = f"the nodes of {name} cannot be told: {error}"
        return {}, [shortened(said, LONGEST_MESSAGE)]
    return {phase.name: phase for phase in found.phases}, []


def _with_causes(
    phase: CheckedPhase, baseline: BaselineRecord, profiled: Mapping[str, ProfiledPhase]
) -> tuple[CheckedPhase, list[str]]:
    """Add the nodes whose cycles changed to a phase whose cycles rose; return remarks beside it."""
    before, after = baseline.phase(phase.name), profiled.get(phase.name)
    if before is None or after is None or not before.nodes:
        return phase, []
    found, remarks = causes(before, nodes_of(after))
    return phase.model_copy(update={"causes": found}), remarks
