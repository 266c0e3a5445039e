"""No parameter of libpq's lowers TLS, gives a password away, or confuses two databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import pq

from todo_cli.admin.grants import _url_for
from todo_cli.admin.target import masked
from todo_cli.database import url_options
from todo_cli.database.target import Target, checked_url, connection_parameters, secret_options
from todo_cli.errors import InvalidInput

SECRET = "hunter2secret"
REMOTE = f"postgresql://u:{SECRET}@db.example/d"
KNOWN_TO_LIBPQ = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
LATER = {"servicefile"}
"""Parameters of a libpq that is newer than the one here."""


def test_every_parameter_of_libpq_is_decided() -> None:
    """A new libpq may bring a parameter: decide in `url_options` what it may do in a URL."""
    decided = url_options.TAKEN | set(url_options.MADE_SAFE) | set(url_options.REFUSED)
    assert decided - LATER == KNOWN_TO_LIBPQ
    assert not url_options.TAKEN & set(url_options.REFUSED)
    assert not set(url_options.MADE_SAFE) & set(url_options.REFUSED)


@pytest.mark.parametrize("name", sorted(set(url_options.REFUSED) & KNOWN_TO_LIBPQ))
def test_what_is_refused_is_named_without_its_value(name: str) -> None:
    with pytest.raises(InvalidInput, match=name) as refused:
        checked_url(f"{REMOTE}?{name}={SECRET}", "TODO_DATABASE_URL")
    assert refused.value.hint
    assert SECRET not in f"{refused.value.message}{refused.value.hint}"


def test_a_percent_encoded_name_is_the_same_name() -> None:
    with pytest.raises(InvalidInput, match="service"):
        checked_url(f"{REMOTE}?%73ervice=x", "TODO_DATABASE_URL")


class TestAnotherMachine:
    @pytest.mark.parametrize("variable", ["", "password", "none", "md5"])
    def test_only_the_url_allows_less_than_scram(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGREQUIREAUTH", variable)
        assert connection_parameters(REMOTE)["require_auth"] == "scram-sha-256"
        allowed = connection_parameters(f"{REMOTE}?require_auth=md5")
        assert allowed["require_auth"] == "md5"
        assert connection_parameters(f"{REMOTE}?require_auth=")["require_auth"] == "scram-sha-256"

    def test_a_certificate_takes_the_place_of_a_password_where_the_server_has_one_too(
        self,
    ) -> None:
        url = f"{REMOTE}?sslcert=c&sslkey=k&sslmode="
        found = {mode: connection_parameters(url + mode)["require_auth"] for mode in MODES}
        assert found == {"require": "scram-sha-256", "verify-full": "scram-sha-256,none"}

    @pytest.mark.parametrize("options", ["gssencmode=prefer", "gssencmode=require", "sslsni=0"])
    def test_there_is_tls_with_the_hosts_name(self, options: str) -> None:
        parameters = connection_parameters(f"{REMOTE}?{options}")
        assert (parameters["gssencmode"], parameters["sslsni"]) == ("disable", "1")

    @pytest.mark.parametrize("value", ["TLSv1", "TLSv1.1", ""])
    def test_outdated_tls_is_not_taken(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        given = connection_parameters(f"{REMOTE}?ssl_min_protocol_version={value}")
        monkeypatch.setenv("PGSSLMINPROTOCOLVERSION", value)
        for parameters in (given, connection_parameters(REMOTE)):
            assert parameters["ssl_min_protocol_version"] == "TLSv1.2"

    @pytest.mark.parametrize("variable", ["PGSSLMODE", "PGGSSENCMODE", "PGSSLSNI"])
    def test_a_variable_lowers_nothing(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = connection_parameters(REMOTE)
        monkeypatch.setenv(variable, "0" if variable == "PGSSLSNI" else "prefer")
        assert connection_parameters(REMOTE) == before

    @pytest.mark.parametrize("first", ["localhost", "/run/db", "%40name", "", "127.0.0.1"])
    def test_one_of_several_hosts_makes_all_of_them_remote(self, first: str) -> None:
        for url in (
            f"postgresql:///d?host={first},db.example",
            f"postgresql:///d?host=db.example,{first}",
            f"postgresql:///d?host={first},{first}&hostaddr=127.0.0.1,192.0.2.1",
        ):
            parameters = connection_parameters(url)
            found = (parameters["sslmode"], parameters["require_auth"])
            assert found == ("require", "scram-sha-256"), url
            assert "socket" not in Target(url, "").label


MODES = ("require", "verify-full")


@pytest.mark.parametrize("url", ["postgresql:///d?host=/run/db", "postgresql://u@localhost/d"])
def test_this_machine_may_trust(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGREQUIREAUTH", "scram-sha-256")
    assert connection_parameters(url)["require_auth"] == url_options.ANY_AUTHENTICATION


class TestWhere:
    def test_a_service_of_the_environment_is_read_and_names_the_database(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "services"
        file.write_text(
            "[one]\nhost=one.example\ndbname=a\nsslmode=verify-full\n[two]\nhost=two.example\n"
            "dbname=a\nsslmode=disable\n"
        )
        monkeypatch.setenv("PGSERVICEFILE", str(file))
        found = {}
        for service in ("one", "two"):
            monkeypatch.setenv("PGSERVICE", service)
            parameters = connection_parameters("postgresql://")
            found[Target("postgresql://", "").name] = parameters["host"], parameters["sslmode"]
        assert found == {
            "one.example:5432/a": ("one.example", "verify-full"),
            "two.example:5432/a": ("two.example", "require"),
        }

    @pytest.mark.parametrize("url", ["postgresql://u@h.example/d", "postgresql:///d?host=/run/db"])
    def test_an_address_of_the_environment_is_not_that_of_the_urls_host(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = Target(url, "").name, connection_parameters(url)
        monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
        monkeypatch.setenv("PGPORT", "1")
        assert (Target(url, "").name, connection_parameters(url)) == before
        assert connection_parameters(url)["hostaddr"] == ""

    def test_libpq_is_left_nothing_to_look_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGHOST", "h.example")
        monkeypatch.setenv("PGDATABASE", "d")
        parameters = connection_parameters("postgresql://u@")
        assert {name: parameters[name] for name in url_options.WHERE} == {
            "host": "h.example",
            "hostaddr": "",
            "port": "5432",
            "dbname": "d",
            "user": "u",
        }

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (
                "postgresql://192.0.2.1/d?options=endpoint%3Dep-a",
                "postgresql://192.0.2.1/d?options=endpoint%3Dep-b",
            ),
            ("postgresql:///d?host=/x:5432/y", "postgresql:///y:5432%2Fd?host=/x"),
            ("postgresql://a%401.2.3.4/d", "postgresql://a/d?hostaddr=1.2.3.4"),
            ("postgresql://h.example/d?port=1", "postgresql://h.example:2/d"),
            ("postgresql:///d?host=a,b", "postgresql:///d?host=a"),
            ("postgresql://ann@h.example", "postgresql://bob@h.example"),
        ],
    )
    def test_two_databases_have_two_names(self, one: str, other: str) -> None:
        assert Target(one, "").name != Target(other, "").name


class TestShown:
    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://u:pa#{SECRET}@h/d",
            f"postgresql://h/d?user=u&password=pa#{SECRET}",
            f"postgresql://u:{SECRET}@h/d#",
            f"postgresql://u:pa {SECRET}@h/d",
            f"postgresql://u:pa\n{SECRET}@h/d",
            f"postgresql://u:pa\x1b{SECRET}@h/d",
            f"postgresql://u:{SECRET}@v:{SECRET}@h/d",
        ],
    )
    def test_what_is_read_in_two_ways_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            checked_url(url, "TODO_DATABASE_URL")
        assert "%" in (refused.value.hint or "")
        assert SECRET not in f"{refused.value.message}{refused.value.hint}"

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://u:{SECRET}@h/d?password={SECRET}&sslmode=require",
            f"postgresql://h/d?user=u&pass%77ord={SECRET}",
            f"postgresql://u:%23{SECRET}@h/d?sslpassword={SECRET}&application_name=a+b",
            f"postgresql://ü:ä{SECRET}@h/d",
            f"postgresql://u:{SECRET}:more@h/d",
        ],
    )
    def test_no_password_is_shown_or_handed_on(self, url: str) -> None:
        assert checked_url(url, "") == url
        assert SECRET not in masked(url)
        granted = _url_for(url, "ada", "new")
        assert SECRET not in granted
        assert connection_parameters(granted)["user"] == "ada"
        assert connection_parameters(granted)["password"] == "new"

    def test_what_is_no_secret_stays_as_it_was_written(self) -> None:
        url = "postgresql://u@h/d?application_name=a+b%2Fc&password=x"
        assert masked(url) == "postgresql://u@h/d?application_name=a+b%2Fc&password=****"

    def test_what_libpq_hides_is_hidden(self) -> None:
        assert {"password", "sslpassword"} <= secret_options()
