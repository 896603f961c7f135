"""What a table or a line looks like on a wide screen."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, RenderableType


def shown(*renderables: RenderableType) -> str:
    console = Console(width=200, file=StringIO(), color_system=None)
    console.print(*renderables, sep="\n")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def row(text: str, label: str) -> list[str]:
    """Cells of the only row that begins with a label."""
    rows = [
        [cell.strip() for cell in line.strip().strip("│").split("│")] for line in text.splitlines()
    ]
    [found] = [row for row in rows if row[0] == label]
    return found[1:]
