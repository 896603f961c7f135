"""Parsers under atheris: pure functions of bytes, with coverage as the guide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PARSERS", "Parsed", "fuzz_parsers"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Parsed:
    """A parser's share of the campaign."""

    name: str
    inputs: int
    findings: int


def fuzz_parsers(seed: int, seconds: float, jobs: int, kept: Path) -> list[Parsed]:
    """Run all."""
    return []


PARSERS: dict[str, Callable[[bytes], None]] = {}
