"""``powerml warm``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powerml.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from powerml.machines import Geometry, Machine, Processor
    from powerml.meters.simulator.warm.protocol import WarmState

__all__ = ["warm"]

DEFAULT_GUESTS = ("onnxruntime",)
DEFAULT_IDLE_MINUTES = 10.0
PAGE_SIZES = "VmRSS:"


def warm(
    guests: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="GUEST...",
            help="What to keep ready: training, own, loads, or a runtime.",
            show_default=" ".join(DEFAULT_GUESTS),
        ),
    ] = None,
    machine: Annotated[
        list[str] | None,
        typer.Option(
            help="Machines to simulate, separated by commas; or all but boards.",
            show_default="epyc-7763",
        ),
    ] = None,
    machine_file: Annotated[
        list[Path] | None, typer.Option(help="TOML profile of your own machine.")
    ] = None,
    levels: Annotated[int, typer.Option(help="Cache levels to simulate: 2; or 3, with L2.")] = 2,
    idle_minutes: Annotated[
        float, typer.Option(help="Minutes after which a guest ends that nobody uses.")
    ] = DEFAULT_IDLE_MINUTES,
    status: Annotated[
        bool, typer.Option("--status", help="Print what is ready, and exit.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End what is ready, and exit.")] = False,
    json: Json = False,
) -> None:
    """Keep the simulator ready for commands with --warm, which then need not wait for its start.

    A command with --warm starts what is not ready, and leaves it ready for the next one. It all
    ends when nobody has used it for ten minutes, or when the installation changes.

    Example: powerml warm

    Example: powerml warm training onnxruntime --machine all

    Example: powerml warm --stop
    """
    from powerml.errors import UsageError
    from powerml.meters.simulator.warm import client

    if status and stop:
        raise UsageError("--status and --stop exclude each other: give one of them")
    if stop:
        _show(client.stop(), json=json, ended=True)
        return
    if not status:
        if not idle_minutes > 0:
            raise UsageError(f"idle minutes is {idle_minutes:g}: give more than 0")
        _get_ready(guests or DEFAULT_GUESTS, machine, machine_file, levels, idle_minutes)
    _show(client.states(), json=json, ended=False)


def _get_ready(
    guests: Sequence[str],
    machine: list[str] | None,
    machine_file: list[Path] | None,
    levels: int,
    idle_minutes: float,
) -> None:
    """Start the guests that are not running, and wait for them."""
    from powerml.boards import BOARD_RUNTIMES, prepare_arm_side
    from powerml.cli.console import stages_shown
    from powerml.meters.options import MachineOptions
    from powerml.meters.simulator.warm import client
    from powerml.progress import unwatched

    given: dict[str, Any] = {"machine": machine, "machine_file": machine_file}
    chosen = MachineOptions(**{name: one for name, one in given.items() if one})
    host, boards = _kinds_of_code(chosen.profiles(), levels)
    wanted = []
    for guest in guests:
        job, _ = client.job_of(guest)  # a wrong name starts nothing
        runs = job.removeprefix(client.DEPLOYMENT) in BOARD_RUNTIMES
        own = [*boards, host] if runs and boards else [host or _usual_caches(levels)]
        wanted += [(guest, caches) for caches in own if caches]
    with stages_shown(kept=True) as notify:
        if any(caches in boards for _, caches in wanted):
            prepare_arm_side(notify, unwatched)
        client.start(idle_minutes)
        started = [(guest, client.get_ready(guest, caches)) for guest, caches in wanted]
        for guest, server in started:
            if not server.was_ready:
                notify(f"starting the simulator for {guest}")
            server.ready.result()
            server.close()


def _kinds_of_code(
    profiles: Sequence[Machine], levels: int
) -> tuple[list[Geometry], list[list[Geometry]]]:
    """Return the caches of machines that run the host's code, and those of each board's."""
    from powerml.machines import geometries, is_board

    host = list(geometries([one for one in profiles if not is_board(one)], levels))
    boards: dict[Processor | None, list[Geometry]] = {}
    for one in geometries([one for one in profiles if is_board(one)], levels):
        boards.setdefault(one.processor, []).append(one)
    return host, list(boards.values())


def _usual_caches(levels: int) -> list[Geometry]:
    """Return the caches of the machine that trains where the network runs on a board."""
    from powerml.machines import DEFAULT_MACHINE, geometries, load_machine

    return list(geometries([load_machine(DEFAULT_MACHINE)], levels))


def _show(states: list[WarmState], *, json: bool, ended: bool) -> None:
    from dataclasses import asdict

    if json:
        import json as json_text

        typer.echo(json_text.dumps([asdict(state) for state in states], indent=2))
        return
    if not states:
        typer.echo(
            "nothing was warm" if ended else "nothing is warm: powerml warm starts the simulator"
        )
    for state in states:
        for line in _lines(state, ended=ended):
            typer.echo(line)


def _lines(state: WarmState, *, ended: bool) -> list[str]:
    """Describe a warm simulator and its guests."""
    if ended:
        return [f"ended process {state.process} with {_number(len(state.guests), 'guest')}"]
    return [
        f"process {state.process}: {_number(state.users, 'user')}, idle for "
        f"{state.idle_seconds:.0f} s, ends after {state.idle_minutes:g} minutes",
        *(f"  {_guest_line(guest)}" for guest in state.guests),
    ]


def _guest_line(guest: dict[str, Any]) -> str:
    name = str(guest["job"]).rpartition(":")[2]
    where = f" on {guest['backend']}" if guest["backend"] else ""
    state = "ready" if guest["is_ready"] else "starting"
    caches = _number(len(guest["geometries"]), "geometry", "geometries")
    return f"{name}{where}, {caches}: {state}, {_megabytes(guest['process'])}"


def _megabytes(process: int) -> str:
    """Return the memory that a process takes, in words."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return "ended"
    sizes = [line.split()[1] for line in text.splitlines() if line.startswith(PAGE_SIZES)]
    return f"{int(sizes[0]) * 1024 / 1e6:.0f} MB" if sizes else "ended"


def _number(number: int, noun: str, several: str = "") -> str:
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"
