"""Writing a reproduction: its tables as CSV, its figures as SVG, the record and the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from powerml.files.atomic import write_whole
from powerml.paper.charts import charts
from powerml.paper.figures import Architecture, Deviation, ReproducedResult, SeedSpread
from powerml.paper.original import ARCHITECTURE_FIGURES
from powerml.paper.page import page
from powerml.paper.reproduction import Reproduction

__all__ = ["RECORD", "Written", "write_files"]

PAGE, RECORD = "reproduction.html", "reproduction.json"

Cells = Mapping[str, object]


@dataclass(frozen=True)
class Written:
    """Paths of all that was written."""

    page: Path
    others: tuple[Path, ...]


def write_files(found: Reproduction, out: Path, command: str) -> Written:
    """Write all results of a reproduction into its folder, each file whole or not at all."""
    texts = {**_tables(found), **charts(found), RECORD: found.to_json() + "\n"}
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(out / name, text)
    write_whole(out / PAGE, page(found, command))
    return Written(out / PAGE, tuple(out / name for name in texts))


def _tables(found: Reproduction) -> dict[str, str]:
    """CSV by the name of the file, for the figures that were asked for."""
    tables: dict[str, list[Cells]] = {
        "figure-2.csv": _pivoted(found.results),
        "figure-3.csv": [_deviation(row) for row in found.deviations],
    }
    for space, figure in ARCHITECTURE_FIGURES.items():
        rows = [row for row in found.architectures if row.space == space]
        tables[f"figure-{figure}.csv"] = [_architecture(row) for row in rows]
    tables["convergence.csv"] = [_flat(one.model_dump()) for one in found.convergences]
    tables["savings.csv"] = [_flat(one.model_dump()) for one in found.savings]
    return {name: _csv(rows) for name, rows in tables.items() if rows}


def _pivoted(results: Sequence[ReproducedResult]) -> list[Cells]:
    """Figure 2 has the spaces side by side."""
    rows: dict[tuple[int, str], dict[str, object]] = {}
    for one in sorted(results, key=lambda one: one.setting):
        row = rows.setdefault((one.setting, one.way), _key(one))
        row |= {f"{one.space}_{name}": value for name, value in _result(one)}
    return list(rows.values())


def _result(one: ReproducedResult) -> Iterator[tuple[str, object]]:
    for name, ours, printed in (
        ("model_score", one.score, one.printed_score),
        ("training_cost", one.training_cost, one.printed_training_cost),
        ("inference_cost", one.inference_cost, one.printed_inference_cost),
        ("training_cost_of_reference", one.training_cost_of_reference, None),
        ("inference_cost_of_reference", one.inference_cost_of_reference, None),
    ):
        yield from _spread(name, ours).items()
        if printed is not None:
            yield f"{name}_printed", printed


def _deviation(one: Deviation) -> Cells:
    return {
        **_key(one),
        "space": one.space,
        **_spread("training_cost", one.training_cost),
        "training_cost_printed": one.printed_training_cost,
        **_spread("inference_cost", one.inference_cost),
        "inference_cost_printed": one.printed_inference_cost,
    }


def _architecture(one: Architecture) -> Cells:
    ours = one.parameters or dict.fromkeys(one.printed)
    cells: dict[str, object] = {**_key(one), "seed": one.seed}
    for name, printed in one.printed.items():
        cells |= {name: ours[name], f"{name}_printed": printed}
    return cells


def _key(one: ReproducedResult | Deviation | Architecture) -> dict[str, object]:
    return {"setting": one.setting, "alpha": one.alpha, "beta": one.beta, "way": one.way}


def _spread(name: str, value: SeedSpread) -> dict[str, object]:
    return {name: value.median, f"{name}_low": value.low, f"{name}_high": value.high}


def _flat(record: Mapping[str, object]) -> Cells:
    """Flatten nested fields into columns of their own."""
    return {
        f"{name}_{inner}" if inner else name: value
        for name, cell in record.items()
        for inner, value in (cell.items() if isinstance(cell, dict) else [("", cell)])
    }


def _csv(rows: Iterable[Cells]) -> str:
    """None is an empty cell. A float has the digits that matter."""
    written = list(rows)
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in written for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in written:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
