"""`powerml.check`, with a formula in the simulator's place."""

from __future__ import annotations

from pathlib import Path

import pytest

import powerml
from powerml.errors import LimitError, UsageError
from powerml.gate import check as check_module
from tests.gate.doubles import Configure, VersionedMeter

pytestmark = pytest.mark.usefixtures("by_formula")


def _config(width: int = 8, limits: str = 'max-regression = "0.5%"', more: str = "") -> str:
    return f"""\
[tool.powerml]
machine = "epyc-7763"

[tool.powerml.models.net]
model = "dffr:layers=1,width={width}"
{limits}
{more}
"""


ABSOLUTE = "\n[tool.powerml.models.other]\nmodel = 'cnn:layers=1,filters=1,kernel=2'\n{}\n"


def test_an_unchanged_model_is_kept_and_its_baseline_is_the_same_bytes(
    configure: Configure,
) -> None:
    folder = configure(_config()).parent
    updated = powerml.check(update=True)
    assert (updated.state, updated.updated, updated.exit_code) == ("kept", True, 0)
    path = folder / "powerml-baseline.jsonl"
    first = path.read_bytes()
    record = powerml.check()
    assert (record.state, record.updated) == ("kept", False)
    assert [phase.change for phase in record.models[0].phases] == [0.0, 0.0]
    powerml.check(update=True)
    assert path.read_bytes() == first


def test_a_regression_names_the_node_that_caused_it(configure: Configure) -> None:
    configure(_config(width=8))
    powerml.check(update=True)
    configure(_config(width=19))
    record = powerml.check()
    assert (record.state, record.exit_code) == ("exceeded", 3)
    [model] = record.models
    [limit] = [one for one in model.limits if one.phase == "inference"]
    assert limit.exceeded
    assert 0.005 < limit.value < 0.02
    phase = model.phase("inference")
    assert [row.name for row in phase.causes] == ["hidden"]
    difference = phase.cycles - (phase.baseline_cycles or 0)
    assert phase.causes[0].difference_cycles == pytest.approx(difference)


def test_a_cost_within_the_limit_is_kept_and_not_profiled(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(_config(width=8))
    powerml.check(update=True)
    monkeypatch.setattr(check_module, "profile", None)
    configure(_config(width=9))
    record = powerml.check()
    assert record.state == "kept"
    assert record.models[0].phase("inference").change == pytest.approx(0.001, abs=5e-4)


def test_another_version_is_not_comparable_and_gets_no_verdict(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(_config(width=8))
    powerml.check(update=True)
    monkeypatch.setattr(VersionedMeter, "version", "2")
    configure(_config(width=19))
    record = powerml.check()
    assert (record.state, record.exit_code) == ("incomparable", 4)
    [model] = record.models
    assert model.differences == ["software.onnxruntime: 1, 2"]
    assert model.limits == []
    assert all(phase.change is None for phase in model.phases)


def test_an_absolute_limit_counts_though_the_baseline_cannot_be_compared(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = 'max-regression = "0.5%"\nmax-inference-cycles = 10'
    configure(_config(limits=both))
    assert powerml.check(update=True).exit_code == 3
    monkeypatch.setattr(VersionedMeter, "version", "2")
    record = powerml.check()
    assert (record.state, record.exit_code) == ("exceeded", 3)
    assert record.models[0].differences
    assert [limit.name for limit in record.models[0].exceeded] == ["max-inference-cycles"]


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ("inference-batch = 2", "inference batch: 1, 2"),
        ('price = "paper"', "price: core, paper"),
        ('machine = "epyc-7742"', "machine: epyc-7763, epyc-7742"),
    ],
)
def test_other_options_are_not_comparable(
    options: str, difference: str, configure: Configure
) -> None:
    configure(_config())
    powerml.check(update=True)
    configure(_config(limits=f'max-regression = "0.5%"\n{options}'))
    record = powerml.check()
    assert record.state == "incomparable"
    assert difference in record.models[0].differences


def test_an_error_in_one_model_does_not_hide_the_others(configure: Configure) -> None:
    more = ABSOLUTE.format("max-memory = '1GB'")
    configure(_config(limits="max-inference-cycles = 10", more=more).replace("dffr", "dfr"))
    record = powerml.check()
    assert (record.state, record.exit_code) == ("failed", 1)
    assert [model.state for model in record.models] == ["failed", "kept"]
    assert "unknown space 'dfr': did you mean 'dffr'?" in (record.models[0].failure or "")


def test_with_an_error_nothing_is_written(configure: Configure) -> None:
    folder = configure(_config().replace("dffr", "dfr")).parent
    record = powerml.check(update=True)
    assert (record.state, record.updated) == ("failed", False)
    assert not (folder / "powerml-baseline.jsonl").exists()


def test_several_machines_are_refused_for_limits_of_one(configure: Configure) -> None:
    configure(_config(limits='max-memory = "1GB"').replace("epyc-7763", "epyc-7763,epyc-7742"))
    [model] = powerml.check().models
    assert model.state == "failed"
    assert "limits hold on one machine, and there are epyc-7763, epyc-7742" in str(model.failure)


def test_without_a_baseline_the_command_that_writes_it_is_named(configure: Configure) -> None:
    configure(_config())
    with pytest.raises(UsageError, match="does not exist: write it with powerml check --update"):
        powerml.check()


def test_a_model_that_the_baseline_lacks_is_named_before_anything_is_measured(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(_config())
    powerml.check(update=True)
    configure(_config(more=ABSOLUTE.format('max-regression = "1%"')))
    monkeypatch.setattr(check_module, "measure", None)
    with pytest.raises(UsageError, match=r"has no record of other: .* --update other"):
        powerml.check()


def test_a_configuration_without_limits_is_no_gate(configure: Configure) -> None:
    configure(_config(limits=""))
    with pytest.raises(UsageError, match="sets no limit: add one"):
        powerml.check()


def test_models_are_chosen_by_name_and_an_unknown_name_is_refused(configure: Configure) -> None:
    more = ABSOLUTE.format("max-memory = '1GB'")
    configure(_config(limits="max-memory = '1GB'", more=more))
    record = powerml.check(["other"])
    assert [model.name for model in record.models] == ["other"]
    with pytest.raises(UsageError, match="'othr': did you mean 'other'"):
        powerml.check(["othr"])


def test_an_update_of_one_model_leaves_the_others_lines(configure: Configure) -> None:
    more = ABSOLUTE.format('max-regression = "1%"')
    folder = configure(_config(width=8, more=more)).parent
    powerml.check(update=True)
    path = folder / "powerml-baseline.jsonl"
    net, other = path.read_text(encoding="utf-8").splitlines()
    configure(_config(width=20, more=more))
    powerml.check(["net"], update=True)
    changed, same = path.read_text(encoding="utf-8").splitlines()
    assert changed != net
    assert same == other


def test_a_whole_update_drops_models_that_are_gone_and_mends_a_damaged_file(
    configure: Configure,
) -> None:
    folder = configure(_config(more=ABSOLUTE.format(""))).parent
    powerml.check(update=True)
    path = folder / "powerml-baseline.jsonl"
    path.write_text("<<<<<<< HEAD\n", encoding="utf-8")
    configure(_config())
    powerml.check(update=True)
    assert path.read_text(encoding="utf-8").count("\n") == 1


def test_the_baseline_may_lie_elsewhere(configure: Configure, tmp_path: Path) -> None:
    configure(_config().replace("[tool.powerml]\n", '[tool.powerml]\nbaseline = "b.jsonl"\n'))
    powerml.check(update=True)
    assert (tmp_path / "b.jsonl").exists()
    powerml.check(update=True, baseline=tmp_path / "given.jsonl")
    assert powerml.check(baseline=tmp_path / "given.jsonl").state == "kept"


def test_a_training_is_measured_only_where_it_is_limited(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was trained")

    configure(_config(limits="max-memory = '1GB'"))
    monkeypatch.setattr("powerml.measuring.measure.train_natively", refuse)
    [model] = powerml.check().models
    assert [phase.name for phase in model.phases] == ["load", "inference"]


def test_a_limited_training_is_held_and_kept_in_the_baseline(configure: Configure) -> None:
    configure(_config(limits='max-training-cycles = 10\nmax-regression = "1%"\nepochs = 1'))
    powerml.check(update=True)
    record = powerml.check()
    assert record.models[0].phase("training").change == 0.0
    assert [limit.name for limit in record.models[0].exceeded] == ["max-training-cycles"]
    # The baseline has it: it is measured though nothing limits it by itself.
    configure(_config(limits='max-regression = "1%"\nepochs = 1'))
    assert powerml.check().models[0].phases[0].name == "training"


def test_nodes_that_cannot_be_told_are_a_remark(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LimitError("no profiler")

    configure(_config())
    monkeypatch.setattr(check_module, "profile", fail)
    record = powerml.check(update=True)
    assert record.state == "kept"
    assert record.models[0].remarks == ["the nodes of net cannot be told: no profiler"]


def test_a_function_names_the_model(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "_gate_flow.py").write_text(
        "def make():\n    return 'dffr:layers=1,width=4'\n", encoding="utf-8"
    )
    text = _config(limits="max-memory = '1GB'").replace("dffr:layers=1,width=8", "_gate_flow:make")
    configure(text)
    [model] = powerml.check().models
    assert (model.state, model.model) == ("kept", "_gate_flow:make")
