"""The tables of options in the docs are those of the command line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parent.parent / "scripts" / "write_option_tables.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_option_tables", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_tables_are_what_the_script_makes() -> None:
    script = _script()
    page = script.DOCS.read_text(encoding="utf-8")
    assert page == script.with_tables(page), "an option has changed: if that is meant, make schemas"
    assert "| `--score-seeds <int>` | `1` | Trainings that a score is averaged over. |" in page
