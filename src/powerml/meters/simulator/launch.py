"""Hermetic launch: the command line and the environment of a process under Valgrind.

Both are fixed, so that counts do not depend on the user's shell. No variable, working directory or
path length can move the measured process's memory. Paths of the installation are the view's.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from powerml.errors import SetupError
from powerml.instrument import INSTALL_AGAIN, find_valgrind, place_tool, valgrind_version
from powerml.machines import Geometry
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.meters.simulator.view import View, installed, interpreter
from powerml.workloads.workload import TRAINING_JOB

__all__ = [
    "WORKER_MODULE",
    "Launch",
    "Mode",
    "cachegrind",
    "callgrind",
    "code_digest",
    "environment",
    "private_folder",
    "require_client_requests",
    "require_installed",
    "seen_cpu_flags",
    "simulator",
    "surroundings",
    "text_environment",
]

WORKER_MODULE = "powerml.guest.main"
# The measured process works here: a folder that is the same everywhere.
WORKING_DIRECTORY = "/"
PACKAGE = Path(__file__).parents[2]
INSTRUMENT = PACKAGE / "instrument"
WARM_UP = PACKAGE / "guest" / "warm_up"
# What counts depend on: what runs in the guest, what is exported and fed to it, and what composes
# its counts. A change of anything else leaves the cache of counts as it is.
COUNTED = (
    "__init__.py",
    "errors.py",
    "guest",
    "instrument",
    "meters/simulator",
    "meters/valgrind",
    "networks",
    "plugins.py",
    "runtimes",
    "spaces",
    "workloads/inputs.py",
    "workloads/uses.py",
    "workloads/workload.py",
)
# Prints which of the modules that it is given by name there are not.
FIND_MODULES = """
import sys
from importlib.util import find_spec
print(*(name for name in sys.argv[1:] if find_spec(name) is None))
"""
FOLDER_PREFIX = "powerml-"
REMOVED_SUFFIX = "-removed"
OWNER_LOCK = "owner.lock"

# glibc chooses its memory routines by the sizes of the host's caches unless they are given: any
# values would do, if they are the same on every host. It copies long blocks with `rep movsb`, which
# Valgrind counts as one read and one write for each byte: no processor does that, so it is put out
# of reach. Blocks of 128 KiB and more get pages of their own, as glibc begins with: it would raise
# that threshold as blocks are freed, and leave it to the heap's history in which sets of the last
# level a tensor lies.
GLIBC_TUNABLES = ":".join(
    (
        "glibc.cpu.x86_data_cache_size=32768",
        "glibc.cpu.x86_shared_cache_size=1048576",
        "glibc.cpu.x86_non_temporal_threshold=1000000000",
        "glibc.cpu.x86_rep_movsb_threshold=1000000000",
        "glibc.cpu.x86_rep_stosb_threshold=1000000000",
        "glibc.malloc.mmap_threshold=131072",
    )
)
# Instruction sets for which the libraries have code of their own. AVX-512 is not emulated.
WITH_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_ISA": "AVX2"}
WITHOUT_AVX2 = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "XLA_ISA": "SSE4_2",
}
# Features of the host by which Valgrind decides what processor its guest sees.
SEEN_CPU_FLAGS = frozenset(
    ("ssse3", "sse4_1", "sse4_2", "cx16", "avx", "avx2", "bmi1", "bmi2", "fma", "f16c", "abm")
)


Mode = Literal["serve", "once"]


@dataclass(frozen=True)
class Launch:
    """The command line and the whole environment of a process, and a descriptor it inherits."""

    command: list[str]
    environment: dict[str, str]
    descriptor: int


def require_client_requests() -> None:
    """Check that the C extension is there; raises ``SetupError``, which names the packages."""
    if importlib.util.find_spec("powerml.guest._client_requests") is None:
        raise SetupError(
            "powerml was installed without its C extension, which needs gcc, Python's headers and "
            "valgrind/callgrind.h: apt-get install gcc python3-dev valgrind, then install powerml "
            f"again with {INSTALL_AGAIN}"
        )


def require_installed(modules: Iterable[str], backend: str | None) -> None:
    """Check that a measured process, without ``PYTHONPATH`` and its folder, finds modules.

    Nothing of the modules is run.

    Raises
    ------
    SetupError
        One is not installed where a measured process looks.
    """
    roots = sorted({module.partition(".")[0] for module in modules})
    if not roots:
        return
    ended = subprocess.run(
        [interpreter(), "-P", "-c", FIND_MODULES, *roots],
        env=environment(backend),
        cwd=WORKING_DIRECTORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if missing := ended.stdout.split():
        raise SetupError(
            f"the module {missing[0]} is not installed where a measured process finds it, which "
            "sees neither PYTHONPATH nor the working directory: install it with pip"
        )


def environment(backend: str | None) -> dict[str, str]:
    """Return the whole environment of a measured process, independent of the shell's.

    Without a `backend` Keras is not used in it.
    """
    isa = dict(WITH_AVX2 if _host_has_avx2() else WITHOUT_AVX2)
    xla_isa = isa.pop("XLA_ISA")
    return {
        **isa,
        "GLIBC_TUNABLES": GLIBC_TUNABLES,
        # Neither the user's keras.json nor caches in the home folder may have a say.
        "HOME": "/dev/null",
        "KERAS_HOME": "/dev/null/keras",
        **({} if backend is None else {"KERAS_BACKEND": backend}),
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": (f"--xla_cpu_multi_thread_eigen=false --xla_cpu_max_isa={xla_isa}"),
        "NPROC": "1",
        "PJRT_NPROC": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "ORT_DISABLE_TELEMETRY": "1",
        # It would read the metadata of all packages, and import what any of them announces.
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
    }


def _host_has_avx2() -> bool:
    return "avx2" in _host_flags()


@functools.cache
def _host_flags() -> frozenset[str]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def seen_cpu_flags() -> list[str]:
    """List the host's features by which Valgrind decides what processor its guest sees."""
    return sorted(_host_flags() & SEEN_CPU_FLAGS)


def surroundings(backend: str | None) -> dict[str, Any]:
    """Collect the determinants of counts without starting anything, as plain JSON."""
    return {
        "environment": environment(backend),
        "python": sys.version,
        "libc": " ".join(platform.libc_ver()),
        "valgrind": [find_valgrind(), valgrind_version()],
        "installed": installed(),
        "cpu_flags": seen_cpu_flags(),
    }


def code_digest(plug_ins: Iterable[object]) -> str:
    """Return the SHA-256 of the code that counts depend on, and of the plug-ins' files."""
    digest = hashlib.sha256()
    places = [PACKAGE / place for place in COUNTED]
    found = {file for place in places for file in (place.rglob("*") if place.is_dir() else [place])}
    files = [(str(path.relative_to(PACKAGE)), path) for path in sorted(found) if _is_counted(path)]
    for plug_in in plug_ins:
        module = sys.modules.get(type(plug_in).__module__)
        if module is not None and module.__file__:
            files.append((Path(module.__file__).name, Path(module.__file__)))
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _is_counted(path: Path) -> bool:
    if path.parent == INSTRUMENT:
        return path.suffix in {".c", ".h"}
    return path.suffix in {".py", ".so"} or path.parent == WARM_UP


def _caches(geometry: Geometry) -> list[str]:
    return [f"--I1={geometry.i1}", f"--D1={geometry.d1}", f"--LL={geometry.ll}"]


def simulator(
    caches: SimulatedCaches, backend: str | None, view: View, mode: Mode, job: str
) -> Launch:
    """Return the launch of a guest in the instrument, not counting until the guest says so.

    The guest's clocks count looks, lest counts depend on time. A process with several threads waits
    until a time, and is given the host's.

    Raises
    ------
    SetupError
        The instrument is missing, or was built for another Valgrind.
    ServerError
        The job does not start, even without the simulator.
    """
    own_clock = "yes" if mode == "serve" else "no"
    command = [
        find_valgrind(),
        "--tool=powerml",
        # Valgrind would run code on speculation past a branch, and count what the program skips;
        # and it translates a quarter faster where it does not follow jumps.
        "--vex-guest-chase=no",
        "--quiet",
        "--vgdb=no",
        f"--log-file={view.private / 'valgrind.%p.log'}",
        "--count-at-start=no",
        f"--own-clock={own_clock}",
        # Python keeps the names of a folder in the order in which the file system lists them.
        "--sort-listings=yes",
        *caches.options,
        *view.command(WORKER_MODULE, [mode, job]),
    ]
    library = {"VALGRIND_LIB": f"{view.path}/{place_tool(view.folder).name}"}
    variables = environment(backend)
    found = view.compile(job, WORKER_MODULE, variables)
    return Launch(command, variables | found | library, view.descriptor)


def callgrind(geometry: Geometry, backend: str | None, view: View, mode: Mode, job: str) -> Launch:
    """Return the launch of a guest under Callgrind, not counting until the guest says so."""
    command = [
        find_valgrind(),
        "--tool=callgrind",
        "--vex-guest-chase=no",
        "--quiet",
        "--vgdb=no",
        f"--log-file={view.private / 'valgrind.%p.log'}",
        "--instr-atstart=no",
        "--cache-sim=yes",
        *_caches(geometry),
        "--dump-line=no",
        # Callgrind 3.19 adds stale costs to functions when it folds calls through the linkage
        # table; the total of a region is right either way, that of its functions only so.
        "--skip-plt=no",
        f"--callgrind-out-file={view.private / 'counts.%p'}",
        *view.command(WORKER_MODULE, [mode, job]),
    ]
    variables = environment(backend)
    found = view.compile(job, WORKER_MODULE, variables)
    return Launch(command, variables | found, view.descriptor)


def cachegrind(
    geometry: Geometry, backend: str | None, view: View, output: Path, request: Path
) -> Launch:
    """Return the launch of a whole process under Cachegrind, as the paper's program ran it."""
    command = [
        find_valgrind(),
        "--tool=cachegrind",
        "--quiet",
        "--vgdb=no",
        f"--log-file={view.private / 'valgrind.%p.log'}",
        "--cache-sim=yes",
        *_caches(geometry),
        f"--cachegrind-out-file={output}",
        *view.command(WORKER_MODULE, ["whole", str(request)]),
    ]
    variables = environment(backend)
    found = view.compile(TRAINING_JOB, WORKER_MODULE, variables)
    return Launch(command, variables | found, view.descriptor)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Open a private folder for temporary files and remove it afterwards.

    A killed process cannot remove its folder. Each start therefore removes the folders of ended
    processes.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    lock = FileLock(folder / OWNER_LOCK)
    try:
        with lock:
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder into which a thread that was not awaited may still write.

    Under its new name nothing is added while it is emptied.
    """
    with contextlib.suppress(OSError):
        folder = folder.rename(folder.with_name(f"{folder.name}{REMOVED_SUFFIX}"))
    shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in sorted(parent.glob(f"{FOLDER_PREFIX}*")):
        lock_file = folder / OWNER_LOCK
        with contextlib.suppress(OSError, Timeout):
            if folder.stat().st_uid == os.getuid() and lock_file.exists():
                with FileLock(lock_file, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def text_environment(variables: Mapping[str, str]) -> str:
    """Return the environment as one sorted text, for the fingerprint."""
    return "\n".join(f"{name}={value}" for name, value in sorted(variables.items()))
