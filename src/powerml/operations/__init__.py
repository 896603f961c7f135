"""Operations of a network: what it computes for one sample, read by running it once."""

from powerml.operations.operation import KINDS, Kind, Operation
from powerml.operations.reading import operations_of

__all__ = ["KINDS", "Kind", "Operation", "operations_of"]
