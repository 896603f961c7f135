"""Caches of several geometries in one run of the instrument. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from powerml.costs.counts import Counts, Instructions, Streamed
from powerml.errors import OutputError
from powerml.machines import Cache, Geometry

__all__ = ["SimulatedCaches"]

# Counters of a scope in the order of instrument/hierarchy.h.
CLASSES = (
    "moves",
    "integer",
    "branches",
    "float_scalar",
    "float_128",
    "float_256",
    "integer_128",
    "integer_256",
    "fma_scalar",
    "fma_128",
    "fma_256",
    "divisions",
)
OPERATIONS = ("float_operations", "integer_operations")
FIXED = (*CLASSES, *OPERATIONS, "reads", "writes", "modifies")
# Misses of a cache by direction, and those of data that continue a stream.
FETCH, READ, WRITE, MODIFY, STREAMED = range(5)
MISS_COUNTERS = 5
Front = tuple[Cache, Cache]


class SimulatedCaches:
    """Caches of all geometries, each first level once, with the last levels below it.

    Parameters
    ----------
    geometries
        The geometries, in the order in which they are asked for.
    """

    def __init__(self, geometries: Iterable[Geometry]) -> None:
        self._lower: dict[Front, list[Cache]] = {}
        for geometry in geometries:
            lower = self._lower.setdefault((geometry.i1, geometry.d1), [])
            if geometry.ll not in lower:
                lower.append(geometry.ll)

    @property
    def options(self) -> list[str]:
        """Options of the instrument."""
        return [
            option
            for (i1, d1), lower in self._lower.items()
            for option in (f"--front={i1}/{d1}", *(f"--lower={cache}" for cache in lower))
        ]

    @property
    def counters(self) -> int:
        """The number of counters of a scope."""
        return len(FIXED) + MISS_COUNTERS * self._caches

    @property
    def _caches(self) -> int:
        return sum(2 + len(lower) for lower in self._lower.values())

    def counts(self, counters: Sequence[int], geometry: Geometry) -> Counts:
        """Return the counts of one geometry.

        A read whose instruction writes the same place too is a read, as Cachegrind has it.

        Raises
        ------
        OutputError
            There are not as many counters as the caches have, or no instruction was counted.
        """
        counts = self.counts_of_part(counters, geometry)
        if counts.Ir == 0:
            raise OutputError("the simulator counts no instruction: measure again")
        return counts

    def counts_of_part(self, counters: Sequence[int], geometry: Geometry) -> Counts:
        """Return the counts of a part of a region, which may be of nothing; see `counts`."""
        if len(counters) != self.counters:
            raise OutputError(
                f"the simulator gave {len(counters)} counters for {self._caches} caches: "
                "install powerml again"
            )
        fixed = dict(zip(FIXED, counters, strict=False))
        i1 = self._misses(counters, geometry, 0)
        d1 = self._misses(counters, geometry, 1)
        ll = self._misses(
            counters, geometry, 2 + self._lower[geometry.i1, geometry.d1].index(geometry.ll)
        )
        executed = sum(fixed[name] for name in CLASSES)
        instructions = {name: fixed[name] for name in (*CLASSES, *OPERATIONS, "modifies")}
        return Counts(
            Ir=executed,
            Dr=fixed["reads"] + fixed["modifies"],
            Dw=fixed["writes"],
            I1mr=i1[FETCH],
            D1mr=d1[READ] + d1[MODIFY],
            D1mw=d1[WRITE],
            ILmr=ll[FETCH],
            DLmr=ll[READ] + ll[MODIFY],
            DLmw=ll[WRITE],
            instructions=Instructions(**instructions),
            streamed=Streamed(D1m=d1[STREAMED], DLm=ll[STREAMED]),
        )

    def _misses(self, counters: Sequence[int], geometry: Geometry, number: int) -> Sequence[int]:
        """Return the counters of the misses of a cache of the geometry's first level."""
        before = 0
        for front, lower in self._lower.items():
            if front == (geometry.i1, geometry.d1):
                break
            before += 2 + len(lower)
        start = len(FIXED) + MISS_COUNTERS * (before + number)
        return counters[start : start + MISS_COUNTERS]
