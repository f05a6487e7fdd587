"""NEXUS_* variables over the files of `.nexus`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.setting_values import ExportPlace
from nexus_cli.settings import home_folder, home_here, load_settings, look_from


def test_the_rate_of_the_live_view(tmp_path: Path) -> None:
    assert load_settings(environ={}, home=tmp_path).live_rate_per_s is None
    assert load_settings(environ={"NEXUS_LIVE_RATE": "off"}, home=tmp_path).live_rate_per_s is None
    assert load_settings(environ={"NEXUS_LIVE_RATE": "50000"}, home=tmp_path).live_rate_per_s == 50_000


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "nan", "inf", "2000000"])
def test_a_rate_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(NexusError, match="NEXUS_LIVE_RATE") as failed:
        load_settings(environ={"NEXUS_LIVE_RATE": text}, home=tmp_path)
    assert failed.value.code == "NX6001"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="NEXUS_BROKER_URL is not UTF-8 text") as failed:
        load_settings(environ={"NEXUS_BROKER_URL": "mqtt://\udcff"}, home=tmp_path)
    assert failed.value.code == "NX6001"
    (tmp_path / "secret").write_bytes(b"\xff")
    with pytest.raises(NexusError, match="can't be read"):
        load_settings(environ={"NEXUS_BROKER_PASSWORD_FILE": str(tmp_path / "secret")}, home=tmp_path)


def test_arguments_that_are_no_text_are_a_usage_error() -> None:
    from nexus_cli.cli.arguments import not_text

    assert not_text(["validate", "ümlaut"], {"NEXUS_ENV": "prod", "OTHER": "\udcff"}) == ""
    assert not_text(["validate", "x\udcff"], {}) == "argument 2, 'x?', is not UTF-8 text"
    assert not_text(["validate", "--var", "a=\udcff", "--var=b=\udcff"], {}) == ""
    assert not_text([], {"NEXUS_ENV": "\udcff"}) == "the environment variable NEXUS_ENV is not UTF-8 text"


WRONG = {
    "NEXUS_HTTP_PORT": ("web", "70000", "-1", "²"),
    "NEXUS_HTTP_INSECURE": ("", "yes", "2"),
    "NEXUS_LIVE_RATE": ("fast",),
    "NEXUS_HISTORIAN_WRITERS": ("", "0", "17", "-1", "two", "²", "1" * 5_000),
    "NEXUS_EXPORTS_TO": ("exports", "./exports", "s3://", "s3:///"),
    "NEXUS_EXPORTS_KEEP_DAYS": ("", "0", "3651", "a week"),
    "NEXUS_LOG_LEVEL": ("loud",),
    "NEXUS_LOG_FORMAT": ("xml",),
    "NEXUS_CLOCK_SYNCHRONISED": ("yes",),
    "NEXUS_SITE": ("acme", "acme/", "a/b/c"),
    "NEXUS_CONTROL_URL": ("control", "http://h:99999", "ftp://h"),
    "NEXUS_DATABASE_URL": ("postgresql://h:x/n", "mysql://h/n"),
    "NEXUS_BROKER_PASSWORD_FILE": ("/nowhere/secret",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_a_variable_can_not_be_is_a_usage_error(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(NexusError) as failed:
        load_settings(environ={name: value}, home=tmp_path)
    assert (failed.value.code, failed.value.exit_code) == ("NX6001", 64)
    assert name in failed.value.message or value in failed.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"http_ports": 3}', "\ufeff{}"])
def test_a_broken_runtime_file_is_named_and_is_no_bug(tmp_path: Path, text: str) -> None:
    (tmp_path / "runtime.json").write_text(text, encoding="utf-8")
    with pytest.raises(NexusError, match=r"runtime\.json is not what nexus wrote") as failed:
        load_settings(environ={}, home=tmp_path)
    assert (failed.value.code, failed.value.exit_code) == ("NX6001", 1)


def test_broken_credentials_are_not_to_be_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text('{"api": []}', encoding="utf-8")
    with pytest.raises(NexusError, match="credentials") as failed:
        load_settings(environ={}, home=tmp_path)
    assert "backup" in failed.value.hint


def test_levels_may_be_shouted(tmp_path: Path) -> None:
    assert load_settings(environ={"NEXUS_LOG_LEVEL": "DEBUG"}, home=tmp_path).log_level == "debug"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NEXUS_CONTROL_URL", "http://user:SECRET@127.0.0.1:1"),
        ("NEXUS_CONTROL_URL", "http://SECRET@127.0.0.1:1"),
        ("NEXUS_CONTROL_URL", "http://user:SECRET@127.0.0.1:1x"),
        ("NEXUS_CONTROL_URL", "ftp://user:SECRET@127.0.0.1:1"),
        ("NEXUS_DATABASE_URL", "mysql://user:SECRET@db/x"),
    ],
)
def test_a_secret_in_an_address_is_not_repeated(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(NexusError) as failed:
        load_settings(environ={name: value}, home=tmp_path)
    error = failed.value
    assert "SECRET" not in f"{error.message} {error.cause} {error.hint}"
    assert (error.code, error.exit_code) == ("NX6001", 64)


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://u:p%40ss@db:5433/x?sslmode=require", "postgresql://u@db:5433/x?sslmode=require", "p@ss"),
        ("postgresql://u@db/x", "postgresql://u@db/x", "of-the-file"),
        ("postgres://u:@[::1]:5432/x", "postgres://u@[::1]:5432/x", "of-the-file"),
        ("postgresql://u@h/x?password=a%20b", "postgresql://u@h/x", "a b"),
        ("postgresql://h/x?user=u&password=p&sslmode=require", "postgresql://h/x?user=u&sslmode=require", "p"),
    ],
)
def test_a_database_url_is_kept_without_its_password(tmp_path: Path, url: str, shown: str, password: str) -> None:
    (tmp_path / "credentials.json").write_text('{"database": {"nexus": "of-the-file"}}')
    settings = load_settings(environ={"NEXUS_DATABASE_URL": url}, home=tmp_path)
    assert (settings.database_url, settings.database_password) == (shown, password)
    over = load_settings(environ={"NEXUS_DATABASE_URL": url, "NEXUS_DATABASE_PASSWORD": "wins"}, home=tmp_path)
    assert over.database_password == "wins"


@pytest.mark.parametrize(
    ("text", "trust"),
    [("", "auto"), ("auto", "auto"), ("required", "required"), ("1", "1"), ("0", "0")],
)
def test_who_vouches_for_the_clock(tmp_path: Path, text: str, trust: str) -> None:
    assert load_settings(environ={"NEXUS_CLOCK_SYNCHRONISED": text}, home=tmp_path).clock_synchronised == trust
    assert load_settings(environ={}, home=tmp_path).clock_synchronised == "auto"


def _runtime(folder: Path) -> Path:
    (folder / ".nexus").mkdir(parents=True)
    (folder / ".nexus" / "runtime.json").write_text("{}", encoding="utf-8")
    return folder / ".nexus"


def test_the_runtime_is_found_from_a_folder_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = _runtime(tmp_path / "plant")
    below = tmp_path / "plant" / "areas" / "packaging"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert home_folder({}) == home
    assert home_folder({"NEXUS_HOME": "x"}) == Path("x")
    assert home_here({}) == Path(".nexus")
    monkeypatch.chdir(tmp_path / "plant")
    assert home_folder({}) == Path(".nexus"), "as it is shown to people"
    (below / ".nexus").mkdir()
    monkeypatch.chdir(below)
    assert home_folder({}) == home, "an empty folder is no runtime"


def test_a_sites_own_runtime_goes_before_that_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = _runtime(tmp_path / "here"), _runtime(tmp_path / "there")
    (there.parent / "sites").mkdir()
    monkeypatch.chdir(here.parent)
    token = look_from.set(Path("../there/sites"))
    try:
        assert home_folder({}).resolve() == there
        shutil.rmtree(there)
        assert home_folder({}) == Path(".nexus")
    finally:
        look_from.reset(token)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives folders away")
def test_a_strangers_runtime_above_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = _runtime(tmp_path)
    (tmp_path / "mine").mkdir()
    os.chown(home, 4711, 4711)
    monkeypatch.chdir(tmp_path / "mine")
    assert home_folder({}) == Path(".nexus")
    os.chown(tmp_path / "mine", 4711, 4711)
    assert home_folder({}) == home, "root in the folder of its owner"


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("postgresql://me@a:5432,b:5433/x?target_session_attrs=read-write", None),
        ("postgresql://me@[::1]:5433/x", None),
        ("postgresql://me@/x?host=/run/pg&port=5433", None),
        ("postgresql://me@db/x?port=25434", "postgresql://me@db:25434/x"),
        ("postgresql://me@db/x?port=25434&sslmode=require", "postgresql://me@db:25434/x?sslmode=require"),
    ],
)
def test_a_database_may_have_several_hosts_and_its_port_in_the_query(
    tmp_path: Path, url: str, becomes: str | None
) -> None:
    settings = load_settings(environ={"NEXUS_DATABASE_URL": url}, home=tmp_path)
    assert settings.database_url == (becomes or url)


@pytest.mark.parametrize("url", ["postgresql://me@a:1,b:x/n", "postgresql://me@a:0/n", "postgresql://me@a:99999/n"])
def test_a_port_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(NexusError, match="not an address"):
        load_settings(environ={"NEXUS_DATABASE_URL": url}, home=tmp_path)


def test_an_odd_password_in_an_address_is_told_how_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(NexusError) as caught:
        load_settings(environ={"NEXUS_DATABASE_URL": "postgresql://me:p@:/?#%&@localhost/x"}, home=tmp_path)
    assert "NEXUS_DATABASE_PASSWORD" in caught.value.hint and "p@:" not in f"{caught.value.message}{caught.value.cause}"


def test_certificates_of_ours(tmp_path: Path) -> None:
    names = ("BROKER_CA", "BROKER_CERT", "BROKER_KEY", "DATABASE_CA", "DATABASE_CERT", "DATABASE_KEY")
    settings = load_settings(environ={f"NEXUS_{name}": f"/{name}" for name in names}, home=tmp_path)
    assert all(getattr(settings, name.lower()) == f"/{name}" for name in names)


def test_a_secret_file_that_is_not_there_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(NexusError) as caught:
        load_settings(environ={"NEXUS_CONTROL_TOKEN_FILE": str(tmp_path / "none")}, home=tmp_path)
    assert (caught.value.code, caught.value.hint) == ("NX6001", "NEXUS_CONTROL_TOKEN_FILE names it")


def test_where_exports_are(tmp_path: Path) -> None:
    assert load_settings(environ={}, home=tmp_path).exports == ExportPlace()
    (tmp_path / "secret").write_text("minio123\n")
    given = {
        "NEXUS_EXPORTS_TO": "s3://acme-exports/chicago",
        "NEXUS_EXPORTS_KEEP_DAYS": "30",
        "NEXUS_EXPORTS_ENDPOINT": "https://minio.acme.example:9000",
        "NEXUS_EXPORTS_USER": "nexus",
        "NEXUS_EXPORTS_PASSWORD_FILE": str(tmp_path / "secret"),
    }
    found = load_settings(environ=given, home=tmp_path).exports
    assert (found.to, found.keep_days, found.user, found.password) == (
        given["NEXUS_EXPORTS_TO"],
        30,
        "nexus",
        "minio123",
    )
    assert "minio123" not in repr(found)
