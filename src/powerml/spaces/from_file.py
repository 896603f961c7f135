"""Spaces of the user's own: a Python file, or an importable module, with a function `build`.

Its code runs because its path was given. The measured process loads it as the host does.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from powerml.errors import SpaceError
from powerml.spaces.catalogue import EXAMPLES, example_names
from powerml.spaces.values import Values

__all__ = [
    "Code",
    "OwnSpace",
    "digest_of_files",
    "fault_of",
    "find_code",
    "load_space",
    "split_own",
]

SUFFIX = ".py"
# A file, or a module by a dotted path; an object in it; and values of parameters.
OWN = re.compile(
    r"(?:(?P<file>[^:]*\.py)|(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+))"
    r"(?::(?P<attribute>[A-Za-z_]\w*))?(?::(?P<values>[^:=]+=.*))?"
)
OBJECT = re.compile(r"[A-Za-z_]\w*", re.ASCII)
INSTALLED = frozenset(("site-packages", "dist-packages"))
# The hooks that a space may have beside `build`.
HOOKS = ("train", "score", "load")
# Files that this process has run as spaces. Several of them may lie in one folder.
_run_as_spaces: set[Path] = set()


@dataclass(frozen=True)
class Code:
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
        own = sys.modules.get(self.module)
        for module in list(sys.modules.values()):
            path = _path_of(module)
            if path is None or path.suffix != SUFFIX or not path.is_relative_to(self.root):
                continue
            if path in _run_as_spaces and not _refers(own, module):
                continue
            relative = path.relative_to(self.root)
            hidden = any(part.startswith(".") for part in relative.parts)
            if not hidden and not INSTALLED & set(path.parts) and path.is_file():
                found[relative.as_posix()] = path.read_bytes()
        return dict(sorted(found.items()))


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

    code: Code
    build: Callable[..., Any]
    train: Callable[..., Any] | None = None
    score: Callable[..., Any] | None = None
    load: Callable[..., Any] | None = None
    reference: Values | None = None

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
    if found is None or (found["file"] is None and Path(text).exists()):
        return None
    attribute = f":{found['attribute']}" if found["attribute"] else ""
    return (found["file"] or found["module"]) + attribute, found["values"] or ""


def find_code(text: str) -> Code:
    """Find the code of ``mine.py``, ``mine.py:Name``, ``package.module``, or of an example.

    Raises
    ------
    SpaceError
        There is no such file or module.
    """
    path, _, attribute = text.partition(":")
    if text in example_names():
        return Code(EXAMPLES, f"{text}{SUFFIX}", text)
    if attribute and not OBJECT.fullmatch(attribute):
        raise SpaceError(f"the space {text!r} names no object: write {path}:Name, or {path} alone")
    if path.endswith(SUFFIX):
        file = Path(path).absolute()
        if not file.is_file():
            raise SpaceError(
                f"there is no file {path}: give the path of a Python file with a function build, "
                "or write one with powerml new-space"
            )
        return Code(file.parent, file.name, file.stem, attribute)
    try:
        spec = importlib.util.find_spec(path)
    except Exception as error:  # the package above it runs whatever it likes
        raise SpaceError.quoting(
            f"the module {path} cannot be imported", error, "give the path of a Python file"
        ) from error
    if spec is None or spec.origin is None or not spec.origin.endswith(SUFFIX):
        raise SpaceError(
            f"there is no module {path} in Python files: give the path of a file, as mine.py"
        )
    file = Path(spec.origin)
    root = file.parents[path.count(".") + (file.name == "__init__.py")]
    return Code(root, file.relative_to(root).as_posix(), path, attribute)


def load_space(code: Code) -> OwnSpace:
    """Import a space's code, which runs it.

    Raises
    ------
    SpaceError
        The code has an error, or defines no `build`.
    """
    module = _imported(code)
    holder: Any = module
    if code.attribute:
        if not hasattr(module, code.attribute):
            raise SpaceError(f"{code.main} has no {code.attribute}: name an object that is in it")
        holder = getattr(module, code.attribute)
        if isinstance(holder, type):
            holder = _made(code, holder)
    build = getattr(holder, "build", None)
    if not callable(build):
        where = f"{code.main}:{code.attribute}" if code.attribute else code.main
        raise SpaceError(
            f"{where} has no function build(trial, task): define it, or write an example with "
            "powerml new-space"
        )
    hooks = {name: getattr(holder, name, None) for name in HOOKS}
    for name, hook in hooks.items():
        if hook is not None and not callable(hook):
            raise SpaceError(f"{name} of {code.main} is no function: define it as one")
    reference = getattr(holder, "reference", None)
    if reference is not None and not isinstance(reference, Mapping):
        raise SpaceError(
            f"reference of {code.main} is of type {type(reference).__name__}: give a dict of the "
            "parameters' values"
        )
    return OwnSpace(code, build, **hooks, reference=reference)


def _made(code: Code, kind: type) -> Any:
    try:
        return kind()
    except Exception as error:  # it is the user's code
        raise SpaceError.quoting(
            f"{code.attribute} of {code.main} cannot be made: {fault_of(error, code)}",
            error,
            "let it take no arguments",
        ) from error


def _imported(code: Code) -> ModuleType:
    """Import the file anew, with its folder first in the path of imports."""
    root = str(code.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    file = code.root / code.main
    try:
        if "." in code.module:
            return importlib.import_module(code.module)
        known = sys.modules.get(code.module)
        if known is not None and _path_of(known) != file:
            raise SpaceError(
                f"{code.main} has the name of a module that is imported already: rename the file"
            )
        spec = importlib.util.spec_from_file_location(code.module, file)
        if spec is None or spec.loader is None:
            raise SpaceError(f"{code.main} is no Python file: give one that ends in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[code.module] = module
        _run_as_spaces.add(file)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[code.module]
            raise
        return module
    except SpaceError:
        raise
    except SyntaxError as error:
        at = f"line {error.lineno} of {Path(error.filename or code.main).name}"
        raise SpaceError(f"{at} is no Python ({error.msg}): correct it") from error
    except (Exception, SystemExit) as error:  # it is the user's code
        raise SpaceError.quoting(
            f"{fault_of(error, code)} failed while {code.main} was imported", error, "correct it"
        ) from error


def _path_of(module: object) -> Path | None:
    """Return the file of a module; modules may be of any kind, and lazy."""
    found = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return Path(found) if isinstance(found, str) else None


def _refers(module: ModuleType | None, other: ModuleType) -> bool:
    """Return whether a module has another one, or anything of it, among its names."""
    return module is not None and any(
        one is other or getattr(one, "__module__", None) == other.__name__
        for one in list(vars(module).values())
    )


def fault_of(error: BaseException, code: Code) -> str:
    """Name the last line of the user's code that an error went through."""
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_of(Path(frame.filename), code)
    ]
    if not lines:
        return code.main
    return f"line {lines[-1].lineno} of {Path(lines[-1].filename).name}"


def _is_of(path: Path, code: Code) -> bool:
    """Return whether a file is a space's, or lies beside it and is not installed."""
    beside = path.is_relative_to(code.root) and not INSTALLED & set(path.parts)
    return beside or path == code.root / code.main
