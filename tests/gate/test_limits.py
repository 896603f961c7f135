from __future__ import annotations

import pytest

from powerml.errors import UsageError
from powerml.gate.limits import GateLimits


def test_limits_are_numbers_sizes_and_shares() -> None:
    limits = GateLimits(
        max_inference_cycles="1.5e6", max_energy=0.5, max_memory="64KB", max_regression="0.5%"
    )
    assert (limits.max_inference_cycles, limits.max_energy) == (1.5e6, 0.5)
    assert limits.max_memory == 64_000
    assert limits.max_regression == 0.005
    assert not limits.is_empty
    assert GateLimits().is_empty


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"max_inference_cycles": 0}, "max-inference-cycles is 0: give cycles above 0"),
        ({"max_inference_cycles": True}, "max-inference-cycles is True"),
        ({"max_load_cycles": "nan"}, "max-load-cycles is nan"),
        ({"max_energy": "5 mJ"}, "max-energy is 5 mJ: give joules above 0, as in 0.005"),
        ({"max_memory": "64XB"}, "max-memory is 64XB: give bytes, or a number with KB"),
        ({"max_memory": True}, "max-memory is True"),
        ({"max_regression": 0.5}, 'max-regression is 0.5: give a text in percent, as in "0.5%"'),
        ({"max_regression": "-1%"}, "max-regression is -1%"),
    ],
)
def test_a_limit_that_cannot_be_read_is_refused(limit: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        GateLimits.model_validate(limit)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "share"), [("0%", 0.0), ("0.1 %", 0.001), (".7%", 0.007)])
def test_a_share_is_read_as_it_is_written(text: str, share: float) -> None:
    assert GateLimits.model_validate({"max_regression": text}).max_regression == share
