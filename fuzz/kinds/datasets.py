"""Datasets: arrays, tables, folders of images, saved Hugging Face datasets, and names."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fuzz import material
from fuzz.case import Case, Command, Kind, Place
from fuzz.kinds.canaries import object_arrays, pickled
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import HOSTILE_TEXTS, changed_bytes, changed_json, changed_text, dumped

__all__ = ["KIND"]

SUFFIXES = (".npz", ".csv", ".tsv", ".parquet", "", ".NPZ", ".json")
NAMES = ("iris", "wine", "diabetes", "digits", "breast_cancer", "linnerud", "california_housing")


def _measured(data: str, random: Random) -> Command:
    options: list[str] = []
    if random.randrange(4) == 0:
        options += ["--task", random.choice(("regression", "classification"))]
    if random.randrange(6) == 0:
        options += [
            "--validation",
            random.choice(("0", "0.5", "0.999", "1", "nan", "-1", "1e-300")),
        ]
    if random.randrange(6) == 0:
        options += ["--test-share", random.choice(("0", "0.5", "0.999", "1", "nan", "-1"))]
    if random.randrange(8) == 0:
        options += ["--metric", random.choice(("f1", "mcc", "top_5", "top_0", "r2", "neg_mae"))]
    topology = random.choice(("dffr:layers=1,width=2", "cnn:layers=1,filters=1,kernel=1"))
    if random.randrange(5) == 0:
        space = topology.partition(":")[0]
        words = ("optimize", "--space", space, "--trials", "1", "--data", data, *options)
        return Command(words, may_write=("work/powerml-studies",))
    return Command(("measure", topology, "--data", data, *options))


def _of_bytes(place: Place, name: str, content: bytes, random: Random) -> Command:
    (place.work / name).write_bytes(content)
    return _measured(name, random)


def _changed_npz(place: Place, random: Random) -> Command:
    content = material.npz(material.arrays(), compressed=random.random() < 0.5)
    return _of_bytes(place, "x.npz", changed_bytes(content, random), random)


def _changed_array(place: Place, random: Random) -> Command:
    """Change an array inside the zip, whose checksum stays right."""
    names = list(material.arrays())
    chosen = random.choice(names)
    content = _npy(material.arrays()[chosen])
    head = bytearray(content)
    for _ in range(random.randint(1, 3)):
        head[random.randrange(128)] ^= 1 << random.randrange(8)
    return _of_bytes(place, "x.npz", _npz_with({chosen: bytes(head)}), random)


def _claimed_shape(place: Place, random: Random) -> Command:
    shapes = (
        "(1000000000000, 6)",
        "(9223372036854775807,)",
        "(4611686018427387904, 4)",
        "(-1, 6)",
        "(40, 0)",
        "(0, 6)",
        "(2**62,)",
        "()",
        "(True,)",
        "(1.5,)",
        "None",
        "(" + "1, " * 100 + ")",
        "(" * 100 + ")" * 100,
        "[40, 6]",
        "__import__('os').system('touch canary')",
    )
    kinds = (
        *("'<f4'", "'|O'", "'<U99999999'", "'|V0'", "'<f16'", "'<c16'", "'<M8[ns]'", "'|S0'"),
        *("[('a', '<f4')]", "'<i8'", "'>i8'", "'|b1'", "'<U5'", "'|S5'", "'<f2'"),
    )
    header = (
        f"{{'descr': {random.choice(kinds)}, 'fortran_order': {random.choice(('False', 'True'))}, "
        f"'shape': {random.choice(shapes)}, }}"
    ).encode()
    version = random.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    width = "<H" if version == b"\x01\x00" else "<I"
    array = b"\x93NUMPY" + version + struct.pack(width, len(header) + 1) + header + b"\n"
    array += b"\0" * 960
    return _of_bytes(
        place, "x.npz", _npz_with({random.choice(list(material.arrays())): array}), random
    )


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz_with(changed: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in material.arrays().items():
            archive.writestr(f"{name}.npy", changed.get(name, _npy(array)))
    return file.getvalue()


def _odd_arrays(place: Place, random: Random) -> Command:
    plain = material.arrays()
    rows = len(plain["y_train"])
    odd: tuple[Any, ...] = (
        np.full(rows, np.nan),
        np.full(rows, np.inf),
        np.zeros(rows, np.int64),
        np.full(rows, 2**62),
        np.arange(rows),
        -np.arange(rows),
        np.arange(rows) * 10**15,
        np.zeros(0),
        np.zeros(()),
        np.zeros((rows, 0)),
        np.zeros((rows, 1)),
        np.zeros((rows, 2, 2, 2, 2)),
        np.zeros(rows - 1),
        np.array(["a", "b"] * (rows // 2)),
        np.array([b"\xff", b""] * (rows // 2)),
        np.array([""] * rows),
        np.zeros(rows, np.complex128),
        np.zeros(rows, "M8[ns]"),
        np.zeros(rows, [("a", "f4"), ("b", "i4")]),
        np.zeros(rows, np.bool_),
        np.full((rows, 6), 1e308),
        np.zeros(rows, np.float16),
        np.zeros(rows, np.longdouble),
        np.full(rows, 2**64 - 1, np.uint64),
        np.arange(rows) / 3,
        np.zeros((rows, 6), "V8"),
        np.tile(np.array(["\ud800"], dtype="U1"), rows),
        np.zeros((1, 6)),
        np.full((rows, 6), np.nan),
    )
    names = [*plain, "x_val", "y_val", "extra"]
    changed = {**plain, **{random.choice(names): random.choice(odd) for _ in range(2)}}
    if random.randrange(4) == 0:
        changed.pop(random.choice(list(changed)))
    return _of_bytes(place, "x.npz", material.npz(changed), random)


def _hidden_code(place: Place, random: Random) -> Command:
    content = random.choice((object_arrays, pickled))(place.canary)
    name = random.choice(("x.npz", "x.npz", "x.parquet", "x.csv", "x"))
    return _of_bytes(place, name, content, random)


def _odd_zip(place: Place, random: Random) -> Command:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        form = random.randrange(5)
        if form == 0:
            for name in ("../../x_train.npy", "/x_train.npy", "..\\x_train.npy"):
                archive.writestr(name, _npy(material.arrays()["x_train"]))
        elif form == 1:  # a bomb: 3 GB of zeros in 3 MB
            header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000, 1), }\n"
            with archive.open("x_train.npy", "w", force_zip64=True) as member:
                member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
                for _ in range(300):
                    member.write(b"\0" * 10_000_000)
        elif form == 2:
            for _ in range(2):
                archive.writestr("x_train.npy", _npy(material.arrays()["x_train"]))
        elif form == 3:
            archive.writestr("x_train.npy", b"")
            archive.writestr("y_train.npy", b"not an array")
        else:
            for number in range(2000):
                archive.writestr(f"{number}.npy", b"x")
    return _of_bytes(place, "x.npz", file.getvalue(), random)


def _changed_table(place: Place, random: Random) -> Command:
    suffix = random.choice((".csv", ".tsv"))
    text = material.csv_text()
    if suffix == ".tsv":
        text = text.replace(",", "\t")
    content = changed_text(text, random).encode("utf-8", "surrogateescape")
    if random.randrange(3) == 0:
        content = changed_bytes(content, random)
    return _of_bytes(place, f"x{suffix}", content, random)


def _odd_table(place: Place, random: Random) -> Command:
    huge = "9" * 400
    texts = (
        "a,b\n",
        "a\n1\n2\n",
        "\n\n\n",
        "a,b\n1,2",
        'a,b\n"1,2\n',
        'a,b\n"' + "x" * 200_000 + '",1\n',
        "a,b\r1,2\r3,4\r",
        "a,b\n" + "nan,1\n" * 20,
        "a,b\n" + "inf,1\n-inf,2\n" * 20,
        "a,b\n" + f"{huge},1\n1,2\n" * 20,
        "a,b\n" + "1e308,1\n-1e308,2\n" * 20,
        "a,b\n" + "1e400,1\n1,2\n" * 20,
        "a,b\n" + "1,1e-320\n2,5\n" * 20,
        "a,b\n" + "".join(f"{n},{n}\n" for n in range(300)),
        "a,b\n" + "".join(f"t{n},{n % 2}\n" for n in range(3000)),
        "a,b\n" + "".join(f"{n},t{n}\n" for n in range(3000)),
        "a,b\n" + "1,x\n" * 20,
        "a,b\n" + "1,x\n2,y\n",
        ",".join(f"c{n}" for n in range(20_000)) + "\n" + ",".join(["1"] * 20_000) + "\n",
        ",".join(f"c{n}" for n in range(20_000)) + ("\n" + ",".join(["1"] * 20_000)) * 30 + "\n",
        "a,b\n" + "\x00,1\n" * 5,
        "a\x00,b\n" + "1,1\n" * 5,
        "é,b\n" + "1,1\n2,0\n" * 9,
        "[red]a[/],b\n" + "1,1\n2,\n" * 9,
        "a,a\n1,2\n",
        "1,2\n3,4\n",
        "a,b\n" + "٣,1\n٤,2\n" * 9,
        "a,b\n" + "1_0,1\n2_0,2\n" * 9,
        "a,b\n" + "True,1\nfalse,2\n" * 9,
        "a;b\n" + "1,5;x\n2,5;y\n" * 9,
        "a,b\n" + "99999999999999999999,1\n5,2\n" * 9,
    )
    content = random.choice(texts).encode()
    prefix = random.choice((b"", b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    return _of_bytes(place, random.choice(("x.csv", "x.tsv")), prefix + content, random)


def _wide_table(place: Place, random: Random) -> Command:
    columns = random.choice((10_000, 100_000, 1_000_000))
    rows = ("\n" + "1," * (columns - 1) + "1") * random.choice((1, 2))
    header = ",".join(f"c{number}" for number in range(columns))
    return _of_bytes(place, "x.csv", f"{header}{rows}\n".encode(), random)


def _target(place: Place, random: Random) -> Command:
    name = random.choice(("x.csv", "x.parquet", "x.npz"))
    contents = {
        "x.csv": material.csv_text().encode(),
        "x.parquet": material.parquet(),
        "x.npz": material.npz(material.arrays()),
    }
    (place.work / name).write_bytes(contents[name])
    targets = ("height", "width", "colour", "kind", *HOSTILE_TEXTS)
    found = _measured(name, random)
    return replace(found, arguments=(*found.arguments, f"--target={random.choice(targets)}"))


def _changed_parquet(place: Place, random: Random) -> Command:
    return _of_bytes(place, "x.parquet", changed_bytes(material.parquet(), random), random)


def _odd_parquet(place: Place, random: Random) -> Command:
    import pyarrow
    from pyarrow import parquet

    numbers = list(range(20))
    odd: tuple[Any, ...] = (
        pyarrow.array([None] * 20),
        pyarrow.array([None, *numbers[1:]]),
        pyarrow.array([{"a": 1}] * 20),
        pyarrow.array([[1, 2]] * 20),
        pyarrow.array([b"\xff"] * 20),
        pyarrow.array([float("nan")] * 20),
        pyarrow.array([2**63] * 20, pyarrow.uint64()),
        pyarrow.array(["é\x00"] * 20),
        pyarrow.array(numbers, pyarrow.timestamp("ns")),
        pyarrow.array(numbers, pyarrow.duration("s")),
        pyarrow.array(["a", "b"] * 10).dictionary_encode(),
        pyarrow.array([True, False] * 10),
        pyarrow.array([1.0] * 20, pyarrow.float16()),
        pyarrow.array(numbers).cast(pyarrow.decimal128(38, 10)),
        pyarrow.array([1e308, -1e308] * 10),
    )
    names = random.choice((["a", "b"], ["a", "a"], ["", "b"], ["\x00", "[red]"], ["x" * 3000, "b"]))
    columns = [random.choice((pyarrow.array(numbers), random.choice(odd))) for _ in range(2)]
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns, names=names), file)
    return _of_bytes(place, "x.parquet", file.getvalue(), random)


def _images(place: Place, random: Random) -> Command:
    folder = place.work / "images"
    splits = random.choice(((".",), ("train",), ("train", "test"), ("train", "val", "other")))
    for split in splits:
        for label in random.choice((("a", "b"), ("0", "1"), ("a",), ("a", "[b]"))):
            inside = folder / split / label
            inside.mkdir(parents=True)
            for number in range(6):
                (inside / f"{number}.png").write_bytes(material.image())
    chosen = random.choice(sorted(folder.rglob("*.png")))
    form = random.randrange(6)
    if form < 3:
        chosen.write_bytes(changed_bytes(material.image(random.choice(KINDS)), random))
    elif form == 3:
        chosen.write_bytes(random.choice((_huge_png(random), b"", pickled(place.canary), _svg())))
    elif form == 4:
        chosen.unlink()
        odd_place(chosen, random)
    else:
        chosen.rename(chosen.with_name(random.choice(("x.txt", "\udcff.png", "a\nb.png", ".png"))))
    return _measured("images", random)


KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")


def _huge_png(random: Random) -> bytes:
    """Return a picture that claims to be of 10 to the 5 pixels a side, or more."""
    side = random.choice((100_000, 2**31 - 1, 20_000))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    packed = zlib.compress(b"\0" * 1_000_000, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def _svg() -> bytes:
    return b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"


def _saved_dataset(place: Place, random: Random) -> Command:
    folder = place.work / "saved"
    folder.mkdir()
    files: dict[str, Any] = {
        "state.json": {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None},
        "dataset_info.json": {
            "features": {
                "kind": {"names": ["a", "b"], "_type": "ClassLabel"},
                "height": {"dtype": "float64", "_type": "Value"},
            },
            "splits": {"train": {"name": "train"}},
        },
    }
    arrow = material.arrow_stream()
    form = random.randrange(5)
    if form == 0:
        arrow = changed_bytes(arrow, random)
    name = random.choice(("state.json", "dataset_info.json"))
    if form in (1, 2):
        files[name] = changed_json(files[name], random)
    if form == 3:
        files["state.json"]["_data_files"] = [
            {"filename": random.choice(("../x.arrow", "/etc/passwd", "", ".", "\x00", "a" * 300))}
        ]
    (folder / "data-00000-of-00001.arrow").write_bytes(arrow)
    for one, content in files.items():
        text = dumped(content, random) if form == 2 else json.dumps(content)
        (folder / one).write_text(text, encoding="utf-8", errors="surrogatepass")
    if form == 4:
        path = folder / random.choice(("data-00000-of-00001.arrow", *files))
        path.unlink()
        odd_place(path, random)
    return _measured("saved", random)


def _odd_place(place: Place, random: Random) -> Command:
    name = f"x{random.choice(SUFFIXES)}"
    odd_place(place.work / name, random)
    return _measured(random.choice((name, f"./{name}")), random)


def _name(_place: Place, random: Random) -> Command:
    named = (f"sklearn:{random.choice(NAMES)}", "sklearn:", "sklearn:os", "sklearn:../x")
    # The full MNIST would be fetched.
    return _measured(random.choice((*named, *HOSTILE_TEXTS)), random)


def _strategy() -> st.SearchStrategy[Case]:
    return st.one_of(
        of_forms((_changed_npz, _changed_array, _claimed_shape, _odd_arrays, _hidden_code)),
        of_forms((_odd_arrays, _odd_zip, _changed_table, _odd_table, _target)),
        of_forms((_changed_parquet, _odd_parquet, _images, _saved_dataset, _odd_place)),
        of_forms((_images, _saved_dataset, _name, _odd_table, _changed_parquet, _claimed_shape)),
        of_forms((*[_changed_table] * 12, *[_saved_dataset] * 12, _wide_table)),
    )


KIND = Kind("datasets", 600, _strategy)
