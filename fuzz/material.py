"""Valid content that inputs are made of, each made once."""

from __future__ import annotations

import io
import json
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tests.builders import make_calibration_record, make_measurement
from tests.profiles import make_profile
from tests.stored_studies import save_study

import powerml

__all__ = [
    "MODELS",
    "arrays",
    "arrow_stream",
    "calibration",
    "csv_text",
    "image",
    "journal",
    "machine_text",
    "measurement",
    "model",
    "npz",
    "parquet",
    "profile",
    "readings_text",
]

PACKAGE = Path(powerml.__file__).parent
MODELS = ("dense.keras", "dense.onnx", "dense.tflite", "even.keras", "odd.onnx", "odd.tflite")
ROWS = 40


@cache
def arrays() -> dict[str, Any]:
    """Samples of 6 features and 2 classes."""
    random = np.random.default_rng(0)
    labels = np.arange(ROWS) % 2
    return {
        "x_train": random.normal(size=(ROWS, 6)).astype(np.float32),
        "y_train": labels.astype(np.int64),
        "x_test": random.normal(size=(ROWS // 2, 6)).astype(np.float32),
        "y_test": labels[: ROWS // 2].astype(np.int64),
    }


def npz(content: dict[str, Any], *, compressed: bool = False) -> bytes:
    """Return arrays as an ``.npz`` file."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **content)
    return file.getvalue()


@cache
def csv_text() -> str:
    """A table of numbers, a text and a class."""
    lines = ["height,width,colour,kind"]
    for row in range(ROWS):
        colour = ("red", "green", "blue")[row % 3]
        lines.append(f"{row / 7:.3f},{row % 5},{colour},{'ab'[row % 2]}")
    return "\n".join(lines) + "\n"


@cache
def parquet() -> bytes:
    """The same as Parquet."""
    import pyarrow
    from pyarrow import parquet as writer

    file = io.BytesIO()
    writer.write_table(_table(pyarrow), file)
    return file.getvalue()


def _table(pyarrow: Any) -> Any:
    return pyarrow.table(
        {
            "height": [row / 7 for row in range(ROWS)],
            "width": [row % 5 for row in range(ROWS)],
            "colour": [("red", "green", "blue")[row % 3] for row in range(ROWS)],
            "kind": ["ab"[row % 2] for row in range(ROWS)],
        }
    )


@cache
def arrow_stream() -> bytes:
    """The same as Hugging Face keeps it."""
    import pyarrow

    file = io.BytesIO()
    table = _table(pyarrow)
    with pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return file.getvalue()


@cache
def image(kind: str = "PNG") -> bytes:
    """A picture of 8 x 8 pixels."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, kind)
    return file.getvalue()


@cache
def model(name: str) -> bytes:
    """A small model of the guest's warm-up."""
    return (PACKAGE / "guest" / "warm_up" / name).read_bytes()


@cache
def journal() -> bytes:
    """The journal of a study of five trials."""
    with tempfile.TemporaryDirectory() as folder:
        content = (save_study(Path(folder) / "s") / "study.journal").read_bytes()
    # The process and the time of day are the same in every campaign.
    content = re.sub(rb'"worker_id":"[^"]*"', b'"worker_id":"0-0"', content)
    return re.sub(
        rb'"(datetime_\w+)":"[^"]*"', rb'"\1":"2026-01-01T00:00:00.000000+00:00"', content
    )


@cache
def measurement() -> dict[str, Any]:
    """A record of ``powerml measure --json``."""
    found: dict[str, Any] = json.loads(make_measurement().to_json())
    return found


@cache
def profile() -> dict[str, Any]:
    """A record of ``powerml profile --json``."""
    found: dict[str, Any] = json.loads(make_profile().to_json())
    return found


@cache
def calibration() -> dict[str, Any]:
    """A file of ``powerml calibrate``."""
    found: dict[str, Any] = json.loads(make_calibration_record().to_json())
    return found


@cache
def machine_text() -> str:
    """The profile of a machine."""
    return (PACKAGE / "machines" / "epyc-7601.toml").read_text(encoding="utf-8")


@cache
def readings_text() -> str:
    """The readings of 2018."""
    from powerml.calibration.loads import READINGS_2018

    return (PACKAGE / "calibration" / READINGS_2018).read_text(encoding="utf-8")
