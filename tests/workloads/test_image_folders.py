"""Folders of images by class; a broken or unlike image is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from powerml.errors import DatasetError, UsageError
from powerml.files import room
from powerml.workloads.datasets import load_dataset

RNG = np.random.default_rng(0)
SIZE = (6, 4)  # width, height


def _save(path: Path, mode: str = "L", size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def _pets(folder: Path, count: int = 5, mode: str = "L", suffix: str = ".png") -> Path:
    for pet in ("cat", "dog"):
        for number in range(count):
            _save(folder / pet / f"{number}{suffix}", mode)
    return folder


@pytest.mark.parametrize(
    ("mode", "suffix", "shape"),
    [
        ("L", ".png", (4, 6)),
        ("L", ".JPG", (4, 6)),
        ("L", ".bmp", (4, 6)),
        ("L", ".gif", (4, 6)),
        ("1", ".png", (4, 6)),
        ("LA", ".png", (4, 6)),
        ("I;16", ".png", (4, 6)),
        ("RGB", ".png", (4, 6, 3)),
        ("RGBA", ".png", (4, 6, 3)),
        ("RGB", ".jpeg", (4, 6, 3)),
        ("P", ".gif", (4, 6, 3)),
    ],
)
def test_a_sub_folder_is_a_class(
    tmp_path: Path, mode: str, suffix: str, shape: tuple[int, ...]
) -> None:
    dataset = load_dataset(str(_pets(tmp_path, mode=mode, suffix=suffix)))
    assert (dataset.input_shape, dataset.class_labels) == (shape, ("cat", "dog"))
    assert dataset.train.samples.dtype == np.uint8
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [6, 2, 2]


def test_values_are_those_of_the_images(tmp_path: Path) -> None:
    _pets(tmp_path, 3)
    first = np.asarray(Image.open(tmp_path / "cat" / "0.png"))
    samples = load_dataset(str(tmp_path)).train.samples
    held = [
        load_dataset(str(tmp_path)).test.samples,
        load_dataset(str(tmp_path)).validation.samples,
    ]
    everything = np.concatenate([samples, *held])
    assert any((one == first).all() for one in everything)
    _save(tmp_path / "cat" / "0.png", "I;16")
    wide = np.asarray(Image.open(tmp_path / "cat" / "0.png"))
    dataset = load_dataset(str(tmp_path))
    everything = np.concatenate(
        [part.samples for part in (dataset.train, dataset.validation, dataset.test)]
    )
    assert any((one == wide >> 8).all() for one in everything)


def test_grey_images_among_colours_are_colours(tmp_path: Path) -> None:
    _pets(tmp_path)
    _save(tmp_path / "dog" / "9.png", "RGB")
    assert load_dataset(str(tmp_path)).input_shape == (4, 6, 3)


def test_splits_of_their_own_are_kept(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("Validation", 2), ("test", 3)):
        _pets(tmp_path / part, count)
    (tmp_path / "README.txt").write_text("Photographs of pets")
    (tmp_path / "train" / ".DS_Store").write_text("left behind")
    (tmp_path / "train" / "cat" / "Thumbs.db").write_text("left behind")
    dataset = load_dataset(str(tmp_path))
    assert [len(one) for one in (dataset.train, dataset.validation, dataset.test)] == [8, 4, 6]
    assert dataset.test_share is None


def test_folders_with_numbers_number_the_classes(tmp_path: Path) -> None:
    for number in (2, 10):
        for image in range(4):
            _save(tmp_path / str(number) / f"{image}.png")
    assert load_dataset(str(tmp_path)).class_labels == (2, 10)


def test_links_to_images_are_images(tmp_path: Path) -> None:
    folder = _pets(tmp_path / "pets", 4)
    shutil.move(folder / "cat" / "0.png", tmp_path / "elsewhere.png")
    (folder / "cat" / "0.png").symlink_to(tmp_path / "elsewhere.png")
    assert len(load_dataset(str(folder)).train) == 4


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _broken(folder: Path) -> None:
    whole = (folder / "dog" / "3.png").read_bytes()
    (folder / "dog" / "3.png").write_bytes(whole[: len(whole) // 2])


def _frames(folder: Path) -> None:
    frames = [Image.new("L", SIZE, shade) for shade in (0, 99)]
    frames[0].save(folder / "dog" / "9.gif", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_empty, "pets is empty: give a folder with a sub-folder of images for each class"),
        (lambda pets: shutil.rmtree(pets / "dog"), "pets has the class cat alone: at least 2"),
        (lambda pets: (pets / "fox").mkdir(), "pets/fox has no images: fill the folder, or"),
        (lambda pets: _save(pets / "dog" / "9.png", size=(5, 5)), "9.png is 5 x 5 pixels and "),
        (lambda pets: _save(pets / "stray.png"), "pets holds stray.png: give a folder with a sub"),
        (lambda pets: _save(pets / "cat" / "more" / "1.png"), "pets/cat holds the folder more"),
        (lambda pets: (pets / "cat" / "notes.txt").touch(), "pets/cat/notes.txt is no image"),
        (lambda pets: (pets / "cat" / "a.png").write_text("no"), "a.png cannot be read as an im"),
        (_broken, "dog/3.png cannot be read as an image"),
        (_frames, "dog/9.gif has 2 frames: give each as an image of its own"),
        (lambda pets: (pets / "cat" / "a.png").symlink_to("gone"), "a.png is a link to nothing"),
        (lambda pets: (pets / "again").symlink_to(pets), "pets/again holds the folder again"),
        (lambda pets: (pets / "fox").symlink_to("fox"), "pets holds fox: give a folder with"),
        (lambda pets: (pets / "train").mkdir(), "pets has cat beside train: beside it there may"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path, spoil: object, told: str) -> None:
    pets = _pets(tmp_path / "pets")
    spoil(pets)  # type: ignore[operator]
    with pytest.raises(DatasetError) as caught:
        load_dataset(str(pets))
    assert told in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_class_of_the_test_that_is_not_trained_is_named(tmp_path: Path) -> None:
    _pets(tmp_path / "train")
    _pets(tmp_path / "test")
    _save(tmp_path / "test" / "fox" / "1.png")
    with pytest.raises(DatasetError, match="y_test has label fox, which y_train does not have"):
        load_dataset(str(tmp_path))


def test_images_that_do_not_fit_into_memory_are_refused_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "memory_bytes", lambda: 1000)
    with pytest.raises(UsageError, match=r"the 10 images of .* would take 1\.406 KiB of memory"):
        load_dataset(str(_pets(tmp_path)))


def test_an_image_that_would_unpack_to_gigabytes_is_refused(tmp_path: Path) -> None:
    _pets(tmp_path)
    with (tmp_path / "cat" / "0.png").open("wb") as file:
        Image.new("1", (20_000, 20_000)).save(file, "png")
    with pytest.raises(DatasetError, match=r"cat/0\.png cannot be read as an image"):
        load_dataset(str(tmp_path))


def test_a_folder_that_was_given_with_a_slash_is_named_as_without(tmp_path: Path) -> None:
    _pets(tmp_path / "pets")
    (tmp_path / "pets" / "dog" / "readme.txt").touch()
    for name in (f"{tmp_path}/pets", f"{tmp_path}/pets/"):
        with pytest.raises(DatasetError) as refused:
            load_dataset(name)
        assert str(refused.value).startswith(f"{tmp_path}/pets/dog/readme.txt is no image: ")
