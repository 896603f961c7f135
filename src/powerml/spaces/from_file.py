"""Spaces of the user's own: a Python file, or an importable module, with a function `build`.

Its code runs because its path was given. The measured process loads it as the host does.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from powerml.errors import SpaceError, shortened
from powerml.spaces.catalogue import EXAMPLES, example_names
from powerml.spaces.prints import prints_to_stderr
from powerml.spaces.values import ParameterValues

__all__ = [
    "SUFFIX",
    "OwnSpace",
    "SpaceCode",
    "digest_of_files",
    "fault_of",
    "find_code",
    "load_space",
    "split_own",
]

SUFFIX, FILE = ".py", ".py:"
# A file, or a module by a dotted path; an object in it; and values of parameters.
OWN = re.compile(
    r"(?:(?P<file>[^:]*\.py)|(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+))"
    r"(?::(?P<attribute>[^\W\d]\w*))?(?::(?P<values>[^:=]+=.*))?",
    re.DOTALL,
)
INSTALLED = frozenset(("site-packages", "dist-packages"))
# Folders of Python's own library and of powerML: they may lie below the folder of a space.
NOT_THE_USERS = tuple(
    {Path(text).resolve() for text in (sys.prefix, sys.base_prefix, os.__file__.rpartition("/")[0])}
    | {Path(__file__).resolve().parents[1]}
)
# The hooks that a space may have beside `build`, and what each is called with.
ARGUMENTS = {
    "build": ("trial", "task"),
    "train": ("model", "task", "trial"),
    "score": ("model", "task"),
    "load": (),
}
HOOKS = ("train", "score", "load")
LONGEST_ARGUMENTS = 60  # of a function of the user's, as a message shows them


@dataclass(frozen=True)
class SpaceCode:
    """The place of a space's code.

    Parameters
    ----------
    root
        The folder that its imports start from.
    main
        The file of the space, relative to it.
    module
        The name that the file is imported under.
    attribute
        The object in the module that has `build`; empty for the module itself.
    """

    root: Path
    main: str
    module: str
    attribute: str = ""

    @property
    def name(self) -> str:
        """The space's name: the object's, or the module's."""
        return self.attribute or self.module.rpartition(".")[2]

    def files(self) -> dict[str, bytes]:
        """Return the content of the file, and of those beside it that it has imported."""
        found = {self.main: (self.root / self.main).read_bytes()}
        if self.root == EXAMPLES:  # each example is whole in its file
            return found
        for module in list(sys.modules.values()):
            path = _path_of(module)
            if path is not None and self.holds(path) and path.is_file():
                found[path.relative_to(self.root).as_posix()] = path.read_bytes()
        return dict(sorted(found.items()))

    def holds(self, path: Path) -> bool:
        """Return whether a file is of the user's own code: below the folder, not installed."""
        # The measured process names the folder from its own.
        path, root = path.absolute(), self.root.absolute()
        if path.suffix != SUFFIX or not path.is_relative_to(root):
            return False
        parts = path.relative_to(root).parts
        return not (
            INSTALLED & set(parts)
            or any(part.startswith(".") for part in parts[:-1])
            or any(
                path.is_relative_to(other) and not root.is_relative_to(other)
                for other in NOT_THE_USERS
            )
        )


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of files by their names."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class OwnSpace:
    """A user's space: `build`, and what else its code defines."""

    code: SpaceCode
    build: Callable[..., Any]
    train: Callable[..., Any] | None = None
    score: Callable[..., Any] | None = None
    load: Callable[..., Any] | None = None
    reference: ParameterValues | None = None

    @property
    def name(self) -> str:
        """The word before the colon of its topologies."""
        return self.code.name


def split_own(text: str) -> tuple[str, str] | None:
    """Split ``mine.py:Name:units=16`` into the space and the values; None for other texts.

    The name of an example stands for its file. The values are empty where there are none.
    """
    name, _, values = text.strip().partition(":")
    if name in example_names():
        return name, values
    found = OWN.fullmatch(text.strip())
    if found is None and FILE in text:  # what is beyond is told when it is read
        file, _, values = text.partition(FILE)
        return f"{file}{SUFFIX}", values
    if found is None or (found["file"] is None and Path(text).exists()):
        return None
    attribute = f":{found['attribute']}" if found["attribute"] else ""
    return (found["file"] or found["module"]) + attribute, found["values"] or ""


def find_code(text: str) -> SpaceCode:
    """Find the code of ``mine.py``, ``mine.py:Name``, ``package.module``, or of an example.

    Raises
    ------
    SpaceError
        There is no such file or module.
    """
    path, _, attribute = text.partition(":")
    if text in example_names():
        return SpaceCode(EXAMPLES, f"{text}{SUFFIX}", text)
    if attribute and not attribute.isidentifier():
        raise SpaceError(f"the space {text!r} names no object: write {path}:Name, or {path} alone")
    if path.endswith(SUFFIX):
        _require_utf_8(path)
        file = Path(path)
        if not file.is_file():
            what = "a link that leads nowhere" if file.is_symlink() else "not there"
            what = "a folder, and no file" if file.is_dir() else what
            raise SpaceError(
                f"the space {path} is {what}: give the path of a Python file with a function "
                "build, or write one with powerml new-space"
            )
        # A dot in a module's name would stand for a package.
        module = file.stem.lstrip(".").replace(".", "_")
        return SpaceCode(file.parent.resolve(), file.name, module, attribute)
    _import_first_from(Path.cwd())  # as python -m does; the command's own folder comes first else
    try:
        with prints_to_stderr():
            spec = importlib.util.find_spec(path)
    except (Exception, SystemExit) as error:  # the package above it runs whatever it likes
        raise SpaceError.quoting(
            f"the module {path} cannot be imported", error, "give the path of a Python file"
        ) from error
    if spec is None or spec.origin is None or not spec.origin.endswith(SUFFIX):
        raise SpaceError(
            f"there is no module {path} in Python files: give the path of a file, as mine.py"
        )
    file = Path(spec.origin).resolve()
    root = file.parents[path.count(".") + (file.name == "__init__.py")]
    return SpaceCode(root, file.relative_to(root).as_posix(), path, attribute)


def _require_utf_8(path: str) -> None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        named = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise SpaceError(
            f"the path of the space {named} is not UTF-8, so a study cannot name it: rename it"
        ) from error


def load_space(code: SpaceCode) -> OwnSpace:
    """Import a space's code, which runs it.

    Raises
    ------
    SpaceError
        The code has an error, or defines no `build`.
    """
    with _running(code):
        holder = _holder(code, _imported(code))
        found = {name: getattr(holder, name, None) for name in ("build", "reference", *HOOKS)}
    where = f"{code.main}:{code.attribute}" if code.attribute else code.main
    build, reference = found.pop("build"), found.pop("reference")
    if build is None:
        raise SpaceError(
            f"{where} has no function build(trial, task): define it, or write an example with "
            "powerml new-space"
        )
    for name, hook in (("build", build), *found.items()):
        if hook is not None and not callable(hook):
            raise SpaceError(f"{name} of {where} is no function: define it as one")
        if hook is not None:
            _require_arguments(name, hook, where)
    if reference is not None and not isinstance(reference, Mapping):
        raise SpaceError(
            f"reference of {where} is of type {type(reference).__name__}: give a dict of the "
            "parameters' values"
        )
    return OwnSpace(code, build, **found, reference=reference)


def _require_arguments(name: str, hook: Callable[..., Any], where: str) -> None:
    """Refuse a function that cannot be called as it will be.

    Raises
    ------
    SpaceError
        It takes fewer arguments, or needs more.
    """
    given = ARGUMENTS[name]
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # one of C, which tells nothing
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        code = getattr(inspect.unwrap(hook), "__code__", None)
        place = where if code is None else f"line {code.co_firstlineno} of {where}"
        taken, wanted = ", ".join(signature.parameters), ", ".join(given)
        raise SpaceError(
            f"{place}: {name} takes ({shortened(taken, LONGEST_ARGUMENTS)}), and is called as "
            f"{name}({wanted}): define it so"
        ) from error


@contextlib.contextmanager
def _running(code: SpaceCode) -> Iterator[None]:
    """Run the user's code: its output goes to standard error, its errors name its line."""
    try:
        with prints_to_stderr():
            yield
    except SpaceError:
        raise
    except SyntaxError as error:
        file = Path(error.filename or code.main).name
        at = file if error.lineno is None else f"line {error.lineno} of {file}"
        raise SpaceError(f"{at} is no Python ({error.msg}): correct it") from error
    except (Exception, SystemExit) as error:  # it is the user's code
        failed = SpaceError.quoting(
            f"{fault_of(error, code)} failed while {code.main} was imported", error, "correct it"
        )
        failed.detail = failed.detail or "".join(traceback.format_exception(error))
        raise failed from error


def _holder(code: SpaceCode, module: ModuleType) -> Any:
    """Return the object that has `build`: an object of a class, or the module."""
    if not code.attribute:
        return module
    if not hasattr(module, code.attribute):
        raise SpaceError(f"{code.main} has no {code.attribute}: name an object that is in it")
    holder = getattr(module, code.attribute)
    if not isinstance(holder, type):
        return holder
    try:
        return holder()
    except Exception as error:
        raise SpaceError.quoting(
            f"{fault_of(error, code)}: {code.attribute} cannot be made",
            error,
            "let it take no arguments",
        ) from error


# Modules of the spaces that were loaded before, which would be taken for another space's.
_loaded: set[str] = set()


def _imported(code: SpaceCode) -> ModuleType:
    """Import the code anew, with its folder first in the path of imports."""
    for name in _loaded:
        sys.modules.pop(name, None)
    _loaded.clear()
    importlib.invalidate_caches()
    _refuse_taken_name(code)
    _import_first_from(code.root)
    before = set(sys.modules)
    try:
        if "." in code.module:
            return importlib.import_module(code.module)
        spec = importlib.util.spec_from_file_location(code.module, code.root / code.main)
        if spec is None or spec.loader is None:
            raise SpaceError(f"{code.main} is no Python file: give one that ends in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[code.module] = module
        spec.loader.exec_module(module)
        return module
    finally:
        for name in set(sys.modules) - before:
            path = _path_of(sys.modules[name])
            if name == code.module or (path is not None and code.holds(path)):
                _loaded.add(name)


def _refuse_taken_name(code: SpaceCode) -> None:
    """Refuse a file that others would import in place of the module that they mean.

    Raises
    ------
    SpaceError
        It has the name of a module that is installed or imported.
    """
    if "." in code.module:
        return
    known = sys.modules.get(code.module)
    elsewhere = [text for text in sys.path if INSTALLED & set(Path(text).parts)]
    if (
        code.module in sys.stdlib_module_names
        or (known is not None and _path_of(known) != code.root / code.main)
        or importlib.machinery.PathFinder.find_spec(code.module, elsewhere) is not None
    ):
        raise SpaceError(
            f"{code.main} has the name of a module of Python's or of a package that is installed: "
            "rename the file"
        )


def _import_first_from(folder: Path) -> None:
    text = str(folder)
    if text in sys.path:
        sys.path.remove(text)
    sys.path.insert(0, text)


def _path_of(module: object) -> Path | None:
    """Return the file of a module; modules may be of any kind, and lazy."""
    found = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return Path(found) if isinstance(found, str) else None


def fault_of(error: BaseException, code: SpaceCode) -> str:
    """Name the last line of the user's code that an error went through."""
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if code.holds(Path(frame.filename))
    ]
    if not lines:
        return code.main
    return f"line {lines[-1].lineno} of {Path(lines[-1].filename).name}"
