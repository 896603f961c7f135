"""The machines of each phase: training may be priced for others than inference.

A board is a machine whose code is foreign to the host. It runs under emulation, and Keras does not.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from powerml.errors import MachineError, UsageError
from powerml.machines.profile import Geometry, Machine, Processor, geometries

__all__ = [
    "TRAINING_PHASES",
    "PhaseMachines",
    "board_among",
    "is_board",
    "is_emulated",
    "require_no_board",
    "runs_natively",
]

# Keras runs both: what it compiles is the training's code.
TRAINING_PHASES = ("compile", "training")
ARM_HOSTS = ("aarch64", "arm64")
# Extensions of Arm that Valgrind 3.19 cannot run.
UNKNOWN_TO_VALGRIND = frozenset(("asimddp", "atomics"))

One = TypeVar("One")


def runs_natively(host: str, processor: Processor | None) -> bool:
    """Return whether a machine's code is counted in Valgrind on a host, without emulation.

    Parameters
    ----------
    host
        The host's architecture, as `platform.machine` names it.
    processor
        The machine's processor; None for code of the host's kind.
    """
    if processor is None:
        return True
    return host in ARM_HOSTS and not UNKNOWN_TO_VALGRIND & set(processor.features)


def is_emulated(processor: Processor | None) -> bool:
    """Return whether the code of a processor is counted under emulation on this host."""
    return not runs_natively(platform.machine(), processor)


def is_board(machine: Machine) -> bool:
    """Return whether the code of a machine is counted under emulation on this host."""
    return is_emulated(machine.simulated_geometry.processor)


def board_among(machines: Sequence[Machine]) -> Machine | None:
    """Return the first board of several machines, None if there is none."""
    return next((machine for machine in machines if is_board(machine)), None)


def require_no_board(machines: Sequence[Machine], why: str, remedy: str) -> None:
    """Refuse boards for work in code of the host's kind.

    Parameters
    ----------
    machines
        The machines.
    why
        The reason, as the rest of a sentence about the board.
    remedy
        The advice.

    Raises
    ------
    UsageError
        One of the machines is a board.
    """
    board = board_among(machines)
    if board is not None:
        raise UsageError(f"{board.name} is a board, {why}: {remedy}")


@dataclass(frozen=True)
class PhaseMachines:
    """The machines that the phases of a workload are priced for.

    Parameters
    ----------
    inference
        Machines of every phase but the training and its compilation.
    training
        Machines of these two. There are none where nothing is trained.

    Raises
    ------
    MachineError
        Two profiles have one name.
    """

    inference: tuple[Machine, ...]
    training: tuple[Machine, ...] = ()

    def __post_init__(self) -> None:
        profiles = {machine.name: machine for machine in self.inference}
        for machine in self.training:
            if profiles.get(machine.name, machine) != machine:
                raise MachineError(
                    f"two profiles are called {machine.name}, one for training and one for "
                    "inference: rename one"
                )

    @classmethod
    def assigned(
        cls, inference: Sequence[Machine], training: Sequence[Machine] | None, usual: Machine
    ) -> PhaseMachines:
        """Assign machines to the phases, where a network is trained.

        Parameters
        ----------
        inference
            Machines of the inference.
        training
            Machines of the training. None for those of the inference that are no boards.
        usual
            The machine of the training if all are boards.

        Raises
        ------
        UsageError
            The training is to be priced for a board.
        """
        if training is None:
            training = [one for one in inference if not is_board(one)] or [usual]
        require_no_board(
            training,
            "and Keras does not run on boards",
            f"give another --training-machine, as {usual.name}",
        )
        return cls(tuple(inference), tuple(training))

    @property
    def all(self) -> tuple[Machine, ...]:
        """All machines, each once: those of the inference come first."""
        return merged(self.inference, self.training)

    def of(self, phase: str) -> tuple[Machine, ...]:
        """Return the machines of a phase."""
        return self.training if phase in TRAINING_PHASES else self.inference

    def geometries(self, levels: int) -> dict[Geometry, tuple[Machine, ...]]:
        """List the caches to simulate, as `powerml.machines.geometries` does; see there."""
        return geometries(self.all, levels)

    def geometries_of(self, phase: str, levels: int) -> dict[Geometry, tuple[Machine, ...]]:
        """List the caches on which a phase is counted."""
        return geometries(self.of(phase), levels)


def merged(first: Sequence[One], second: Sequence[One]) -> tuple[One, ...]:
    """Return the items of two sequences, each once, in order."""
    return (*first, *(one for one in second if one not in first))
