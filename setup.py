"""The C parts; everything else about the package is in pyproject.toml."""

import logging
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.build import build

ROOT = Path(__file__).parent
INSTRUMENT = Path("powerml", "instrument")


class BuildTool(Command):
    """Build the Valgrind tool and the QEMU plug-in beside the extension modules."""

    description = "build the Valgrind tool and the QEMU plug-in"
    user_options: ClassVar = []
    editable_mode = False

    def initialize_options(self):
        """Leave the folder to the command ``build``."""
        self.build_lib = None

    def finalize_options(self):
        """Take the folder of the command ``build``."""
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self):
        """Build each, or write why there is none: like the modules they are optional."""
        sys.path.insert(0, str(ROOT / "src"))
        from powerml.instrument.build import build_plugin, build_tool

        for name in self._results():
            (self._folder() / name).unlink()
        self._folder().mkdir(parents=True, exist_ok=True)
        self._try("Valgrind tool", build_tool, "not_built")
        self._try("QEMU plug-in", build_plugin, "plugin_not_built")

    def _try(self, title, build_one, reason):
        from powerml.errors import SetupError

        try:
            build_one(self._folder())
        except SetupError as error:
            logging.getLogger(__name__).warning("the %s was not built: %s", title, error)
            (self._folder() / reason).write_text(f"{error}\n", encoding="utf-8")

    def get_source_files(self):
        """Return nothing: the sources are among the package's data."""
        return []

    def get_outputs(self):
        """Return the files that the command writes, by their paths in a wheel."""
        return [str(Path(self.build_lib) / INSTRUMENT / name) for name in self._results()]

    def get_output_mapping(self):
        """Return where the files of an editable installation lie."""
        if not self.editable_mode:
            return {}
        folder = self._folder()
        return {path: str(folder / Path(path).name) for path in self.get_outputs()}

    def _folder(self):
        return (ROOT / "src" if self.editable_mode else Path(self.build_lib)) / INSTRUMENT

    def _results(self):
        patterns = (
            "powerml-*-linux",
            "built_for",
            "not_built",
            "plugin_not_built",
        )
        return [file.name for pattern in patterns for file in self._folder().glob(pattern)]


class Build(build):
    """The build of all parts."""

    sub_commands: ClassVar = [*build.sub_commands, ("build_tool", None)]


setup(
    cmdclass={"build": Build, "build_tool": BuildTool},
    ext_modules=[
        Extension(
            "powerml.guest._client_requests",
            ["src/powerml/guest/_client_requests.c"],
            depends=["src/powerml/instrument/requests.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # Without a compiler or Valgrind's headers the package must still install:
            # only the simulator needs this module, and says so.
            optional=True,
        ),
        Extension(
            "powerml.scopes._requests",
            ["src/powerml/scopes/_requests.c"],
            depends=["src/powerml/instrument/requests.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # Without it scopes do nothing, and powerml run says so.
            optional=True,
        ),
        Extension(
            "powerml.host._loops",
            ["src/powerml/host/_loops.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # Only powerml machines probe needs it, and says so.
            optional=True,
        ),
        # No module: it is preloaded into the process whose allocations it counts.
        Extension(
            "powerml.memory._allocations",
            ["src/powerml/memory/_allocations.c"],
            libraries=["dl", "pthread"],
            py_limited_api=True,
            # Without it the memory that a runtime allocates is null, with a remark.
            optional=True,
        ),
    ],
)
