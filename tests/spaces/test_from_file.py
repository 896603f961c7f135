"""Spaces of the user's own: their code is found and imported, or refused in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from powerml.errors import LONGEST_MESSAGE, SpaceError
from powerml.spaces.from_file import (
    OwnSpace,
    digest_of_files,
    fault_of,
    find_code,
    load_space,
    split_own,
)

BUILD = "def build(trial, task):\n    return trial.suggest_int('units', 4, 8)\n"
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def imports_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules of a test, and where they are imported from."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def writer(text: str = BUILD, name: str = "mine.py", **beside: str) -> Path:
        for other, content in beside.items():
            (tmp_path / f"{other}.py").write_text(content)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return writer


def _load(path: Path | str) -> OwnSpace:
    return load_space(find_code(str(path)))


def _refused(path: Path | str) -> str:
    with pytest.raises(SpaceError) as refused:
        _load(path)
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) <= LONGEST_MESSAGE
    return said


@pytest.mark.parametrize(
    ("text", "place", "values"),
    [
        ("mine.py", "mine.py", ""),
        ("a/b c/mine-2.py", "a/b c/mine-2.py", ""),
        ("../mine.py:units=16", "../mine.py", "units=16"),
        ("mine.py:Name", "mine.py:Name", ""),
        ("mine.py:Größe", "mine.py:Größe", ""),
        ("mine.py:Name:units=16,kind=a:b", "mine.py:Name", "units=16,kind=a:b"),
        ('mine.py:kind="two\nlines"', "mine.py", 'kind="two\nlines"'),
        (" mine.py ", "mine.py", ""),
        ("mine.py:", "mine.py", ""),
        ("mine.py:Name:units", "mine.py", "Name:units"),
        ("nets.small", "nets.small", ""),
        ("a.b:c=1", "a.b", "c=1"),
        ("a.b:Name:c=1", "a.b:Name", "c=1"),
    ],
)
def test_an_own_space_is_told_with_its_values(text: str, place: str, values: str) -> None:
    assert split_own(text) == (place, values)


@pytest.mark.parametrize(
    "text", ["dffr", "dffr:layers=2,width=16", "C:\\nets\\mine.py", "", "mine.txt=1"]
)
def test_other_texts_are_no_own_space(text: str) -> None:
    assert split_own(text) is None


@pytest.mark.parametrize("name", ["net.pt", "model.keras", "data.csv"])
def test_a_file_that_is_there_is_no_module(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_own(name) is not None
    (tmp_path / name).touch()
    assert split_own(name) is None


def test_a_file_with_a_build_is_a_space(write: Write) -> None:
    space = _load(write(BUILD + "reference = {'units': 4}\n"))
    assert space.name == "mine"
    assert space.reference == {"units": 4}
    assert (space.train, space.score, space.load) == (None, None, None)


@pytest.mark.parametrize(
    "build",
    [
        "def build(*given):\n    return 1\n",
        "def build(one, other, more=None, **rest):\n    return 1\n",
        "import functools\ndef of(size, trial, task):\n    return 1\n"
        "build = functools.partial(of, 4)\n",
        "class Made:\n    def __call__(self, trial, task):\n        return 1\nbuild = Made()\n",
        "build = max\n",
    ],
)
def test_any_function_that_takes_the_arguments_will_do(build: str, write: Write) -> None:
    assert callable(_load(write(build)).build)


@pytest.mark.parametrize("name", ["my net.py", "größe.py", "my-net.py", "my.net.v2.py", ".mine.py"])
def test_any_name_of_a_file_will_do(name: str, write: Write) -> None:
    space = _load(write(name=name))
    assert "." not in space.name
    assert list(space.code.files()) == [name]


@pytest.mark.parametrize("content", ["\ufeff" + BUILD, BUILD.replace("\n", "\r\n")])
def test_files_of_other_systems_are_read(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(content.encode())
    assert callable(_load(path).build)


def test_a_link_is_followed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "linked.py").symlink_to(write())
    assert _load(tmp_path / "links" / "linked.py").name == "linked"


def test_the_same_file_may_be_loaded_by_another_path(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("import layers\n" + BUILD, name="inner/mine.py")
    (tmp_path / "inner" / "layers.py").write_text("")
    monkeypatch.chdir(tmp_path / "inner")
    found = {tuple(_load(path).code.files()) for path in ("mine.py", "../inner/mine.py")}
    assert found == {("layers.py", "mine.py")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.py has no function build(trial, task): define it"),
        ("build = 3\n", "build of mine.py is no function"),
        (BUILD + "train = 3\n", "train of mine.py is no function"),
        (BUILD + "reference = 16\n", "reference of mine.py is of type int"),
        (
            "x = 1\ndef build(trial):\n    return 1\n",
            "line 2 of mine.py: build takes (trial), and is called as build(trial, task): define",
        ),
        ("def build(trial, task, more):\n    return 1\n", "build takes (trial, task, more), and"),
        ("def build(trial, task, *, on):\n    return 1\n", "build takes (trial, task, on), and"),
        (
            BUILD + "def train(model, task):\n    pass\n",
            "line 3 of mine.py: train takes (model, task), and is called as train(model, task, tr",
        ),
        (BUILD + "def score(model):\n    return 1\n", "is called as score(model, task): define"),
        (BUILD + "def load(path):\n    return 1\n", "load takes (path), and is called as load()"),
        (
            f"def build({', '.join(f'argument_{n}' for n in range(99))}):\n    return 1\n",
            "and is called as build(trial, task): define it so",
        ),
        ("x = 1\ndef build(:\n", "line 2 of mine.py is no Python"),
        ("import nothing_of_the_kind\n", "line 1 of mine.py failed while mine.py was imported"),
        ("x = 1\nraise ValueError('so there')\n", "line 2 of mine.py failed"),
        ("raise SystemExit(3)\n", "failed while mine.py was imported (SystemExit: 3)"),
        ("import sys\nsys.exit()\n", "line 2 of mine.py failed"),
        ("raise ValueError('x' * 5000)\n", "line 1 of mine.py failed"),
        ("raise ValueError('one\\ntwo')\n", "(one two)"),
        ("def f():\n    return f()\nf()\n", "line 2 of mine.py failed"),
        ("\0", "mine.py is no Python"),
        ("(" * 500, "mine.py"),
    ],
)
def test_a_file_that_is_no_space_is_refused_in_one_line(text: str, said: str, write: Write) -> None:
    assert said in _refused(write(text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert "mine.py is no Python" in _refused(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "nothing.py is not there" in _refused(tmp_path / "nothing.py")
    (tmp_path / "folder.py").mkdir()
    assert "folder.py is a folder, and no file" in _refused(tmp_path / "folder.py")


def test_the_line_is_named_in_the_file_beside_that_fails(write: Write) -> None:
    path = write("import layers\n" + BUILD, layers="\n\nraise ValueError('so there')\n")
    assert "line 3 of layers.py failed while mine.py was imported (so there)" in _refused(path)


def test_a_syntax_error_is_named_in_the_file_beside(write: Write) -> None:
    path = write("import layers\n" + BUILD, layers="\n1 +\n")
    assert "line 2 of layers.py is no Python" in _refused(path)


NAMED = """
class Net:
    def __init__(self):
        self.reference = {"units": 4}
    def build(self, trial, task): ...
class Wide:
    def __init__(self, width): ...
    def build(self, trial, task): ...
class Empty: ...
class Failing:
    @property
    def build(self):
        raise ValueError("so there")
made = Net()
"""


@pytest.mark.parametrize("name", ["Net", "made"])
def test_an_object_in_the_file_is_a_space(name: str, write: Write) -> None:
    space = _load(f"{write(NAMED)}:{name}")
    assert space.name == name
    assert space.reference == {"units": 4}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Wide", "mine.py: Wide cannot be made"),
        ("Empty", "mine.py:Empty has no function build"),
        ("Failing", "line 13 of mine.py failed"),
        ("Missing", "mine.py has no Missing"),
        ("1st", "names no object"),
    ],
)
def test_an_object_that_is_no_space_is_refused(name: str, said: str, write: Write) -> None:
    assert said in _refused(f"{write(NAMED)}:{name}")


@pytest.mark.parametrize("name", ["random.py", "wave.py", "numpy.py", "optuna.py", "pytest.py"])
def test_the_name_of_a_module_that_others_import_is_refused(name: str, write: Write) -> None:
    assert "rename the file" in _refused(write(name=name))


def test_a_package_with_imports_from_itself_is_a_space(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    for path, text in (
        ("nets/__init__.py", ""),
        ("nets/blocks.py", "KIND = 'dense'\n"),
        ("nets/small.py", "from .blocks import KIND\n" + BUILD),
    ):
        write(text, name=path)
    space = _load("nets.small")
    assert space.name == "small"
    assert list(space.code.files()) == ["nets/__init__.py", "nets/blocks.py", "nets/small.py"]


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("raise ValueError('so there')\n", "so there"),
        ("raise SystemExit(2)\n", "cannot be imported"),
        ("", "there is no module broken.small"),
    ],
)
def test_a_package_that_cannot_be_imported_is_refused(
    inside: str, said: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(inside, name="broken/__init__.py")
    assert said in _refused("broken.small")


@pytest.mark.parametrize("place", ["no.such.module", "json.decoder.nothing", "numpy._core._simd"])
def test_a_module_that_is_not_there_is_refused(place: str) -> None:
    assert "module" in _refused(place)


def test_files_beside_belong_to_the_code_and_others_do_not(write: Write, tmp_path: Path) -> None:
    path = write("import json, layers\n" + BUILD, layers="", other="")
    code = _load(path).code
    before = code.files()
    assert list(before) == ["layers.py", "mine.py"]
    (tmp_path / "layers.py").write_text("# changed\n")
    assert digest_of_files(code.files()) != digest_of_files(before)


def test_libraries_below_the_folder_of_a_space_are_none_of_its_code(
    write: Write, tmp_path: Path
) -> None:
    write("", name="env/lib/python3.11/site-packages/installed_there.py")
    path = write(
        "import sys\n"
        f"sys.path.append({str(tmp_path / 'env/lib/python3.11/site-packages')!r})\n"
        "import installed_there\n" + BUILD
    )
    assert list(_load(path).code.files()) == ["mine.py"]


def test_python_and_powerml_themselves_are_none_of_a_spaces_code() -> None:
    from powerml.spaces.from_file import SpaceCode

    code = SpaceCode(Path("/"), "mine.py", "mine")
    assert not code.holds(Path(os.__file__))
    assert not code.holds(Path(sys.modules[SpaceCode.__module__].__file__ or ""))
    assert code.holds(Path("/home/somebody/layers.py"))


def test_a_space_does_not_take_the_modules_of_another(tmp_path: Path) -> None:
    names = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "layers.py").write_text(f"NAME = {folder!r}\n")
        (tmp_path / folder / "mine.py").write_text(
            "import layers\ndef build(trial, task): return layers.NAME\n"
        )
        names.append(_load(tmp_path / folder / "mine.py").build(None, None))
    assert names == ["one", "two"]


def test_changed_code_runs_when_it_is_loaded_again(write: Write) -> None:
    text = "import layers\ndef build(trial, task): return layers.NAME\n"
    path = write(text, layers="NAME = 'before'\n")
    assert _load(path).build(None, None) == "before"
    write(text, layers="NAME = 'afterwards'\n")
    assert _load(path).build(None, None) == "afterwards"


def test_nothing_that_is_imported_prints_to_standard_output(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("import layers\nprint('mine')\n" + BUILD, layers="print('beside')\n")
    _load(path)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "beside\nmine\n"


def test_a_fault_is_the_last_line_of_the_users_code(write: Write) -> None:
    space = _load(
        write(
            "import json, layers\ndef build(trial, task):\n    layers.read('{')\n",
            layers="import json\ndef read(text):\n    return json.loads(text)\n",
        )
    )
    with pytest.raises(ValueError, match="Expecting property name") as failed:
        space.build(None, None)
    assert fault_of(failed.value, space.code) == "line 3 of layers.py"


@pytest.mark.parametrize("files", [{"a.py": b"b"}, {"a.py": b"", "b.py": b""}, {}])
def test_a_digest_tells_files_apart(files: Mapping[str, bytes]) -> None:
    assert digest_of_files(files) != digest_of_files({"a.py": b""})
