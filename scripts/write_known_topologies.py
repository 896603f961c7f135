"""Write what is known of the spaces into the package: `powerml.paper.known`.

    .venv/bin/python scripts/write_known_topologies.py

From the tables in ``benchmarks/data``; a test keeps the file true to them.
"""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

from powerml.paper.known import (
    ACCURATE_SCORE,
    FILE,
    KnownSpace,
    KnownTopologies,
    KnownTopology,
    Preferred,
)
from powerml.paper.settings import CONVERGED_SCORE, SETTINGS, SPACES, Setting
from powerml.studies.objective import SCORE_TOLERANCE, Squared

ROOT = Path(__file__).parent.parent
TABLES = ROOT / "benchmarks" / "data"
TARGET = ROOT.joinpath("src", "powerml", "paper", *FILE)

Row = dict[str, str]


def known_text() -> str:
    """Return what the tables say as JSON."""
    found = KnownTopologies(
        source="benchmarks/data/dffr.csv and cnn.csv",
        spaces={space: _space(space) for space in SPACES},
    )
    return found.model_dump_json(indent=1) + "\n"


def _space(space: str) -> KnownSpace:
    with (TABLES / f"{space}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    accurate = [
        row for row in rows if float(row["test_score"]) >= CONVERGED_SCORE - SCORE_TOLERANCE
    ]
    return KnownSpace(
        topologies=len(rows),
        accurate=len(accurate),
        median={
            "training": median(float(row["training"]) for row in accurate),
            "inference": median(float(row["inference"]) for row in accurate),
        },
        least={
            "training": min(float(row["training"]) for row in accurate),
            "inference": min(float(row["inference"]) for row in accurate),
        },
        preferred=[_preferred(space, rows, setting) for setting in SETTINGS],
    )


def _preferred(space: str, rows: list[Row], setting: Setting) -> Preferred:
    members = [_member(space, row, setting) for row in rows]
    accurate = [one for one in members if one.validation_score >= ACCURATE_SCORE - SCORE_TOLERANCE]
    best, best_accurate = (min(some, key=lambda one: one.objective) for some in (members, accurate))
    return Preferred(setting=setting.number, best=best, best_accurate=best_accurate)


def _member(space: str, row: Row, setting: Setting) -> KnownTopology:
    parameters, _, batch_size = row["member"].rpartition(",batch_size=")
    score, test = float(row["validation_score"]), float(row["test_score"])
    training, inference = float(row["training"]), float(row["inference"])
    costs = {"training": training, "inference": inference}
    objective = Squared(setting.weights).value(costs, score)
    return KnownTopology(
        topology=f"{space}:{parameters}",
        batch_size=int(batch_size),
        validation_score=score,
        test_score=test,
        training_cost_ratio=training,
        inference_cost_ratio=inference,
        objective=round(objective, 6),
    )


if __name__ == "__main__":
    TARGET.write_text(known_text(), encoding="utf-8")
