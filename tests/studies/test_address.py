"""Addresses of storages: a password comes from the environment or a file, and is shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from powerml.errors import UsageError
from powerml.studies.address import (
    PASSWORD_VARIABLE,
    STORAGE_VARIABLE,
    Address,
    find_address,
    recorded_address,
)

PASSWORD = "geheim/17 @{x}%"  # noqa: S105 - a test's
QUOTED = "geheim%2F17%20%40%7Bx%7D%25"


def found(given: str | None) -> Address:
    address = find_address(given)
    assert address is not None
    return address


@pytest.fixture(autouse=True)
def without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


def test_without_an_address_a_study_is_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_address(None) is None
    monkeypatch.setenv(STORAGE_VARIABLE, "postgresql://u@h/d")
    assert found(None).shown == "postgresql://u@h/d"
    assert find_address("journal") is None


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("postgresql://u@h:1/d", "postgresql+psycopg://u@h:1/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("mysql://u@h/d", "mysql+pymysql://u@h/d"),
        ("mariadb://u@h/d", "mysql+pymysql://u@h/d"),
        ("postgresql+pg8000://u@h/d", "postgresql+pg8000://u@h/d"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("grpc://h:13000", "grpc://h:13000"),
    ],
)
def test_each_kind_is_opened_by_the_driver_of_the_extra(given: str, opened: str) -> None:
    assert found(given).secret_url == opened
    assert found(given).shown == given


def test_a_file_of_sqlite_is_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert found("sqlite:///studies.db").shown == f"sqlite:///{tmp_path}/studies.db"


def test_a_sockets_folder_is_written_as_it_is_read() -> None:
    given = "postgresql://u@/d?host=/run/postgresql"
    assert found(given).shown == given


def test_the_password_of_the_environment_goes_to_the_driver_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    address = found("postgresql://u@h/d")
    assert f":{QUOTED}@".replace("%20", " ") in address.secret_url
    assert address.shown == "postgresql://u@h/d"
    assert "geheim" not in repr(address)
    said = f'could not connect with "{PASSWORD}" by {address.secret_url} or {QUOTED}'
    assert "geheim" not in address.without_secrets(said)


def test_passwords_in_urls_are_hidden_without_being_known() -> None:
    address = find_address("postgresql://u@h/d")
    assert address is not None
    said = "postgresql://u:geheim%2F17 %40@h/d, http://localhost:8080/a@b"
    assert address.without_secrets(said) == "postgresql://u:***@h/d, http://localhost:8080/a@b"


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://u:geheim@h/d",
        "postgresql://u@h/d?password=geheim",
        "mysql://u@h/d?passwd=geheim",
        "postgresql://u@h/d?sslpassword=geheim",
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(UsageError, match=PASSWORD_VARIABLE) as caught:
        find_address(given)
    assert "geheim" not in f"{caught.value}{caught.value.detail}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nonsense geheim", "no URL that can be read"),
        ("postgresql://u:geheim@h:port/d", "no URL that can be read"),
        ("redis://:geheim@h/d", "unknown kind 'redis'"),
        ("postgresql://u@h", "names no database"),
        ("postgresql:///u:geheim@h/d", "an @ in the name of its database"),
        ("grpc://h", "names no host and port"),
        ("sqlite:///:memory:", "of this process alone"),
        ("grpc://u:geheim@h:1", "names a user"),
    ],
)
def test_what_is_no_address_is_told_without_quoting_it(
    given: str, told: str, tmp_path: Path
) -> None:
    for one in (given, f"@{_file(tmp_path, given)}"):
        with pytest.raises(UsageError, match=told) as caught:
            find_address(one)
        assert "geheim" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "url"
    path.write_text(text + "\n", encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_file_may_hold_the_password_if_nobody_else_reads_it(tmp_path: Path) -> None:
    url = f"postgresql://u:{QUOTED}@h/d?sslpassword=geheim&sslmode=require"
    path = _file(tmp_path, url)
    address = found(f"@{path}")
    assert address.shown == "postgresql://u@h/d?sslmode=require"
    assert address.file == str(path)
    assert "geheim" in address.secret_url
    path.chmod(0o640)
    with pytest.raises(UsageError, match=f"others can read it: chmod 600 {path}"):
        find_address(f"@{path}")
    assert found(f"@{_file(tmp_path, 'postgresql://u@h/d', 0o644)}").shown == "postgresql://u@h/d"


@pytest.mark.parametrize("text", ["", "one\ntwo"])
def test_a_file_holds_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="does not hold one line"):
        find_address(f"@{_file(tmp_path, text)}")
    with pytest.raises(UsageError, match=r"cannot be read \(No such file or directory\)"):
        find_address(f"@{tmp_path / 'none'}")


def test_a_folders_address_finds_its_password_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = "postgresql://u@h/d"
    path = _file(tmp_path, "postgresql://u:first@h/d")
    assert ":first@" in recorded_address(shown, str(path)).secret_url
    monkeypatch.setenv(PASSWORD_VARIABLE, "second")
    assert ":second@" in recorded_address(shown, None).secret_url
    assert ":second@" in recorded_address(shown, str(tmp_path / "moved")).secret_url
    monkeypatch.setenv(STORAGE_VARIABLE, "postgresql://u:third@h/d")
    assert ":third@" in recorded_address(shown, None).secret_url
    # Another server's password is not given to this one.
    monkeypatch.setenv(STORAGE_VARIABLE, "postgresql://u:fourth@elsewhere/d")
    assert ":second@" in recorded_address(shown, None).secret_url


@pytest.mark.parametrize("text", ["mysql://me:ab@end@h/d", "mysql://me:S3cr#t/p@w@h/d?x=y"])
def test_the_end_of_a_password_is_not_taken_for_a_host(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="has more than one @: write %40 for all but") as caught:
        find_address(f"@{_file(tmp_path, text)}")
    said = str(caught.value).replace(str(tmp_path), "")
    assert not any(part in said for part in ("end", "p@w", "w@h"))
