"""Profiles made by hand, whose rows add up."""

from __future__ import annotations

from typing import Any

from powerml.costs.counts import EVENTS, Counts
from powerml.explain.profile_record import Grouping, Part, Profile, ProfiledPhase, ProfileRow
from tests.builders import make_file_record, make_fingerprint

# Of each cycle: these many of each event.
PER_CYCLE = dict(zip(EVENTS, (9, 3, 2, 0.2, 0.3, 0.2, 0.01, 0.03, 0.02), strict=True))


def make_row(name: str, cycles: int, of: int, **fields: Any) -> ProfileRow:
    counts = Counts(**{event: round(cycles * factor) for event, factor in PER_CYCLE.items()})
    ordinary = {"name": name, "cycles": float(cycles), "share": cycles / of, "counts": counts}
    return ProfileRow.model_validate({**ordinary, **fields})


def make_phase_of(
    name: str, rows: dict[Grouping, list[tuple[str, int, dict[str, Any]]]], **fields: Any
) -> ProfiledPhase:
    """A phase whose rows are made of names and cycles, which add up in each grouping."""
    total = sum(cycles for _, cycles, _ in next(iter(rows.values())))
    made = {
        by: [make_row(one, cycles, total, **more) for one, cycles, more in some]
        for by, some in rows.items()
    }
    first = next(iter(made.values()))
    counts = Counts.zero()
    for row in first:
        counts += row.counts
    ordinary = {
        "name": name,
        "runs": 1,
        "cycles": float(total),
        "seconds": total / 2.5e9,
        "joules": None,
        "counts": counts,
        "rows": made,
    }
    return ProfiledPhase.model_validate({**ordinary, **fields})


def make_inference(**fields: Any) -> ProfiledPhase:
    return make_phase_of(
        "inference",
        {
            "node": [
                (
                    "conv1",
                    60_000,
                    {
                        "kind": "FusedConv",
                        "nodes": ["conv1", "relu1"],
                        "multiply_accumulates": 1_250_000,
                        "data_bytes": 40_000,
                    },
                ),
                ("/block/MatMul_quant", 20_000, {"kind": "MatMul", "data_bytes": 9_000}),
                ("runtime", 15_000, {}),
                ("softmax <1> & co", 4_000, {"kind": "Softmax", "multiply_accumulates": 10}),
                ("interpreter", 1_000, {}),
            ],
            "library": [
                ("libonnxruntime.so", 90_000, {}),
                ("libc.so.6", 10_000, {}),
            ],
            "function": [
                ("MlasConvDepthwise(float const*)", 70_000, {"kind": "libonnxruntime.so"}),
                ("(anonymous namespace)::run", 20_000, {"kind": "libonnxruntime.so"}),
                ("memcpy", 10_000, {"kind": "libc.so.6"}),
            ],
        },
        **fields,
    )


def make_training(**fields: Any) -> ProfiledPhase:
    parts: tuple[Part, ...] = ("forward", "backward", "update")
    return make_phase_of(
        "training",
        {
            "node": [
                *(
                    ("dense_1", cycles, {"kind": "Dense", "part": part})
                    for part, cycles in zip(parts, (3_000_000, 5_000_000, 1_000_000), strict=True)
                ),
                ("interpreter", 1_000_000, {}),
            ],
            "library": [("libtorch_cpu.so", 9_500_000, {}), ("python3.11", 500_000, {})],
        },
        **fields,
    )


def make_profile(**fields: Any) -> Profile:
    ordinary = {
        "title": "kws.onnx",
        "workload": make_file_record(),
        "machine": "epyc-7763",
        "price": "core",
        "accesses": "data",
        "phases": [make_training(), make_inference()],
        "fingerprint": make_fingerprint(),
        "seconds": 7.4,
    }
    return Profile.model_validate({**ordinary, **fields})
