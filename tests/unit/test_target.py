"""Which database, and how libpq is told to reach it."""

from __future__ import annotations

from pathlib import Path

import certifi
import psycopg
import pytest

from todo_cli.database.target import (
    Target,
    checked_url,
    chosen_direct_url,
    chosen_url,
    connection_parameters,
    direct_url,
    pooled_url,
)
from todo_cli.errors import InvalidInput

DIRECT = "postgresql://u:p@ep-a-b-12.eu-central-1.aws.neon.tech/db?sslmode=require"
POOLED = "postgresql://u:p@ep-a-b-12-pooler.eu-central-1.aws.neon.tech/db?sslmode=require"
SECRET = "hunter2secret"


class TestChoice:
    def test_the_flag_goes_before_the_variables(self) -> None:
        environ = {"DATABASE_URL": "postgresql:///b", "TODO_DATABASE_URL": "postgresql:///a"}
        assert chosen_url("postgresql:///c", environ) == ("postgresql:///c", "--database-url")
        assert chosen_url(None, environ) == ("postgresql:///a", "TODO_DATABASE_URL")
        environ["TODO_DATABASE_URL"] = ""
        assert chosen_url(None, environ) == ("postgresql:///b", "DATABASE_URL")
        assert chosen_url(None, {}) is None

    def test_unpooled_urls_are_for_administration_and_go_first_there(self) -> None:
        environ = {
            "TODO_DATABASE_URL": "postgresql:///a",
            "DATABASE_URL_UNPOOLED": "postgresql:///d",
        }
        assert chosen_url(None, environ) == ("postgresql:///a", "TODO_DATABASE_URL")
        assert chosen_direct_url(None, environ) == ("postgresql:///d", "DATABASE_URL_UNPOOLED")
        environ["TODO_DATABASE_URL_UNPOOLED"] = "postgresql:///e"
        assert chosen_direct_url(None, environ) == ("postgresql:///e", "TODO_DATABASE_URL_UNPOOLED")
        assert chosen_direct_url(None, {"DATABASE_URL": DIRECT}) == (DIRECT, "DATABASE_URL")
        assert chosen_direct_url(POOLED, environ) == (POOLED, "--database-url")


class TestPooledAndDirect:
    def test_each_is_worked_out_from_the_other(self) -> None:
        assert pooled_url(DIRECT) == POOLED
        assert direct_url(POOLED) == DIRECT
        assert pooled_url(POOLED) == POOLED
        assert direct_url(DIRECT) == DIRECT

    def test_user_password_port_and_options_stay(self) -> None:
        url = "postgres://u%40x:p%2Fw@ep-a-12-pooler.c-2.us-east-2.aws.neon.tech:5433/d%20b?a=b%26c"
        assert direct_url(url) == url.replace("-pooler", "")
        assert pooled_url(direct_url(url)) == url

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://u:p@localhost/db",
            "postgresql://u:p@ep-a.example.org/db",
            "postgresql://u:p@console.neon.tech/db",
            f"{DIRECT}&hostaddr=127.0.0.1",
            f"{DIRECT}&options=-c%20geqo%3Doff",
            "postgresql:///db",
        ],
    )
    def test_other_hosts_stay_as_they_are(self, url: str) -> None:
        assert pooled_url(url) == url
        assert direct_url(url) == url


class TestTls:
    @pytest.mark.parametrize("host", ["db.example.org", "10.0.0.5", "ep-a.x.neon.tech", "db"])
    @pytest.mark.parametrize("given", ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer"])
    def test_another_machine_is_reached_by_tls_only(self, host: str, given: str) -> None:
        assert connection_parameters(f"postgresql://u@{host}/d?{given}")["sslmode"] == "require"

    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "", "%2Frun%2Fpostgresql"]
    )
    def test_this_machine_as_libpq_likes(self, host: str) -> None:
        parameters = connection_parameters(f"postgresql://u@{host}/d")
        assert parameters["sslmode"] == "prefer"
        assert "sslnegotiation" not in parameters

    def test_what_is_stricter_stays(self) -> None:
        url = "postgresql://u@db.example.org/d?sslmode=verify-full&sslrootcert=/my/roots.pem"
        parameters = connection_parameters(url)
        assert parameters["sslmode"] == "verify-full"
        assert parameters["sslrootcert"] == "/my/roots.pem"

    def test_a_stricter_variable_of_libpq_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        assert connection_parameters("postgresql://u@db.example.org/d")["sslmode"] == "verify-full"

    @pytest.mark.parametrize("options", ["sslmode=verify-full", "sslrootcert=system"])
    def test_certificates_are_checked_by_certifis_roots(self, options: str) -> None:
        parameters = connection_parameters(f"postgresql://u@ep-a.x.neon.tech/d?{options}")
        assert parameters["sslmode"] == "verify-full"
        assert parameters["sslrootcert"] == certifi.where()

    def test_but_not_where_libpq_finds_its_own(self, empty_home: Path) -> None:
        roots = empty_home / ".postgresql" / "root.crt"
        roots.parent.mkdir()
        roots.write_text("a private authority")
        parameters = connection_parameters("postgresql://u@db.example.org/d?sslmode=verify-full")
        assert "sslrootcert" not in parameters

    def test_neon_takes_tls_without_being_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert connection_parameters(DIRECT)["sslnegotiation"] == "direct"
        given = connection_parameters(f"{DIRECT}&sslnegotiation=postgres")
        assert given["sslnegotiation"] == "postgres"
        assert "sslnegotiation" not in connection_parameters("postgresql://u@db.example.org/d")
        monkeypatch.setattr(psycopg.pq, "version", lambda: 160009)
        assert "sslnegotiation" not in connection_parameters(DIRECT)

    def test_channel_binding_goes_through_to_libpq(self) -> None:
        parameters = connection_parameters(f"{DIRECT}&channel_binding=require")
        assert parameters["channel_binding"] == "require"


def test_the_server_sees_who_is_there() -> None:
    assert connection_parameters(DIRECT)["application_name"] == "todo"
    named = connection_parameters(f"{DIRECT}&application_name=mine")
    assert named["application_name"] == "mine"


def test_a_connection_that_went_silent_is_noticed() -> None:
    parameters = connection_parameters(DIRECT)
    assert int(parameters["tcp_user_timeout"]) == 10_000
    assert int(parameters["keepalives_idle"]) == 10


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"mysql://u:{SECRET}@h/d", "the scheme 'mysql'; only postgresql://"),
        (f"host=h password={SECRET}", "no scheme"),
        (f"postgresql://u:{SECRET}@h:99999/d", "an impossible port"),
        (f"postgresql://u:{SECRET}@h:port/d", "an impossible port"),
        (f"postgresql://u:{SECRET}@h:0/d", "an impossible port"),
        (f"postgresql://u:{SECRET}@[h/d", "its host cannot be"),
        (f"postgresql://u:{SECRET}@h/d?sslmod=require", "the unknown option 'sslmod'"),
        (f"postgresql://u:{SECRET}@h/d?sslmode", "cannot be read"),
        (f"postgresql://u:{SECRET}@h/d?sslmode=yes", "an impossible sslmode"),
        (f"postgresql://u:{SECRET}@h/d?connect_timeout=soon", "a connect_timeout"),
        (f"postgresql://u:{SECRET}@/d?channel_binding=require", "no TLS to bind to"),
        (
            f"postgresql://u:{SECRET}@localhost/d?sslmode=disable&channel_binding=require",
            "no TLS to bind to",
        ),
        (f"postgresql://u:{SECRET}@localhost/d?sslnegotiation=direct", "without an sslmode"),
        (f"postgresql://u:{SECRET}@rest@h/d", "not quoted"),
        (f"postgresql://u:{SECRET}?rest@h/d", "not quoted"),
        (f"postgresql://u:{SECRET}#rest@h/d", "not quoted"),
        (f"postgresql://u:{SECRET}/rest@h/d", "not quoted"),
        (f"postgresql://u:{SECRET}%zz@h/d", "a % that is not followed"),
    ],
)
def test_a_url_that_is_wrong_is_told_in_one_line(url: str, words: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        checked_url(url, "TODO_DATABASE_URL")
    error = raised.value
    assert error.message.startswith("TODO_DATABASE_URL ")
    assert words in error.message
    assert "\n" not in error.message
    assert error.__cause__ is None
    for secret in (SECRET, "rest"):
        assert secret not in f"{error.message} {error.hint}"


@pytest.mark.parametrize("url", [DIRECT, POOLED, "postgres:///db", "postgresql://localhost"])
def test_a_url_that_is_right_stays_as_it_is(url: str) -> None:
    assert checked_url(url, "--database-url") == url


@pytest.mark.parametrize(
    ("url", "label", "name"),
    [
        ("postgresql://u:p@h.example/d", "h.example/d", "h.example:5432/d"),
        ("postgresql://H.example:6000/d", "h.example/d", "h.example:6000/d"),
        ("postgresql://h.example/d?host=other.example", "other.example/d", "other.example:5432/d"),
        ("postgresql:///d?host=other.example", "other.example/d", "other.example:5432/d"),
        ("postgresql://h.example:5432/d?port=6543", "h.example/d", "h.example:6543/d"),
        ("postgresql:///d?host=/run/db", "the local socket/d", "/run/db:5432/d"),
        (
            "postgresql://h.example/d?hostaddr=192.0.2.1",
            "h.example@192.0.2.1/d",
            "h.example@192.0.2.1:5432/d",
        ),
    ],
)
def test_a_database_is_named_by_where_libpq_connects_to(url: str, label: str, name: str) -> None:
    """A wrong label announces a purge of another database; a wrong name sends a token elsewhere."""
    found = Target(url, "--database-url")
    assert (found.label, found.name) == (label, name)


def test_a_variable_of_libpq_names_the_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "prod.example")
    assert Target("postgresql:///d", "--database-url").label == "prod.example/d"


def test_a_pinned_address_elsewhere_is_not_this_machine() -> None:
    parameters = connection_parameters("postgresql://localhost/d?hostaddr=192.0.2.1")
    assert parameters["sslmode"] == "require"
