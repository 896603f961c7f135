"""Model files: .keras, .onnx, .tflite and what powerML does not read."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Kind, Place
from fuzz.kinds.canaries import KERAS_CANARIES, keras_canary, pickled, torch_zip
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.onnx_changes import changed_onnx
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes, changed_json

__all__ = ["KIND"]

SUFFIXES = (".keras", ".onnx", ".tflite", ".pt2", ".pt", ".h5", ".bin", ".onnx.gz", ".KERAS")
OTHERS = (".pt2", ".pt", ".pth", ".pkl", ".h5", ".safetensors", ".jit", ".mar", ".npz", "")


def _command(name: str, random: Random) -> Command:
    options: list[str] = []
    if random.randrange(8) == 0:
        options += ["--inference-batch", random.choice(("1", "3", "1000000000"))]
    if random.randrange(8) == 0:
        options += ["--dim", random.choice(("batch=2", "x=1", "batch=1000000000000"))]
    if random.randrange(8) == 0:
        options += ["--runtime", random.choice(("keras", "litert", "onnxruntime"))]
    if random.randrange(8) == 0:
        return Command(("profile", name, *options), way="refusing")
    return Command(("measure", name, *options), way="counting")


def _of_bytes(place: Place, name: str, content: bytes, random: Random) -> Command:
    (place.work / name).write_bytes(content)
    return _command(name, random)


def _changed(place: Place, random: Random) -> Command:
    name = random.choice(material.MODELS)
    return _of_bytes(place, name, changed_bytes(material.model(name), random), random)


def _renamed(place: Place, random: Random) -> Command:
    content = material.model(random.choice(material.MODELS))
    return _of_bytes(place, f"x{random.choice(SUFFIXES)}", content, random)


def _of_other_kinds(place: Place, random: Random) -> Command:
    contents = (
        pickled(place.canary),
        torch_zip(place.canary),
        _exported_program(place),
        b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
        (8).to_bytes(8, "little") + b'{"a":1}',
        b"\x80\x02}q\x00.",
        b"",
        b"{" * 5000,
        b'{"error": "' + b"x" * 500 + b'"}',
    )
    suffix = random.choice((*OTHERS, ".keras", ".onnx", ".tflite"))
    return _of_bytes(place, f"x{suffix}", random.choice(contents), random)


def _exported_program(place: Place) -> bytes:
    """Return a file as ``torch.export.save`` writes it, with code in its constants and shapes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/archive_format", "pt2")
        archive.writestr("archive/version", "0")
        shape = f"__import__('os').system('touch {place.canary}')"
        archive.writestr("archive/models/model.json", json.dumps({"range_constraints": {shape: 1}}))
        archive.writestr("archive/data/constants/model.pt", pickled(place.canary))
    return file.getvalue()


def _keras_with_code(place: Place, random: Random) -> Command:
    content = keras_canary(place.canary, random.randrange(2 * len(KERAS_CANARIES)))
    return _of_bytes(place, "x.keras", content, random)


def _keras_zip(changed: dict[str, bytes], extra: dict[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(material.model("dense.keras"))) as source,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            archive.writestr(name, changed.get(name, source.read(name)))
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return file.getvalue()


def _keras_member(name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(material.model("dense.keras"))) as source:
        return source.read(name)


def _keras_config(place: Place, random: Random) -> Command:
    """Change the description of the layers, whose checksum stays right."""
    config: Any = changed_json(json.loads(_keras_member("config.json")), random)
    text = json.dumps(config).encode("utf-8", "surrogatepass")
    return _of_bytes(place, "x.keras", _keras_zip({"config.json": text}), random)


def _keras_weights(place: Place, random: Random) -> Command:
    weights = changed_bytes(_keras_member("model.weights.h5"), random)
    return _of_bytes(place, "x.keras", _keras_zip({"model.weights.h5": weights}), random)


def _keras_odd(place: Place, random: Random) -> Command:
    changed: dict[str, bytes] = {}
    extra: dict[str, bytes] = {}
    form = random.randrange(8)
    if form == 0:
        changed["config.json"] = random.choice((b"[" * 200_000, b'{"a":' * 200_000))
    elif form == 1:
        changed["config.json"] = random.choice((b"", b"[]", b"null", b"\xff\xfe", b"{}", b"1e999"))
    elif form == 2:
        changed["metadata.json"] = random.choice((b"", b"[]", b'{"keras_version": "2.9"}', b"\xff"))
    elif form == 3:
        extra = dict.fromkeys(("../../escaped", f"{place.root}/x", "assets/../../../escaped"), b"x")
    elif form == 4:
        extra["assets/x"] = b"\0" * 200_000_000
    elif form == 5:
        changed["model.weights.h5"] = random.choice((b"", b"\0" * 1000, b"x"))
    elif form == 6:
        extra["assets/_layer_checkpoint_dependencies/x/vocabulary.txt"] = pickled(place.canary)
    else:
        extra = {f"assets/{number}": b"" for number in range(5000)}
    return _of_bytes(place, "x.keras", _keras_zip(changed, extra), random)


def _layers_that_are_huge(place: Place, random: Random) -> Command:
    config: Any = json.loads(_keras_member("config.json"))
    text = json.dumps(config)
    size = random.choice(("1000000000000", "9223372036854775808", "-1", "0", "200000"))
    for word in ('"units": ', '"filters": ', '"batch_shape": [null, '):
        if word in text:
            before, _, after = text.partition(word)
            rest = after.lstrip("0123456789")
            text = before + word + size + rest
    return _of_bytes(place, "x.keras", _keras_zip({"config.json": text.encode()}), random)


def _onnx(place: Place, random: Random) -> Command:
    content = material.model(random.choice(("dense.onnx", "odd.onnx")))
    (place.work / "loop").symlink_to("/dev/zero")
    return _of_bytes(place, "x.onnx", changed_onnx(content, random), random)


def _with_data(place: Place, random: Random) -> Command:
    name = random.choice(material.MODELS)
    (place.work / name).write_bytes(material.model(name))
    contents = (
        material.npz(material.arrays()),
        changed_bytes(material.npz(material.arrays()), random),
        material.npz({"input": material.arrays()["x_train"]}),
        b"",
    )
    (place.work / "x.npz").write_bytes(random.choice(contents))
    found = _command(name, random)
    data = random.choice(("x.npz", "sklearn:iris", "nope"))
    return replace(found, arguments=(*found.arguments, "--data", data))


def _odd_place(place: Place, random: Random) -> Command:
    name = f"x{random.choice(SUFFIXES)}"
    odd_place(place.work / name, random)
    return _command(name, random)


def _odd_name(place: Place, random: Random) -> Command:
    suffix = random.choice((".keras", ".onnx", ".tflite"))
    stems = ("\udcff", "a\nb", "[red]", "ä" * 100, "-x", "a b", "x:1", "{0}", "\u202e", "%s", "'\"")
    name = f"{random.choice(stems)}{suffix}"
    (place.work / name).write_bytes(material.model(f"dense{suffix}"))
    return _command(random.choice((name, f"./{name}")), random)


def _strategy() -> st.SearchStrategy[Case]:
    return st.one_of(
        of_forms((_changed,)),
        of_forms((_onnx, _changed)),
        of_forms((_renamed, _of_other_kinds, _keras_with_code, _keras_config, _keras_weights)),
        of_forms((_keras_odd, _layers_that_are_huge, _onnx, _with_data, _odd_place, _odd_name)),
    )


KIND = Kind("models", 500, _strategy)
