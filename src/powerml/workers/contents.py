"""Contents: what orders name by a digest. They travel to a worker once, and stay there."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from powerml.errors import SpaceError
from powerml.spaces.catalogue import EXAMPLES
from powerml.spaces.from_file import OwnSpace, SpaceCode, digest_of_files, find_code, load_space
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial

__all__ = ["Content", "Contents", "SpaceFiles", "contents_of", "material_of"]


@dataclass(frozen=True)
class SpaceFiles:
    """The code of a user's own space: its files, by the path from its folder."""

    main: str
    module: str
    attribute: str
    is_example: bool
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, material: OwnMaterial) -> SpaceFiles:
        """Take the code of a space along."""
        code = material.space.code
        return cls(code.main, code.module, code.attribute, code.root == EXAMPLES, material.files)

    @property
    def digest(self) -> str:
        """SHA-256 of the files, and of the object that is meant in them."""
        named = {f"{self.module}:{self.attribute}": b""}
        return digest_of_files({**self.files, **named})

    def load(self) -> OwnSpace:
        """Write the files into a folder of this process's own and import the space, which runs it.

        Raises
        ------
        SpaceError
            The code fails here.
        """
        if self.is_example:
            return load_space(find_code(self.module))
        folder = Path(tempfile.mkdtemp(prefix="powerml-space-"))
        for name, content in self.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise SpaceError(f"the file {name} of a space is outside of its folder: move it")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        space = load_space(SpaceCode(folder, self.main, self.module, self.attribute))
        weakref.finalize(space, shutil.rmtree, folder, ignore_errors=True)
        return space


Content: TypeAlias = Dataset | SpaceFiles
# Contents by their digests.
Contents = Mapping[str, Content]


def contents_of(material: Dataset | OwnMaterial) -> dict[str, Content]:
    """Return the contents of a search's material, by their digests: the data, then the code."""
    if isinstance(material, OwnMaterial):
        code = SpaceFiles.of(material)
        return {material.dataset.digest: material.dataset, code.digest: code}
    return {material.digest: material}


def material_of(contents: list[Content], loaded: OwnSpace | None) -> Dataset | OwnMaterial:
    """Put the material of a search together from its contents, and the space that was loaded."""
    dataset = contents[0]
    if not isinstance(dataset, Dataset):
        raise TypeError(dataset)
    if loaded is None:
        return dataset
    code = contents[1]
    if not isinstance(code, SpaceFiles):
        raise TypeError(code)
    return OwnMaterial(loaded, dataset, code.files)
