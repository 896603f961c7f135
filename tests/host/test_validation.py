"""The prices of models stand beside the times that they take here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from powerml.errors import MachineError, UnknownNameError, UsageError
from powerml.host.models import MODELS
from powerml.host.validation import (
    MISSING_AVX512,
    MachineValidation,
    ValidatedModel,
    is_other_processor,
    validate_machine,
    validation_of,
)
from powerml.machines import Machine, load_machine, machine_names
from tests.builders import make_machine
from tests.doubles import FormulaMeter
from tests.host.fakes import PROCESSOR, make_system, make_validated

XEON = load_machine("xeon-8280")
BOARD = load_machine("raspberry-pi-4")
# Its caches end at L2, so that one meter counts them all.
TWO_LEVELS = BOARD.model_copy(update={"processor": None})


def _validation(
    models: Sequence[ValidatedModel], machine: Machine = XEON, *flags: str, **system: Any
) -> MachineValidation:
    return validation_of(models, machine, make_system(flags=flags, **system), {"onnxruntime": "1"})


def test_agreement_is_of_both_prices_and_the_worst_come_first() -> None:
    names, ratios = ["a", "b", "c", "d", "e"], [1.0, 1.1, 0.3, 2.0, 1.2]
    models = [
        make_validated(name, number + 1.0, (number + 1.0) * ratio)
        for number, (name, ratio) in enumerate(zip(names, ratios, strict=True))
    ]
    found = _validation(models)
    assert found.agreement["core"].median_ratio == pytest.approx(1.1)
    assert found.agreement["paper"].median_ratio == pytest.approx(11)
    assert found.share_inside == pytest.approx(0.6)
    assert [one.model for one in found.worst] == ["c", "d", "e"]
    assert found.worst[0].bottleneck == "lines"
    assert found.remarks == []


def test_reasons_name_what_the_price_lacks() -> None:
    models = [
        make_validated("gather", 1.0, 0.2, kind="scattered"),
        make_validated("dense", 1.0, 3.0),
        make_validated("pool", 1.0, 2.0, kind="window"),
    ]
    plain = {one.model: one.missing for one in _validation(models).worst}
    assert "misses of the TLB" in plain["gather"]
    found = _validation(models, XEON, "avx512f")
    wide = {one.model: one.missing for one in found.worst}
    assert wide["dense"].startswith(MISSING_AVX512)
    assert wide["gather"] == plain["gather"]
    [said] = found.remarks
    assert "core comes out too high" in said


def test_the_simulators_code_is_what_core_is_compared_with_where_it_is_timed() -> None:
    models = [
        make_validated("dense", 1.0, 2.0, same_code_seconds=2.0),
        make_validated("gather", 1.0, 0.5, same_code_seconds=1.0, kind="scattered"),
    ]
    found = _validation(models, XEON, "avx512f")
    assert found.same_code_agreement is not None
    assert found.agreement["core"].greatest_ratio == pytest.approx(2)
    assert found.same_code_agreement["core"].greatest_ratio == pytest.approx(1)
    assert found.share_inside == pytest.approx(0.5)
    assert found.worst[0].model == "gather"
    [said] = found.remarks
    assert "The same code is timed too" in said
    known_of_one = [models[0], make_validated("gather", 1.0, 0.5)]
    assert _validation(known_of_one, XEON, "avx512f").same_code_agreement is None


def test_it_is_said_if_this_is_another_processor_or_a_virtual_machine() -> None:
    models = [make_validated("a", 1.0, 1.0), make_validated("b", 2.0, 2.0)]
    [other] = _validation(models, BOARD).remarks
    assert PROCESSOR in other
    assert BOARD.title in other
    [virtual] = _validation(models, XEON, hypervisor="KVM").remarks
    assert "virtual machine (KVM)" in virtual


@pytest.mark.parametrize(
    ("name", "processor"),
    [
        ("epyc-7763", "AMD EPYC 7763 64-Core Processor"),
        ("xeon-8480", "Intel(R) Xeon(R) Platinum 8480+"),
        ("xeon-x5650", "Intel(R) Xeon(R) CPU X5650 @ 2.67GHz"),
        ("xeon-e5-2699v4", "Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz"),
        ("core-i7-6700", "Intel(R) Core(TM) i7-6700 CPU @ 3.40GHz"),
        ("raspberry-pi-4", "Arm Cortex-A72"),
        ("graviton2", "Arm Neoverse N1"),
    ],
)
def test_a_processor_is_known_by_the_number_in_its_name(name: str, processor: str) -> None:
    same = [one for one in machine_names() if not is_other_processor(load_machine(one), processor)]
    assert same == [name]


def test_a_profile_that_was_probed_here_is_of_this_processor() -> None:
    title = "Intel(R) Xeon(R) Processor @ 2.50GHz, probed 2026-11-27"
    machine = make_machine(title=title)
    assert not is_other_processor(machine, "Intel(R) Xeon(R) Processor @ 2.50GHz")
    assert is_other_processor(machine, "Intel(R) Xeon(R) Processor @ 2.20GHz")


def test_models_run_here_and_are_counted_once_each() -> None:
    meter = FormulaMeter(TWO_LEVELS)
    said: list[str] = []
    parts: list[float] = []
    found = validate_machine(
        TWO_LEVELS,
        models=MODELS[:2],
        model_seconds=0.01,
        meter=meter,
        notify=said.append,
        advance=parts.append,
    )
    assert [one.name for one in found.models] == ["mlp-tiny", "dense-1024-batch-1"]
    # Three million multiply-adds take longer than a thousand, on any machine.
    assert found.models[0].native_seconds < found.models[1].native_seconds
    for one in found.models:
        hertz = TWO_LEVELS.clock_ghz.value * 1e9
        assert one.core_seconds > 0
        assert one.paper_seconds * hertz > one.counts.data_accesses
        assert one.core_interval.low < one.core_seconds < one.core_interval.high
    assert "onnxruntime" in found.versions
    names = ["mlp-tiny", "dense-1024-batch-1"]
    assert said == [*(f"timing {name}" for name in names * 3), *(f"counting {n}" for n in names)]
    assert parts == sorted(parts)
    assert parts[-1] == 1
    assert MachineValidation.model_validate_json(found.to_json()) == found


def test_what_cannot_be_validated_is_refused_before_anything_runs() -> None:
    with pytest.raises(MachineError, match="toy has no throughput"):
        validate_machine(make_machine())
    with pytest.raises(UnknownNameError, match="did you mean 'epyc-7763'"):
        validate_machine("epyc-7736")
    with pytest.raises(UsageError, match="the seconds of a model are 0: give more than 0"):
        validate_machine(BOARD, model_seconds=0)
    with pytest.raises(UsageError, match="give at least two"):
        validate_machine(BOARD, models=MODELS[:1])


def test_a_board_is_validated_on_the_board_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(UsageError, match="run powerml machines validate on the board"):
        validate_machine("raspberry-pi-4")


@pytest.mark.simulator
def test_a_model_is_counted_by_the_simulator() -> None:
    tiny, gather = (one for one in MODELS if one.name in {"mlp-tiny", "gather"})
    found = validate_machine(XEON, models=[tiny, gather], model_seconds=0.01)
    first, second = found.models
    assert 0 < first.counts.Ir < second.counts.Ir
    assert first.counts.instructions is not None
    assert second.core_parts["lines"] > 0
