"""Archives, records and programs that tests of boards make."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from powerml.boards.side import MANIFEST, ROOT, Archive, Manifest, files_of, side_folder

QEMU_HELP = "-L path  set the prefix\n-plugin  load a plug-in\n"
QEMU = """\
#!/bin/sh
case "$1" in
    -version) echo "qemu-aarch64 version {version} (Debian)";;
    *) printf '%b' '{help}';;
esac
"""


class Programs:
    """A folder of fake programs that is first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, text: str) -> Path:
        """Add a program."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def add_qemu(self, version: str = "9.2.0", said: str = QEMU_HELP) -> Path:
        """Add an emulator of a version, with the help that it prints."""
        return self.add(
            "qemu-aarch64", QEMU.format(version=version, help=said.replace("\n", "\\n"))
        )


def make_wheel(path: Path, files: Mapping[str, str]) -> Path:
    """Write a wheel, or another zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def make_tar(files: Mapping[str, str], links: Mapping[str, str]) -> bytes:
    """Return a tar archive as the content of a Debian package."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return content.getvalue()


def make_side(files: Mapping[str, str]) -> Path:
    """Write an ARM side with its manifest where it is looked for; return its folder."""
    folder = side_folder()
    root = folder / ROOT
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    manifest = Manifest(
        python="usr/bin/python3.11",
        packages="/usr/lib/powerml/packages",
        versions={"python": "3.11.2"},
        archives=[Archive(name="numpy.whl", sha256="0" * 64)],
        files=files_of(root),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return folder
