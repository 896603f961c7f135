"""Options of counting a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from powerml.costs.cost import DEFAULT_PRICE, Accesses, PriceName, PriceOption, check_accesses
from powerml.machines import DEFAULT_MACHINE, Machine, require_no_board
from powerml.meters.options import MachineOptions
from powerml.options import Shown

__all__ = ["RunOptions"]


class RunOptions(MachineOptions):
    """Options of `powerml.run` and of ``powerml run``."""

    machine: Annotated[
        str | Machine | Sequence[str | Machine] | None,
        Field(
            description="Machines that price the counts, separated by commas; or all but boards."
        ),
        Shown(default=DEFAULT_MACHINE, details="They are given by name or as profiles."),
    ] = None
    price: Annotated[
        PriceOption,
        Shown(default=DEFAULT_PRICE, details="``core`` gives seconds too, each with an interval."),
    ] = None
    levels: Annotated[
        int,
        Field(description="Cache levels to price: 2; or 3, with L2."),
        Shown(details="2 has the levels of eq. 2.1."),
    ] = 2
    accesses: Annotated[
        Accesses,
        BeforeValidator(check_accesses),
        Field(description="Accesses to price: data; or all, with instruction fetches."),
    ] = "data"
    clock: Annotated[
        bool,
        Field(description="Give the command a clock that counts cost instead of time."),
        Shown(
            details="It tells the seconds of the first machine by eq. 2.1, whatever `price` is, so "
            "that profilers and timers in the command report cost."
        ),
    ] = False
    from_region: Annotated[
        bool,
        Field(description="Count nothing before the first region, which begins with empty caches."),
        Shown(details="What comes before it is run several times as fast."),
    ] = False
    trace_children: Annotated[
        bool,
        Field(description="Count the programs that the command starts, too."),
    ] = False

    @property
    def chosen_price(self) -> PriceName:
        """The price: the given one, or the usual one."""
        return self.price or DEFAULT_PRICE

    def machines(self) -> tuple[Machine, ...]:
        """Return the machines, none of which is a board.

        Raises
        ------
        MachineError
            A profile cannot be used, or is given twice.
        UnknownNameError
            There is none of a name.
        UsageError
            One is a board.
        """
        profiles = self.profiles()
        require_no_board(
            profiles,
            "where a command in this machine's code cannot run",
            f"name another machine, as {DEFAULT_MACHINE}",
        )
        return profiles
