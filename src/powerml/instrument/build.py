"""Build the Valgrind tool and the QEMU plug-in: ``python -m powerml.instrument.build``.

Installing powerML does this too. It takes gcc, and for the tool Valgrind's headers, static
libraries and pkg-config file, which is read here: the program pkg-config is not needed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from powerml.errors import SetupError
from powerml.instrument.plugin import PLUGIN, PLUGIN_NOT_BUILT
from powerml.instrument.tool import BUILT_FOR, FOLDER, NOT_BUILT, install_to_build, tool_path
from powerml.instrument.valgrind import find_valgrind, platform_name, valgrind_version

__all__ = ["PLUGIN_SOURCES", "SOURCES", "build_plugin", "build_tool", "find_description"]

SOURCES = ("classes.c", "fma.c", "hierarchy.c", "listing.c", "tool.c")
DESCRIPTION = "valgrind.pc"
ASSIGNMENT = re.compile(r"(\w+)\s*[=:]\s*(.*?)\s*")
REFERENCE = re.compile(r"\$\{(\w+)\}")
# The tool is a program without a C library, as Valgrind's own tools are.
COMPILE = (
    "-O3",
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-U_FORTIFY_SOURCE",
    "-fno-stack-protector",
    "-fno-strict-aliasing",
    "-fno-builtin-memset",
    "-fno-pie",
    "-fomit-frame-pointer",
)
# gcc's atomics for arm64 would ask the C library what the processor can do.
COMPILE_FOR = {"amd64-linux": ("-m64",), "arm64-linux": ("-mno-outline-atomics",)}
LINK = ("-static", "-no-pie", "-nodefaultlibs", "-nostartfiles", "-u", "_start")
NEEDED_LIBRARIES = ("coregrind", "vex")
LIBRARIES = (*NEEDED_LIBRARIES, "gcc-sup")  # the last is not in every version
PLUGIN_SOURCES = ("a64.c", "hierarchy.c", "listing.c", "plugin.c", "symbols.c")
COMPILE_PLUGIN = (
    "-O3",
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-U_FORTIFY_SOURCE",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fno-strict-aliasing",
    # It replaces memset, which must not be made of a call of itself.
    "-fno-builtin-memset",
    "-fno-tree-loop-distribute-patterns",
    "-DPOWERML_PLUGIN",
)
VARIABLES = ("includedir", "libdir", "valt_load_address")


def build_tool(folder: Path = FOLDER) -> Path:
    """Compile and link the tool into a folder, with a file that names the Valgrind it is for.

    Raises
    ------
    SetupError
        Something is not installed, the compiler refuses, or the folder cannot be written. The
        folder then keeps its content.
    """
    tool = tool_path(folder.resolve())
    description = find_description()
    compiler = _find_compiler()
    try:
        with tempfile.TemporaryDirectory(dir=tool.parent, prefix=".build-") as private:
            built = Path(private) / tool.name
            _compile(
                [compiler, *_options(description), "-o", str(built)],
                f"Valgrind {description['Version']}",
            )
            version = Path(private) / BUILT_FOR
            version.write_text(f"{description['Version']}\n", encoding="utf-8")
            built.replace(tool)
            version.replace(folder / BUILT_FOR)
        (folder / NOT_BUILT).unlink(missing_ok=True)
    except OSError as error:
        raise SetupError.quoting(
            f"the simulator cannot be written to {folder}", error, "build it as the folder's owner"
        ) from error
    return tool


def build_plugin(folder: Path = FOLDER) -> Path:
    """Compile and link the plug-in into a folder.

    Raises
    ------
    SetupError
        There is no compiler, it refuses, or the folder cannot be written.
    """
    plugin = folder.resolve() / PLUGIN
    compiler = _find_compiler()
    try:
        with tempfile.TemporaryDirectory(dir=plugin.parent, prefix=".build-") as private:
            built = Path(private) / PLUGIN
            _compile(
                [compiler, *COMPILE_PLUGIN, "-o", str(built), *PLUGIN_SOURCES, "-ldl", "-lpthread"],
                "QEMU",
            )
            built.replace(plugin)
        (folder / PLUGIN_NOT_BUILT).unlink(missing_ok=True)
    except OSError as error:
        raise SetupError.quoting(
            f"the QEMU plug-in cannot be written to {folder}",
            error,
            "build it as the folder's owner",
        ) from error
    return plugin


def find_description() -> dict[str, str]:
    """Return the variables and fields of the installed Valgrind's pkg-config file.

    Raises
    ------
    SetupError
        Valgrind, or a file from which its tools are built, is not installed.
    """
    installed = valgrind_version()
    others = set()
    for path in _description_paths():
        description = _read_description(path)
        if description.get("Version") == installed:
            _require_complete(path, description)
            return description
        others.add(description.get("Version", "an unknown version"))
    found = f", only that of {', '.join(sorted(others))}" if others else ""
    raise SetupError(
        f"the file {DESCRIPTION} of Valgrind {installed} was not found{found}: "
        f"{install_to_build()}, or name its folder in PKG_CONFIG_PATH"
    )


def _description_paths() -> list[Path]:
    launcher = find_valgrind()
    prefixes = [Path(path).parents[1] for path in (launcher, os.path.realpath(launcher))]
    prefixes += [Path("/usr"), Path("/usr/local")]
    named = [Path(path) for path in os.environ.get("PKG_CONFIG_PATH", "").split(":") if path]
    libraries = (f"lib/{platform.machine()}-linux-gnu", "lib64", "lib")
    folders = [prefix / library / "pkgconfig" for prefix in prefixes for library in libraries]
    paths = (folder / DESCRIPTION for folder in dict.fromkeys(named + folders))
    return [path for path in paths if path.is_file()]


def _read_description(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if assigned := ASSIGNMENT.fullmatch(line):
            name, value = assigned.groups()
            found[name] = REFERENCE.sub(lambda reference: found.get(reference[1], ""), value)
    return found


def _require_complete(path: Path, description: dict[str, str]) -> None:
    missing = [f"{name} in {path}" for name in VARIABLES if not description.get(name)]
    if not missing:
        headers = Path(description["includedir"]) / "pub_tool_basics.h"
        needed = [headers, *(_library(description, name) for name in NEEDED_LIBRARIES)]
        missing = [str(file) for file in needed if not file.is_file()]
    if missing:
        raise SetupError(
            f"Valgrind was installed without {missing[0]}, from which its tools are built: "
            f"{install_to_build()}"
        )


def _library(description: dict[str, str], name: str) -> Path:
    return Path(description["libdir"]) / "valgrind" / f"lib{name}-{platform_name()}.a"


def _find_compiler() -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SetupError(f"gcc was not found: {install_to_build()}")
    return compiler


def _options(description: dict[str, str]) -> list[str]:
    name = platform_name()
    architecture, _, system = name.partition("-")
    headers = Path(description["includedir"])
    libraries = [_library(description, library) for library in LIBRARIES]
    return [
        *COMPILE,
        *COMPILE_FOR[name],
        f"-DVGO_{system}=1",
        f"-DVGA_{architecture}=1",
        f"-DVGP_{architecture}_{system}=1",
        f"-DVGPV_{architecture}_{system}_vanilla=1",
        # Without warnings about them. The second is for <valgrind/valgrind.h>.
        *("-isystem", str(headers), "-isystem", str(headers.parent)),
        *SOURCES,
        *LINK,
        f"-Wl,-Ttext-segment={description['valt_load_address']},--build-id=none",
        *(str(library) for library in libraries if library.is_file()),
        "-lgcc",
    ]


def _compile(command: list[str], carrier: str) -> None:
    # In the folder of the sources: their path must not get into the tool.
    ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode}"]
        said = next((line for line in lines if "error: " in line), lines[0])
        if said.startswith("collect2"):  # its error is that the linker had one
            said = lines[0]
        raise SetupError.quoting(
            f"{command[0]} could not build the simulator for {carrier}",
            said,
            install_to_build(),
        )


if __name__ == "__main__":
    try:
        build_tool()
        build_plugin()
    except SetupError as error:
        raise SystemExit(f"{error}") from None
