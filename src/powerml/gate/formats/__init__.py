"""The formats of a check's record: for people, for CI, and for other programs."""

from __future__ import annotations

from powerml.gate.formats.catalogue import FORMATS, format_of_file, render_check

__all__ = ["FORMATS", "format_of_file", "render_check"]
