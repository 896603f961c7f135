"""Operations of a network: what it computes for one sample, read by running it once."""

from powerml.operations.operation import KINDS, Operation, OperationKind
from powerml.operations.reading import operations_of

__all__ = ["KINDS", "Operation", "OperationKind", "operations_of"]
