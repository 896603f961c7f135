"""The measured process sees the installation under paths that are the same in every folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from powerml.errors import ServerError, SetupError
from powerml.meters.simulator import launch, view
from powerml.meters.simulator.view import View, open_view

ENVIRONMENT = launch.environment(None)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[View]:
    with open_view(tmp_path, ENVIRONMENT) as found:
        yield found


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the interpreter is said to find."""
    found: dict[str, Any] = {"folders": [], "packages": {}}
    monkeypatch.setattr(view, "_site", lambda _environment: found)
    return found


def _write(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"origin = {str(folder)!r}\n", encoding="utf-8")
    return str(folder)


def _run(
    opened: View,
    code: str,
    environment: Mapping[str, str] = ENVIRONMENT,
    found: Mapping[str, str] | None = None,
) -> Any:
    """Run a program in the view; return the last line that it prints, read as JSON."""
    (opened.folder / view.PACKAGES / "probe.py").write_text(code, encoding="utf-8")
    ended = subprocess.run(
        opened.command("probe", []),
        env={**environment, **(found or opened.environment)},
        pass_fds=[opened.descriptor],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def test_no_path_of_the_installation_is_seen(opened: View) -> None:
    code = (
        "import json, os, sys, numpy, powerml\n"
        "found = [*sys.path, sys.prefix, sys.executable, sys.base_prefix, *sys.orig_argv[:1]]\n"
        "found += [module.__file__ for module in (json, numpy, powerml)]\n"
        "found += [os.path.realpath(numpy.__file__), json.loads.__code__.co_filename]\n"
        "print(json.dumps(found))\n"
    )
    assert {Path(path).parts[:5] for path in _run(opened, code)} == {Path(opened.path).parts}


def test_links_elsewhere_are_resolved_as_ever(opened: View, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    code = f"import json, os\nprint(json.dumps(os.path.realpath({str(tmp_path / 'link')!r})))\n"
    assert _run(opened, code) == str(tmp_path.resolve() / "target")


def test_listings_do_not_tell_what_was_imported_before(
    site: dict[str, Any], tmp_path: Path
) -> None:
    site["folders"] = [_write(tmp_path / "a", "b/__init__.py", "b/z.py", "b/a.py", "b/k.py")]
    (tmp_path / "private").mkdir()
    code = "import json, os, b.k\nprint(json.dumps(os.listdir(b.__path__[0])))\n"
    with open_view(tmp_path / "private", ENVIRONMENT) as opened:
        before = _run(opened, code)
        (tmp_path / "a" / "b" / "__pycache__").mkdir()
        assert _run(opened, code) == before == ["__init__.py", "a.py", "k.py", "z.py"]


def test_the_packages_are_those_that_python_finds(site: dict[str, Any], tmp_path: Path) -> None:
    first = _write(tmp_path / "a", "one/__init__.py", "both.py", "parts/of_a.py", "way.pth")
    second = _write(tmp_path / "b", "both.py", "parts/of_b.py", "json.py", "__editable___x.py")
    third = _write(tmp_path / "c", "named/__init__.py")
    site["folders"] = [first, second, str(tmp_path / "missing")]
    site["packages"] = {"named": f"{third}/named"}
    (tmp_path / "private").mkdir()
    code = (
        "import json, one, both, named, parts.of_a, parts.of_b\n"
        "modules = (one, both, named, parts.of_a, parts.of_b)\n"
        "print(json.dumps([*(module.origin for module in modules), json.__file__]))\n"
    )
    with open_view(tmp_path / "private", ENVIRONMENT) as opened:
        *origins, standard = _run(opened, code)
        packages = sorted(path.name for path in (opened.folder / view.PACKAGES).iterdir())
    assert origins == [first, first, third, first, second]
    assert standard.startswith(f"{opened.path}/{view.LIBRARIES}/")
    assert packages == ["both.py", "json.py", "named", "one", "parts", "powerml", "probe.py"]


def test_nothing_that_lies_beside_an_imported_module_is_listed_or_kept(
    site: dict[str, Any], tmp_path: Path
) -> None:
    names = ("one.py", "parts/of_a.py", "One_x-1.dist-info/METADATA")
    site["folders"] = [_write(tmp_path / "a", *names)]
    own = _write(tmp_path / "own", "mine.py", "beside.py")
    (tmp_path / "private").mkdir()
    code = (
        "import json, sys\n"
        "listed = []\n"
        "sys.addaudithook(lambda event, given: event in ('os.listdir', 'os.scandir')\n"
        "                 and listed.append(str(given[0])))\n"
        f"sys.path.insert(0, {own!r})\n"
        "import mine, one, parts.of_a\n"
        "from importlib import metadata\n"
        "metadata.distribution('one.X')\n"
        "finders = sys.path_importer_cache.values()\n"
        "kept = [getattr(finder, '_path_cache', ()) for finder in finders]\n"
        "kept = {name for names in kept if isinstance(names, set) for name in names}\n"
        "beside = kept & {'one.py', 'parts', 'beside.py'}\n"
        f"places = ('/packages', {own!r})\n"
        "listed = [path for path in listed if any(place in path for place in places)]\n"
        "print(json.dumps([listed, sorted(beside)]))\n"
    )
    with open_view(tmp_path / "private", ENVIRONMENT) as opened:
        assert _run(opened, code) == [[], []]


def test_the_metadata_of_a_package_are_found_by_any_spelling_of_its_name(
    site: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    site["folders"] = [str(folder)]
    for name in ("Two.Parts-1.5.dist-info", "other-3.dist-info", "Two.Parts-1.7.dist-info"):
        (folder / name).mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {name[-13:-10]}\n"
        (folder / name / "METADATA").write_text(text, encoding="utf-8")
    (folder / "other-3.dist-info" / "entry_points.txt").write_text("[group]\nnamed=one:two\n")
    (tmp_path / "private").mkdir()
    code = (
        "import json\n"
        "from importlib import metadata\n"
        "found = [metadata.version(name) for name in ('two-parts', 'TWO_parts', 'Two.Parts')]\n"
        "try:\n    metadata.version('missing')\n"
        "except metadata.PackageNotFoundError:\n    found.append('none')\n"
        "found += [point.value for point in metadata.entry_points(group='group')]\n"
        "print(json.dumps(found))\n"
    )
    with open_view(tmp_path / "private", ENVIRONMENT) as opened:
        assert _run(opened, code) == ["1.5", "1.5", "1.5", "none", "one:two"]


def test_plug_ins_are_found_among_those_alone_that_announce_any(
    site: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    site["folders"] = [_write(folder, "added.py", "none-1.dist-info/METADATA")]
    for name, group in (("added", "powerml.spaces"), ("other", "console_scripts")):
        (folder / f"{name}-1.dist-info").mkdir()
        announced = folder / f"{name}-1.dist-info" / "entry_points.txt"
        announced.write_text(f"[{group}]\n{name} = {name}:origin\n", encoding="utf-8")
    (tmp_path / "private").mkdir()
    code = (
        "import json, os\n"
        "from powerml import plugins\n"
        "origin = plugins.find('space', 'spaces', 'added', list)\n"
        "folder = os.environ[plugins.FOLDER_VARIABLE]\n"
        "print(json.dumps([origin, plugins.names('runtimes', list), os.listdir(folder)]))\n"
    )
    with open_view(tmp_path / "private", ENVIRONMENT) as opened:
        assert _run(opened, code) == [str(folder), [], ["added-1.dist-info"]]


@pytest.mark.simulator
def test_keras_on_torch_looks_for_nothing_that_it_does_not_require(opened: View) -> None:
    """Look at all that the job asks for: what else is hidden, lest counts depend on it."""
    environment = launch.environment("torch")
    code = (
        "import json, os, runpy, sys\n"
        "asked = set()\n"
        "class Asked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        asked.add(name.partition('.')[0])\n"
        "sys.meta_path.insert(0, Asked())\n"
        "sys.argv = ['main', 'list', 'training']\n"
        f"runpy.run_module({launch.WORKER_MODULE!r}, run_name='__main__', alter_sys=True)\n"
        "os.write(3, json.dumps(sorted(asked)).encode())\n"
    )
    asked = set(_run(opened, code, environment)) - sys.stdlib_module_names
    # What `copy` asks for is Jython's, and what `sysconfig` does is the standard library's, too.
    others = {name for name in asked if not name.startswith("_sysconfigdata")} - {"org", "powerml"}
    assert others <= _required("keras", "torch")


def _required(*roots: str) -> set[str]:
    """Return the modules of distributions and of all that they require."""
    found: set[str] = set()
    left = list(roots)
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found.add(name)
            needs = [Requirement(text) for text in metadata.requires(name) or ()]
            left += [
                one.name for one in needs if not one.marker or one.marker.evaluate({"extra": ""})
            ]
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if found & {canonicalize_name(one) for one in distributions}
    }


def test_byte_code_is_compiled_for_all_modules_of_a_job(opened: View) -> None:
    found = opened.compile("loads", launch.WORKER_MODULE, ENVIRONMENT)
    code = (
        "import importlib.util, json, os, sys, numpy, powerml.guest.loads_job\n"
        "specs = [getattr(module, '__spec__', None) for module in list(sys.modules.values())]\n"
        "print(json.dumps([os.path.basename(spec.origin) for spec in specs\n"
        "                  if spec and spec.cached and not os.path.exists(spec.cached)]))\n"
    )
    assert _run(opened, code, found=found) == ["probe.py"]


def test_a_job_finds_its_own_byte_code_whatever_others_have_compiled(opened: View) -> None:
    """Else counts of a module that is imported late would depend on what was measured before."""
    loads, onnx = (
        opened.compile(job, launch.WORKER_MODULE, ENVIRONMENT)
        for job in ("loads", "deployment:onnxruntime")
    )
    code = (
        "import importlib.util, json, os, powerml.guest.deployment_job as one\n"
        "print(json.dumps(os.path.exists(one.__spec__.cached)))\n"
    )
    assert _run(opened, code, found=onnx)
    assert not _run(opened, code, found=loads)
    assert _run(opened, code)  # of all
    assert len({len(one["PYTHONPYCACHEPREFIX"]) for one in (loads, onnx)}) == 1


def test_two_guests_of_one_job_may_start_at_once(opened: View) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: opened.compile("loads", launch.WORKER_MODULE, ENVIRONMENT), range(4))
        )
    assert found == [found[0]] * 4


@pytest.mark.parametrize("job", ["own", "framework"])
def test_what_runs_a_users_network_is_there_before_anything_is_counted(
    opened: View, job: str
) -> None:
    sources = opened.sources(job, launch.WORKER_MODULE, launch.environment("torch"))
    needed = ["networks/own", "networks/loops", "spaces/from_file", "spaces/task", "spaces/trial"]
    assert {f"packages/powerml/{name}.py" for name in needed} <= set(sources)


def test_byte_code_does_not_tell_where_it_was_compiled(opened: View) -> None:
    opened.compile("loads", launch.WORKER_MODULE, ENVIRONMENT)
    [compiled] = opened.folder.joinpath(view.BYTE_CODE, opened.path[1:]).glob(
        "packages/powerml/guest/loads_job.*.pyc"
    )
    content = compiled.read_bytes()
    assert b"loads_job" not in content
    assert os.fsencode(view.PACKAGE.parent) not in content


def test_a_source_that_was_changed_is_compiled_again(site: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "a"
    _write(folder, "worker.py")
    worker = folder / "worker.py"
    worker.write_text("print('[\"' + __file__ + '\"]')\n", encoding="utf-8")
    site["folders"] = [str(folder)]
    (tmp_path / "private").mkdir()
    with open_view(tmp_path / "private", ENVIRONMENT) as opened:
        place = opened.folder / view.BYTE_CODE / opened.path[1:] / "packages"

        def compiled() -> int:
            opened.compile("training", "worker", ENVIRONMENT)
            [byte_code] = place.glob("worker.*.pyc")
            return byte_code.stat().st_mtime_ns

        before = compiled()
        assert compiled() == before
        worker.write_text(worker.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
        assert compiled() != before


def test_a_job_that_does_not_start_is_told_of(opened: View) -> None:
    with pytest.raises(ServerError, match=r"powerml\.guest\.main does not run .*no job is called"):
        opened.compile("no job", launch.WORKER_MODULE, ENVIRONMENT)


def test_without_a_folder_of_caches_byte_code_lies_in_the_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path / "file"))
    with open_view(tmp_path, ENVIRONMENT) as opened:
        opened.compile("loads", launch.WORKER_MODULE, ENVIRONMENT)
        assert list((opened.folder / view.BYTE_CODE).rglob("loads_job.*.pyc"))


def test_byte_code_of_an_installation_that_is_gone_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path))
    package = tmp_path / "installed" / "powerml"
    package.mkdir(parents=True)
    for present in (package, view.PACKAGE):
        monkeypatch.setattr(view, "PACKAGE", present)
        (tmp_path / f"private-{len(str(present))}").mkdir()
        with open_view(tmp_path / f"private-{len(str(present))}", ENVIRONMENT):
            [kept] = (tmp_path / view.BYTE_CODE).iterdir()
            assert (kept / view.OWNER).read_text(encoding="utf-8") == str(present)
        with contextlib.suppress(FileNotFoundError):
            package.rmdir()


@pytest.mark.parametrize("content", ["[]", "null", '{"installed": []}', "[" * 100_000, "\xff"])
def test_a_damaged_record_of_byte_code_is_not_current(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content, encoding="latin-1")
    assert not view._is_current(tmp_path / "record.json", [], tmp_path)


def test_a_damaged_note_on_an_installation_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path))
    damaged = tmp_path / view.BYTE_CODE / "0" / view.OWNER
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"\xff")
    (tmp_path / "private").mkdir()
    with open_view(tmp_path / "private", ENVIRONMENT):
        pass


def test_a_file_system_without_links_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with (
        pytest.raises(SetupError, match="set TMPDIR to a folder of a file system that has symbol"),
        open_view(tmp_path, ENVIRONMENT),
    ):
        pass


def test_without_a_free_descriptor_the_limit_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with (
        pytest.raises(SetupError, match="raise the limit with ulimit -n 1024"),
        open_view(tmp_path, ENVIRONMENT),
    ):
        pass


def test_two_views_have_paths_of_one_length(opened: View, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with open_view(tmp_path / "other", ENVIRONMENT) as other:
        assert other.descriptor != opened.descriptor
        assert len(other.path) == len(opened.path)


def test_the_descriptor_is_closed_at_the_end(tmp_path: Path) -> None:
    with open_view(tmp_path, ENVIRONMENT) as opened:
        os.fstat(opened.descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened.descriptor)


def test_the_interpreter_is_one_whatever_python_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = view.interpreter()
    assert Path(path).samefile(sys.executable)
    link = tmp_path / "environment"
    link.symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "prefix", str(link))
    monkeypatch.setattr(sys, "executable", str(link / "bin" / "python3"))
    assert view.interpreter() == path
