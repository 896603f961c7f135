"""Uses of a model's inputs: what its graph does with their values, so that they can be drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Use", "is_mask"]


@dataclass(frozen=True)
class Use:
    """The uses of one input.

    `low` and `high` are the least and the largest value that the graph allows, None where it does
    not say. With `indexes` its values pick rows of a table, with `sizes` the shape of something
    follows from them. `decides` says what is decided by them, as in ``which branch runs``.
    `features` is the size of its last dimension where the weights tell.
    """

    low: int | None = None
    high: int | None = None
    indexes: bool = False
    sizes: bool = False
    decides: str | None = None
    features: int | None = None

    @property
    def matters(self) -> bool:
        """Whether the cost depends on the values."""
        return self.indexes or self.sizes or self.decides is not None

    def within(self, low: int | None, high: int | None) -> Use:
        """Return the same with values between two bounds; None for no bound."""
        lows = [one for one in (self.low, low) if one is not None]
        highs = [one for one in (self.high, high) if one is not None]
        return replace(self, low=max(lows, default=None), high=min(highs, default=None))


def is_mask(name: str) -> bool:
    """Whether an input of integers marks what counts, by its name: ones count."""
    return "mask" in name.lower()
