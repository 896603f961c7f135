from __future__ import annotations

from typing import Any

import pytest

from powerml.costs.fingerprint import Fingerprint, differences, digest_of, require_comparable
from powerml.errors import ComparisonError
from powerml.machines import Cache
from tests.builders import make_fingerprint, make_geometry

OTHER_GEOMETRY = make_geometry(ll=Cache(size_bytes=12 * 2**20, ways=24))


def test_the_same_has_no_differences() -> None:
    assert differences(make_fingerprint(), make_fingerprint()) == []
    require_comparable(make_fingerprint(), make_fingerprint())


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"meter": "cachegrind"}, ["meter: simulator, cachegrind"]),
        ({"threads": 4}, ["threads: 1, 4"]),
        (
            {"software": {"python": "3.11.2", "torch": "2.14.0", "valgrind": "3.19.0"}},
            ["software.torch: 2.13.0, 2.14.0"],
        ),
        (
            {"software": {"python": "3.11.2", "valgrind": "3.19.0", "jax": "0.10.0"}},
            ["software.jax: None, 0.10.0", "software.torch: 2.13.0, None"],
        ),
        ({"cpu_features": ("sse4_2", "fma")}, ["cpu_features: without avx2, with sse4_2"]),
        ({"cpu_features": ("avx2", "fma", "bmi2")}, ["cpu_features: without -, with bmi2"]),
        (
            {"simulated_geometry": OTHER_GEOMETRY},
            [
                "simulated_geometry.ll.size_bytes: 8388608, 12582912",
                "simulated_geometry.ll.ways: 16, 24",
            ],
        ),
        ({"environment_digest": "f" * 64}, [f"environment_digest: {'e' * 64}, {'f' * 64}"]),
    ],
)
def test_what_differs_is_named(fields: dict[str, Any], found: list[str]) -> None:
    one, other = make_fingerprint(), make_fingerprint(**fields)
    assert sorted(differences(one, other)) == sorted(found)
    with pytest.raises(ComparisonError) as caught:
        require_comparable(one, other)
    assert all(line in str(caught.value) for line in found)
    assert "\n" not in str(caught.value)


def test_everything_that_differs_is_listed() -> None:
    found = differences(make_fingerprint(), make_fingerprint(meter="replay", threads=2))
    assert found == ["meter: simulator, replay", "threads: 1, 2"]


@pytest.mark.parametrize("field", list(Fingerprint.model_fields))
def test_no_field_is_left_out_of_the_comparison(field: str) -> None:
    others: dict[str, Any] = {
        "meter": "other",
        "geometry": OTHER_GEOMETRY,
        "simulated_geometry": OTHER_GEOMETRY,
        "software": {},
        "cpu_features": (),
        "threads": 2,
        "environment_digest": "0" * 64,
    }
    found = differences(make_fingerprint(), make_fingerprint(**{field: others[field]}))
    assert found
    assert all(line.startswith(field) for line in found)


def test_a_fingerprint_survives_json() -> None:
    one = make_fingerprint()
    assert differences(one, Fingerprint.model_validate_json(one.model_dump_json())) == []


def test_digest_is_sha256() -> None:
    assert digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of("A=1") != digest_of("A=2")
