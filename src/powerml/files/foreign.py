"""Foreign files: the recognition of a path's content that is not the expected file, with advice.

A download that went wrong leaves a pointer, a page or an archive under the name of a model or of a
dataset. Only the first bytes are read.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

from powerml.errors import words_of

__all__ = ["fault_of_path", "missing"]

GIVE_A_FILE = "give the path of a file"
NEAR = 0.75  # names share their suffix, which makes all alike
HEAD_BYTES = 1024
TAR_PLACE, TAR = 257, b"ustar"
LFS = b"version https://git-lfs.github.com/spec/"
LFS_ADVICE = "run git lfs install and git lfs pull in its repository"
UNPACK = "unpack it and give the file inside"
DOWNLOAD = "download the raw file itself"
# Their first bytes, what they are, and what to do.
SIGNATURES = (
    (LFS, "a Git LFS pointer, not the file itself", LFS_ADVICE),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"%PDF-", "a PDF document", "give the file itself"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", "give the file itself"),
    (b"\xff\xd8\xff", "a JPEG picture", "give the file itself"),
    (b"\x7fELF", "a program (ELF)", "give the file itself"),
)
HTML = (b"<!doctype html", b"<html", b"<head", b"<!-- ")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TRANSFORMERS = "a Hugging Face folder"
OPTIMUM = "export it with optimum-cli export onnx --model FOLDER OUT and give the .onnx"
FOLDERS: tuple[tuple[Callable[[Path], bool], str, str], ...] = (
    (
        lambda folder: (folder / "saved_model.pb").is_file(),
        "a TensorFlow SavedModel",
        "convert it with tf.lite.TFLiteConverter.from_saved_model, or with "
        "python -m tf2onnx.convert --saved-model",
    ),
    (
        lambda folder: (
            folder.suffix.lower() == ".mlpackage" or (folder / "Manifest.json").is_file()
        ),
        "a Core ML package, which runs on Apple's systems alone",
        "export the model it was made from to .onnx",
    ),
    (
        lambda folder: (folder / "config.json").is_file() and _has(folder, "*.weights.h5"),
        "an unpacked .keras file",
        "pack its files into a zip that ends in .keras",
    ),
    (
        lambda folder: (
            (folder / "config.json").is_file()
            and (_has(folder, "*.safetensors") or _has(folder, "pytorch_model*.bin"))
        ),
        TRANSFORMERS,
        OPTIMUM,
    ),
    (
        lambda folder: _has(folder, "*.ckpt*") or (folder / "checkpoint").exists(),
        "a folder of checkpoints, which are weights alone",
        "export the model to .onnx or .tflite",
    ),
)
MODELS = (".keras", ".onnx", ".tflite", ".lite")


def fault_of_path(path: Path, advice: str = GIVE_A_FILE) -> str | None:
    """Return the reason why a path holds no usable file, with advice; None if it may hold one.

    The path may be missing, a dangling link, a folder, a device, empty or unreadable. Its first
    bytes may be those of a pointer, a page, an archive or a message. `advice` is for a missing path
    without a similar name in its folder.
    """
    try:
        return _of_place(path, advice) or _of_content(path)
    except (OSError, ValueError) as error:
        return f"cannot be read: {words_of(error)}"


def _of_place(path: Path, advice: str) -> str | None:
    if not os.path.lexists(path):
        return missing(path, advice)
    if not path.exists():
        target = path.readlink()
        if _leads_in_a_circle(path):
            return f"is a link to {target}, and leads in a circle: link it to a file"
        return f"is a link to {target}, which does not exist: fetch that file, or link it again"
    if path.is_dir():
        return _of_folder(path)
    return None if path.is_file() else "is no regular file: give a file"


def _leads_in_a_circle(link: Path) -> bool:
    try:
        link.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def missing(path: Path, advice: str = GIVE_A_FILE) -> str:
    """Return a message that a path does not exist, with the most similar name in its folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"does not exist, nor does its folder {folder}: {advice}"
    names = sorted(entry.name for entry in folder.iterdir())
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=NEAR)
    if not near:
        lower = {name.lower(): name for name in names}
        near = [
            lower[found]
            for found in difflib.get_close_matches(path.name.lower(), lower, n=1, cutoff=NEAR)
        ]
    hint = f"did you mean {str(folder / near[0])!r}?" if near else advice
    return f"does not exist: {hint}"


def _of_folder(folder: Path) -> str:
    for matches, what, advice in FOLDERS:
        if matches(folder):
            return f"is {what}: {advice.replace('FOLDER', str(folder))}"
    models = sorted(one for one in folder.iterdir() if one.suffix.lower() in MODELS)
    advice = f"give a file in it, such as {models[0].name}" if models else "give a file"
    return f"is a folder: {advice}"


def _has(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


def _of_content(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return "is empty: fetch or write it again"
    return _of_signature(head) or _of_text(head, path)


def _of_signature(head: bytes) -> str | None:
    for start, what, advice in SIGNATURES:
        if head.startswith(start):
            return f"is {what}: {advice}"
    if head[TAR_PLACE:].startswith(TAR):
        return f"is a tar archive: {UNPACK}"
    return None


def _of_text(head: bytes, path: Path) -> str | None:
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if text.lower().startswith(HTML):
        return f"is an HTML page, such as a site shows in place of a file: {DOWNLOAD}"
    if text.startswith(b"<?xml") and path.suffix.lower() != ".xml":
        return f"is an XML document, such as a site sends in place of a file: {DOWNLOAD}"
    if not head.strip(b"\0") and path.stat().st_size >= HEAD_BYTES:
        return "holds zeros, as a download that was broken off: fetch it again"
    if text.startswith(b"{") and (said := _message(path)):
        return f"is a message in JSON, {said!r}: {DOWNLOAD}"
    return None


def _message(path: Path) -> str | None:
    """Return a server's short JSON message in place of a file."""
    if path.stat().st_size > HEAD_BYTES:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    for key in ("error", "message", "detail", "errors"):
        if isinstance(content, dict) and key in content:
            return " ".join(str(content[key]).split())[:60]
    return None
