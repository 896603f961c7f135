"""The simulator in C, as a tool of Valgrind and a plug-in of QEMU.

In Python: its build, its place and its check.
"""

from powerml.instrument.plugin import find_plugin
from powerml.instrument.tool import INSTALL_AGAIN, find_tool, place_tool, try_tool
from powerml.instrument.valgrind import find_valgrind, tools_folder, valgrind_version

__all__ = [
    "INSTALL_AGAIN",
    "find_plugin",
    "find_tool",
    "find_valgrind",
    "place_tool",
    "tools_folder",
    "try_tool",
    "valgrind_version",
]
