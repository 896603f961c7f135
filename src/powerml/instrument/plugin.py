"""The QEMU plug-in: found, and checked."""

from __future__ import annotations

from pathlib import Path

from powerml.errors import SetupError
from powerml.instrument.tool import FOLDER, INSTALL_AGAIN, install_to_build

__all__ = ["find_plugin"]

# Python would take a name that ends in .so for a module of its own.
PLUGIN = "powerml-qemu-linux"
PLUGIN_NOT_BUILT = "plugin_not_built"  # the reason, where there is none


def find_plugin() -> Path:
    """Return the path of the plug-in.

    Raises
    ------
    SetupError
        It was not built. The message says what to do.
    """
    plugin = FOLDER / PLUGIN
    if plugin.is_file():
        return plugin
    try:
        reason = (FOLDER / PLUGIN_NOT_BUILT).read_text(encoding="utf-8").strip()
    except OSError:
        reason = f"there is no file {plugin}: {install_to_build()}"
    raise SetupError(
        f"powerml was installed without its plug-in for QEMU: {reason}; then install powerml again "
        f"with {INSTALL_AGAIN}"
    )
