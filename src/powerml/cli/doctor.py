"""``powerml doctor``: the installation, its gaps, and their remedies."""

from __future__ import annotations

import platform
import shutil
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import typer

from powerml.backend import backend_version, installed_backends, select_backend
from powerml.cli.options import Json
from powerml.errors import PowerMLError, shortened, words_of

__all__ = ["InstallationCheck", "doctor", "examine"]

LONGEST_DETAIL = 300


@dataclass(frozen=True)
class InstallationCheck:
    """One check of the installation. A measurement needs the `required` ones."""

    name: str
    ok: bool
    required: bool
    detail: str


def examine() -> list[InstallationCheck]:
    """Check everything a measurement needs. Valgrind is started on ``true``, QEMU for its help."""
    # They take a second, and no other command has to wait for them.
    from powerml.instrument import find_valgrind, valgrind_version
    from powerml.runtimes import DEFAULT_RUNTIME, UNEXPORTED, runtime_names
    from powerml.workloads.datasets import locate_mnist

    return [
        _check("python", lambda: f"{platform.python_version()} on {platform.machine()}"),
        _check("valgrind", lambda: f"{valgrind_version()}, {find_valgrind()}"),
        _check("simulator", _simulator),
        _check("client requests", _client_requests),
        _check("machine probe", _machine_probe, required=False),
        _check("compiler", _compiler, required=False),
        _check("keras", lambda: metadata.version("keras")),
        _check("backend", _backend),
        *(
            _check(name, partial(_runtime, name), required=name == DEFAULT_RUNTIME)
            for name in runtime_names()
            if name not in UNEXPORTED
        ),
        *(
            _check(f"export to {name}", partial(_export, name), required=False)
            for name in runtime_names()
            if name not in UNEXPORTED
        ),
        _check("temporary folder", _temporary_folder),
        _check("warm simulator", _warm_simulator, required=False),
        _check("emulator of boards", _emulator, required=False),
        _check("ARM side of boards", _arm_side, required=False),
        _check("full mnist", lambda: str(locate_mnist()), required=False),
    ]


def _check(name: str, look: Callable[[], str], *, required: bool = True) -> InstallationCheck:
    try:
        return InstallationCheck(name=name, ok=True, required=required, detail=look())
    except Exception as error:  # whatever a thing raises, it does not work
        return InstallationCheck(
            name=name,
            ok=False,
            required=required,
            detail=shortened(words_of(error), LONGEST_DETAIL),
        )


def _client_requests() -> str:
    from powerml.meters.simulator import launch

    launch.require_client_requests()
    return "the C extension is there"


def _machine_probe() -> str:
    from powerml.host.timing import require_loops

    return f"the C extension is there, with {len(require_loops().loops())} loops"


def _simulator() -> str:
    from powerml.instrument import find_tool, try_tool, valgrind_version

    path = find_tool()
    try_tool()
    return f"built for Valgrind {valgrind_version()}, runs; {path}"


def _compiler() -> str:
    """Describe the compiler, which only a new build of the C parts needs."""
    from powerml.instrument.build import find_description

    missing = [
        name
        for name, there in (
            ("gcc", shutil.which("gcc") or shutil.which("cc")),
            ("python3-dev", (Path(sysconfig.get_paths()["include"]) / "Python.h").exists()),
            ("valgrind/callgrind.h", Path("/usr/include/valgrind/callgrind.h").exists()),
        )
        if not there
    ]
    if missing:
        raise OSError(f"not found: {', '.join(missing)}; only needed to build the C parts")
    find_description()
    return "gcc, Python.h, Valgrind's headers and libraries are there"


def _backend() -> str:
    chosen = select_backend()
    others = [f"{name} {backend_version(name)}" for name in installed_backends()]
    return f"{chosen} (installed: {', '.join(others)})"


def _runtime(name: str) -> str:
    from powerml.runtimes import require_runtime

    package = require_runtime(name).package
    return metadata.version(metadata.packages_distributions().get(package, [package])[0])


def _export(name: str) -> str:
    from powerml.runtimes import find_runtime, require_exporter

    require_exporter(find_runtime(name), select_backend())
    return "topologies and .keras files"


def _warm_simulator() -> str:
    from powerml.meters.simulator.warm.client import states

    found = states()
    guests = [str(guest["job"]).rpartition(":")[2] for state in found for guest in state.guests]
    if not found:
        return "not started; powerml warm starts it"
    processes = ", ".join(str(state.process) for state in found)
    return f"process {processes}: {', '.join(guests) or 'no guest'}; powerml warm --stop ends it"


def _emulator() -> str:
    from powerml.boards import find_emulator

    emulator = find_emulator()
    return f"QEMU {emulator.version} with plug-ins; {emulator.path}"


def _arm_side() -> str:
    from powerml.boards import find_arm_side

    side = find_arm_side()
    return f"{side.root.parent}; powerml machines forget removes it"


def _temporary_folder() -> str:
    with tempfile.TemporaryFile() as file:
        file.write(b"0")
    return tempfile.gettempdir()


def doctor(json: Json = False) -> None:
    """Check the installation and say how to add what is missing. Example: powerml doctor."""
    checks = examine()
    if json:
        import json as json_text

        typer.echo(json_text.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            state = "ok" if check.ok else ("MISSING" if check.required else "-")
            typer.echo(f"{state:8}{check.name:24}{check.detail}")
    if any(check.required and not check.ok for check in checks):
        raise typer.Exit(PowerMLError.exit_code)
