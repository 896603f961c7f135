"""The tool is built for the Valgrind that is installed, or the message says what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from powerml.errors import SetupError
from powerml.instrument import build
from powerml.instrument.valgrind import platform_name, valgrind_version
from tests.instrument.fakes import install_valgrind

ROOT = Path(__file__).parents[2]
LEAST_SETUPTOOLS = 77  # of pyproject.toml


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prefix of a stand-in for Valgrind with all that a tool is built from."""
    install_valgrind(tmp_path, monkeypatch)
    prefix = tmp_path / "fake"
    libraries = prefix / "lib" / "valgrind"
    libraries.mkdir(parents=True)
    for name in ("coregrind", "vex"):
        (libraries / f"lib{name}-{platform_name()}.a").touch()
    (prefix / "include" / "valgrind").mkdir(parents=True)
    (prefix / "include" / "valgrind" / "pub_tool_basics.h").touch()
    (prefix / "lib" / "pkgconfig").mkdir()
    _describe(prefix, "3.99.0")
    return prefix


def _describe(prefix: Path, version: str) -> None:
    (prefix / "lib" / "pkgconfig" / "valgrind.pc").write_text(
        f"prefix={prefix}\n"
        "libdir=${prefix}/lib\n"
        "includedir=${prefix}/include/valgrind\n"
        "valt_load_address=0x58000000\n\n"
        "Name: Valgrind\n"
        f"Version: {version}\n"
        "Libs: -L${libdir}/valgrind\n"
    )


def test_the_description_beside_the_installed_valgrind_is_read(prefix: Path) -> None:
    description = build.find_description()
    assert description["Version"] == "3.99.0"
    assert description["includedir"] == f"{prefix}/include/valgrind"
    assert description["Libs"] == f"-L{prefix}/lib/valgrind"


def test_a_description_elsewhere_is_named_in_the_environment(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prefix / "lib" / "pkgconfig").rename(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match=r"valgrind\.pc of Valgrind 3\.99\.0 was not found"):
        build.find_description()
    monkeypatch.setenv("PKG_CONFIG_PATH", str(tmp_path / "elsewhere"))
    assert build.find_description()["Version"] == "3.99.0"


def test_headers_of_another_valgrind_are_not_taken(prefix: Path) -> None:
    _describe(prefix, "3.98.0")
    with pytest.raises(
        SetupError, match=r"valgrind\.pc of Valgrind 3\.99\.0 .* only that of .*3\.98\.0"
    ):
        build.find_description()


def test_missing_libraries_are_told(prefix: Path) -> None:
    library = prefix / "lib" / "valgrind" / f"libvex-{platform_name()}.a"
    library.unlink()
    with pytest.raises(SetupError, match=f"was installed without {library}, from which"):
        build.find_description()


def test_a_missing_compiler_is_told(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(prefix / "bin"))
    with pytest.raises(SetupError, match="gcc was not found: "):
        build.build_tool(tmp_path)


def test_a_compiler_that_refuses_is_quoted_and_the_tool_before_is_kept(
    prefix: Path, tmp_path: Path
) -> None:
    compiler = prefix / "bin" / "gcc"
    compiler.write_text(
        "#!/bin/sh\necho 'tool.c: note' >&2\necho 'tool.c: error: no' >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    before = tmp_path / f"powerml-{platform_name()}"
    before.write_text("before")
    with pytest.raises(SetupError, match=r"for Valgrind 3.99.0 \(tool.c: error: no\)"):
        build.build_tool(tmp_path)
    assert before.read_text() == "before"


def test_all_sources_are_built() -> None:
    assert {*build.SOURCES, *build.PLUGIN_SOURCES} == {
        file.name for file in Path(build.__file__).parent.glob("*.c")
    }


@pytest.mark.simulator
def test_a_build_of_the_package_holds_the_tool_and_its_sources(tmp_path: Path) -> None:
    if int(metadata.version("setuptools").partition(".")[0]) < LEAST_SETUPTOOLS:
        pytest.skip("setuptools is too old to build the package without isolation")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path)
    unbuilt = shutil.ignore_patterns("*.so", "*-linux", "built_for", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=unbuilt)
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build", "--build-lib", "built"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    folder = tmp_path / "built" / "powerml" / "instrument"
    assert (folder / "built_for").read_text() == f"{valgrind_version()}\n"
    assert (folder / f"powerml-{platform_name()}").is_file()
    assert (folder / "COPYING").is_file()
    assert (folder / "powerml-qemu-linux").is_file()
    sources = (*build.SOURCES, *build.PLUGIN_SOURCES, "hierarchy.h")
    assert all((folder / name).is_file() for name in sources)
