"""Runtimes: the software that runs trained networks, a file for each."""

from powerml.runtimes.base import (
    Exporter,
    Feed,
    Format,
    Input,
    Needs,
    Operators,
    ProfiledSession,
    Runtime,
    Session,
    Shapes,
)
from powerml.runtimes.catalogue import (
    DEFAULT_RUNTIME,
    FRAMEWORK,
    KERAS_SUFFIX,
    UNEXPORTED,
    find_runtime,
    require_exporter,
    require_runtime,
    runtime_names,
    runtimes_by_suffix,
)

__all__ = [
    "DEFAULT_RUNTIME",
    "FRAMEWORK",
    "KERAS_SUFFIX",
    "UNEXPORTED",
    "Exporter",
    "Feed",
    "Format",
    "Input",
    "Needs",
    "Operators",
    "ProfiledSession",
    "Runtime",
    "Session",
    "Shapes",
    "find_runtime",
    "require_exporter",
    "require_runtime",
    "runtime_names",
    "runtimes_by_suffix",
]
