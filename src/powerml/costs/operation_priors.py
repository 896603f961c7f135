"""Prior costs of the terms of operations, in cycles, to one digit: only their ratios count.

They decide until measurements tell better. `benchmarks/networks.py prior` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["OPERATIONS_PRIOR"]

OPERATIONS_PRIOR: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"training": {}, "inference": {}}
)
