"""Options of counting a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from powerml.costs.cost import DEFAULT_PRICE, PriceName, PriceOption
from powerml.machines import DEFAULT_MACHINE, Machine, require_no_board
from powerml.meters.options import PRICE_DETAILS, AccessesOption, LevelsOption, MachineOptions
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
        Shown(after="machine_file", default=DEFAULT_PRICE, details=PRICE_DETAILS),
    ] = None
    levels: LevelsOption = 2
    accesses: Annotated[AccessesOption, Shown(after="price")] = "data"
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
