"""The record of what a deployed network takes in memory and on disk."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Memory"]


class Memory(BaseModel):
    """The bytes that a deployed network takes. A figure that is not known is None, never zero.

    `weights_bytes` and `activations_bytes` follow from the file's graph, at the measured batch size
    and open dimensions. They are the same on every machine. `allocated_bytes` is what the runtime
    allocated on this machine; it includes the runtime's copies and packed weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_bytes: int | None = Field(
        default=None,
        ge=0,
        description="bytes of the constants that the graph reads, each once, at the size of its "
        "type; null if not known",
    )
    activations_bytes: int | None = Field(
        default=None,
        ge=0,
        description="peak bytes of live tensors over the graph's order, with inputs and outputs "
        "and without reuse in place; null if not known",
    )
    file_bytes: int | None = Field(
        default=None,
        ge=1,
        description="bytes of the deployed file, with the weights beside it; null if not known",
    )
    allocated_bytes: int | None = Field(
        default=None,
        ge=0,
        description="peak bytes that the runtime allocated to load the model and run it twice, "
        "natively on this machine; null if not measured, as in the trials of a study",
    )
    remarks: list[str] = Field(
        default_factory=list, description="reasons why figures are null, one sentence each"
    )

    @property
    def needed_bytes(self) -> int | None:
        """Weights and peak of activations together; None if either is not known."""
        if self.weights_bytes is None or self.activations_bytes is None:
            return None
        return self.weights_bytes + self.activations_bytes
