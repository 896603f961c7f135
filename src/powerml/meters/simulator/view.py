"""The view: the Python installation under paths that are the same in every folder.

The length of a path moves the heap of the measured process, and so its counts. The process sees its
interpreter, the standard library and the installed packages through links in a private folder. It
reaches that folder through an open file descriptor, whose path is the same everywhere.

Byte code holds paths, too. The view has its own, which is compiled before the process starts and
kept among the user's caches. Each job finds that of its own modules alone. What a user's network
imports later is compiled in the process, whatever other jobs have compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from powerml import plugins
from powerml.costs.cache import default_cache_folder
from powerml.errors import ServerError, SetupError, UsageError
from powerml.files.atomic import write_whole

__all__ = ["View", "installation", "installed", "interpreter", "open_descriptor", "open_view"]

PACKAGE = Path(__file__).parents[2]
START = f"{PACKAGE.name}/guest/start.py"
COMPILER_MODULE = "powerml.guest.byte_code"
# Three digits: the view's path has one length whichever of them is free.
FIRST_DESCRIPTOR, LAST_DESCRIPTOR = 100, 999
LINKS = "view"
PROGRAMS, LIBRARIES, BYTE_CODE = "bin", sys.platlibdir, "byte-code"
PACKAGES, METADATA, PLUG_INS = "packages", "metadata", "plug-ins"  # the first two as in `START`
LOCK = "lock"
JOBS = "jobs"  # byte code of each job, linked to where it is compiled
OWNER = "installation"  # a file with the path of the powerML that byte code is of
COMPILERS = min(4, os.cpu_count() or 1)
# The folders that `site` adds, those of .pth files among them, and the packages that setuptools'
# editable installations find by name.
SITE = """
import json, sys
before = set(sys.path)
import site
site.main()
editable = [one for name, one in sys.modules.items() if name.startswith("__editable__")]
print(json.dumps({
    "folders": [path for path in sys.path if path not in before],
    "packages": {name: path for one in editable for name, path in one.MAPPING.items()},
}))
"""


def interpreter() -> str:
    """Return the path of this Python, the same for every name or link that it was called by."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = Path(os.path.realpath(sys.prefix)) / "bin" / name
    return str(path) if path.exists() else sys.executable


def installation() -> list[str]:
    """List what tells this installation from others: Python and its folders, and powerML's."""
    return [sys.version, os.path.realpath(sys.prefix), sys.base_prefix, str(PACKAGE)]


def installed() -> list[str]:
    """List the installed distributions, as ``NAME==VERSION``."""
    # Name and version of a distribution would each read its metadata.
    found = (one.metadata for one in metadata.distributions())
    return sorted({f"{one['Name']}=={one['Version']}" for one in found})


@contextlib.contextmanager
def open_view(folder: Path, environment: Mapping[str, str]) -> Iterator[View]:
    """Open a view of the installation in a private folder.

    Parameters
    ----------
    folder
        The private folder, in which the links are made.
    environment
        The environment of the process that looks for packages.

    Raises
    ------
    SetupError
        The links cannot be made, or no file descriptor is free.
    """
    links = folder / LINKS
    try:
        _make_links(links, environment)
    except OSError as error:
        raise SetupError.quoting(
            f"the links to the installation cannot be made in {links}",
            error,
            "set TMPDIR to a folder of a file system that has symbolic links",
        ) from error
    descriptor = open_descriptor(links)
    try:
        yield View(folder, descriptor)
    finally:
        os.close(descriptor)


class View:
    """An open view. Processes that use it inherit its `descriptor`.

    Parameters
    ----------
    private
        The private folder, in which the folder of the links lies.
    descriptor
        The open folder of the links.
    """

    def __init__(self, private: Path, descriptor: int) -> None:
        self.private = private
        self.folder = private / LINKS
        self.descriptor = descriptor
        self.path = f"/proc/self/fd/{descriptor}"
        self._byte_code = _link_byte_code(self.folder, self.path)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Python finds the view, with the byte code of all jobs."""
        return self._environment(BYTE_CODE)

    def _environment(self, byte_code: str) -> dict[str, str]:
        return {
            "PYTHONHOME": self.path,
            "PYTHONPYCACHEPREFIX": f"{self.path}/{byte_code}",
            # Byte code that is missing would change the counts once.
            "PYTHONDONTWRITEBYTECODE": "1",
            plugins.FOLDER_VARIABLE: f"{self.path}/{PLUG_INS}",
        }

    def command(self, module: str, arguments: Sequence[str]) -> list[str]:
        """Return the command line that runs a module in the view.

        Neither the working directory nor what `site` adds is searched for modules.
        """
        program = f"{self.path}/{PROGRAMS}/{_program().name}"
        return [program, "-S", "-P", f"{self.path}/{PACKAGES}/{START}", module, *arguments]

    def sources(self, job: str, worker: str, environment: Mapping[str, str]) -> list[str]:
        """List the sources of the modules that a job imports, by their paths in the view.

        Parameters and errors are those of `compile`.
        """
        below = f"{self.path}/"
        return [
            source.removeprefix(below)
            for source in json.loads(self._run(environment, worker, ["list", job]))
            if source.startswith(below)
        ]

    def compile(self, job: str, worker: str, environment: Mapping[str, str]) -> dict[str, str]:
        """Have all byte code there that a job needs, compiled from the sources as they are.

        Return the variables by which Python finds the view, with the byte code of this job alone.

        Parameters
        ----------
        job
            A job of the guest's.
        worker
            The guest's module, which runs the job here without a simulator and lists its sources.
        environment
            The environment of the guest.

        Raises
        ------
        ServerError
            The job does not start.
        """
        digest = _digest(json.dumps([job, sorted(environment.items())]))
        record, own = self._byte_code / f"{digest}.json", self._byte_code / JOBS / digest
        # As long as the other's name, which the memory of the process holds.
        name = digest[: len(BYTE_CODE)]
        place = self.folder / name / self.path.removeprefix("/")
        # Two jobs share modules. Byte code that one uses already must not be written again by the
        # other: marshal marks an object by what else in its process refers to it.
        with FileLock(self._byte_code / LOCK):
            if not place.is_symlink():
                place.parent.mkdir(parents=True)
                place.symlink_to(own.resolve())
            versions = installed()
            if own.is_dir() and _is_current(record, versions, self.folder):
                return self._environment(name)
            sources = self.sources(job, worker, environment)
            stamps = {source: _stamp(self.folder / source) for source in sources}
            shares = [sources[number::COMPILERS] for number in range(COMPILERS)]
            with ThreadPoolExecutor(COMPILERS) as pool:
                list(pool.map(partial(self._compile_share, environment), shares))
            _link_compiled(sources, self._byte_code, own)
            write_whole(record, json.dumps({"installed": versions, "sources": stamps}))
        return self._environment(name)

    def _compile_share(self, environment: Mapping[str, str], sources: Sequence[str]) -> None:
        paths = "".join(f"{self.path}/{source}\n" for source in sources)
        self._run(environment, COMPILER_MODULE, [], paths)

    def _run(
        self,
        environment: Mapping[str, str],
        module: str,
        arguments: Sequence[str],
        given: str = "",
    ) -> str:
        """Run a module in the view without a simulator, and return what it prints."""
        ended = subprocess.run(
            self.command(module, arguments),
            env={**environment, **self.environment},
            cwd="/",
            pass_fds=[self.descriptor],
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise ServerError.quoting(
                f"{module} does not run without the simulator",
                ended.stderr.strip().rpartition("\n")[2] or f"it ended with {ended.returncode}",
                "see powerml doctor",
            )
        return ended.stdout


def open_descriptor(folder: Path) -> int:
    """Open a folder as a descriptor whose number has three digits."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        descriptor = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    except OSError:  # the limit is lower, or none is free
        descriptor = None
    finally:
        os.close(opened)
    if descriptor is None or descriptor > LAST_DESCRIPTOR:
        if descriptor is not None:
            os.close(descriptor)
        raise SetupError(
            f"no file descriptor from {FIRST_DESCRIPTOR} to {LAST_DESCRIPTOR} is free: close files "
            "or raise the limit with ulimit -n 1024"
        )
    return descriptor


def _make_links(links: Path, environment: Mapping[str, str]) -> None:
    site = _site(tuple(environment.items()))
    standard = Path(sysconfig.get_path("stdlib"))
    places: dict[str, str | Path] = {
        # Python would resolve a link to itself, but not one of its folder.
        PROGRAMS: _program().parent,
        f"{LIBRARIES}/{standard.name}": standard,
        # powerML itself is the one that runs, wherever it lies.
        f"{PACKAGES}/{PACKAGE.name}": PACKAGE,
    }
    for place, target in places.items():
        (links / place).parent.mkdir(parents=True, exist_ok=True)
        (links / place).symlink_to(target)
    _link_all(site["folders"], links / PACKAGES)
    for name, path in site["packages"].items():
        with contextlib.suppress(FileExistsError):
            (links / PACKAGES / name).symlink_to(path)
    _link_metadata(links)


def _link_metadata(links: Path) -> None:
    """Link the metadata of each distribution by its name, and those that announce plug-ins."""
    (links / METADATA).mkdir()
    (links / PLUG_INS).mkdir()
    for name in sorted(os.listdir(links / PACKAGES)):
        stem, dot, kind = name.rpartition(".")
        if dot + kind in {".dist-info", ".egg-info"}:
            with contextlib.suppress(FileExistsError):
                (links / METADATA / _normalized(stem.partition("-")[0])).symlink_to(name)
            with contextlib.suppress(OSError):  # most have no such file
                announced = (links / PACKAGES / name / "entry_points.txt").read_bytes()
                if b"[" + plugins.GROUPS.encode() in announced:
                    (links / PLUG_INS / name).symlink_to(links / PACKAGES / name)


def _program() -> Path:
    return Path(os.path.realpath(interpreter()))


def _normalized(distribution: str) -> str:
    """Return the one spelling of all spellings of a name, as `START` looks it up."""
    return re.sub("[-_.]+", "_", distribution).lower()


def _link_all(folders: Iterable[str | Path], target: Path) -> None:
    """Link the contents of folders, of one name the first; join the parts of namespace packages."""
    found: dict[str, list[Path]] = {}
    for folder in map(Path, folders):
        if folder.is_dir():
            for path in folder.iterdir():
                found.setdefault(path.name, []).append(path)
    for name, paths in sorted(found.items()):
        if _is_left_out(name) or (target / name).exists():
            continue
        whole = next((path for path in paths if not _is_part(path)), None)
        if whole is not None or len(paths) == 1:
            (target / name).symlink_to(whole or paths[0])
        else:
            (target / name).mkdir()
            _link_all(paths, target / name)


def _is_left_out(name: str) -> bool:
    """Return True if a name tells only of the way in which packages were installed."""
    return name == "__pycache__" or name.startswith("__editable__") or name.endswith(".pth")


def _is_part(path: Path) -> bool:
    """Return True if a folder may be one of several parts of a namespace package."""
    return path.is_dir() and not (path / "__init__.py").exists()


@functools.cache
def _site(environment: tuple[tuple[str, str], ...]) -> Any:
    """Return the folders and packages that Python finds without a shell's help."""
    ended = subprocess.run(
        [interpreter(), "-S", "-P", "-c", SITE],
        env=dict(environment),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise SetupError.quoting(
            f"{interpreter()} does not tell where its packages are",
            ended.stderr.strip().rpartition("\n")[2],
            "install powerml in a virtual environment",
        )
    return json.loads(ended.stdout)


def _link_byte_code(links: Path, path: str) -> Path:
    """Link the byte code of this installation, where Python looks for the view's.

    Where the user has no folder of caches it lies in the view, and is compiled for each view.
    """
    place = links / BYTE_CODE / path.removeprefix("/")
    try:
        kept = default_cache_folder() / BYTE_CODE / _digest("\n".join(installation()))
        if not kept.exists():
            _remove_orphans(kept.parent)
            kept.mkdir(parents=True, exist_ok=True)
            write_whole(kept / OWNER, str(PACKAGE))
        is_writable = os.access(kept, os.W_OK)
    except (OSError, ValueError, UsageError):  # a note that is no text, or names no path
        is_writable = False
    if not is_writable:
        place.mkdir(parents=True)
        return place
    place.parent.mkdir(parents=True)
    place.symlink_to(kept.resolve())
    return kept


def _link_compiled(sources: Iterable[str], folder: Path, own: Path) -> None:
    """Link the byte code of sources, from the folder of all into a new one of their own."""
    shutil.rmtree(own, ignore_errors=True)
    for source in sources:
        compiled = Path(source).with_suffix(f".{sys.implementation.cache_tag}.pyc")
        target = own / compiled
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / compiled, target)
        except FileNotFoundError:  # it is no Python, and was not compiled
            continue
        except OSError:  # a file system without hard links
            shutil.copy2(folder / compiled, target)


def _remove_orphans(folder: Path) -> None:
    """Remove the byte code of installations that are gone."""
    for owner in folder.glob(f"*/{OWNER}"):
        if not Path(owner.read_text(encoding="utf-8")).exists():
            shutil.rmtree(owner.parent, ignore_errors=True)


def _is_current(record: Path, versions: list[str], folder: Path) -> bool:
    """Return True if nothing has changed since the byte code was recorded as complete."""
    try:
        recorded = json.loads(record.read_text(encoding="utf-8"))
        return recorded["installed"] == versions and all(
            _stamp(folder / source) == stamp for source, stamp in recorded["sources"].items()
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _stamp(source: Path) -> list[int]:
    found = source.stat()
    return [found.st_mtime_ns, found.st_size]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
