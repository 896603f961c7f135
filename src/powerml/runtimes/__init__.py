"""Runtimes: what runs a trained network where it is deployed, a file for each."""

from powerml.runtimes.base import Feed, Input, Runtime, Session, Shapes
from powerml.runtimes.catalogue import (
    DEFAULT_RUNTIME,
    find_runtime,
    require_exporter,
    require_runtime,
    runtime_names,
)

__all__ = [
    "DEFAULT_RUNTIME",
    "Feed",
    "Input",
    "Runtime",
    "Session",
    "Shapes",
    "find_runtime",
    "require_exporter",
    "require_runtime",
    "runtime_names",
]
