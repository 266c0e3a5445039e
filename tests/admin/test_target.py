"""Which database the administrators' commands take, and what is shown of it."""

from __future__ import annotations

import pytest

from tests.conftest import Cli
from todo_cli.admin.target import administrative_target, direct, is_pooled, masked
from todo_cli.database.target import Target

POOLED = (
    "postgresql://ann:pa%40ss@ep-red-1-pooler.eu-central-1.aws.neon.tech:5432/app?sslmode=require"
)


@pytest.fixture
def cli(cli_here: Cli) -> Cli:
    """In this process alone: no agent answers a `todo db` command."""
    return cli_here


def test_the_unpooled_variables_go_before_the_others_and_the_option_before_all() -> None:
    environ = {
        name: f"postgresql://h/{name.lower()}"
        for name in (
            "TODO_DATABASE_URL_UNPOOLED",
            "DATABASE_URL_UNPOOLED",
            "TODO_DATABASE_URL",
            "DATABASE_URL",
        )
    }
    for name in list(environ):
        target = administrative_target(None, environ)
        assert target is not None and target.source == name
        del environ[name]
    assert administrative_target(None, environ) is None
    flagged = administrative_target(
        "postgresql://h/flag", {"DATABASE_URL_UNPOOLED": "postgres://x/y"}
    )
    assert flagged is not None and flagged.source == "--database-url"


def test_the_pooled_host_is_exchanged_for_the_direct_one() -> None:
    assert is_pooled(POOLED)
    target = direct(Target(POOLED, "DATABASE_URL"))
    assert target.url == POOLED.replace("-pooler", "")
    assert direct(target) == target
    other = Target("postgresql://my-pooler.example.org/app", "DATABASE_URL")
    assert direct(other) == other


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@h:1/d", "postgresql://ann:****@h:1/d"),
        ("postgresql://ann@h/d", "postgresql://ann@h/d"),
        ("postgresql://h/d?user=a&password=secret", "postgresql://h/d?user=a&password=****"),
        (
            "postgresql://h/d?sslkey=k&sslpassword=secret",
            "postgresql://h/d?sslkey=k&sslpassword=****",
        ),
        ("postgresql://ann:p@ss:w@h/d", "postgresql://ann:****@h/d"),
        ("postgresql://ann@/d?host=%2Ftmp%2Fx", "postgresql://ann@/d?host=%2Ftmp%2Fx"),
    ],
)
def test_a_password_is_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_the_url_is_printed_without_its_password_unless_asked_for(cli: Cli) -> None:
    environ = {"DATABASE_URL_UNPOOLED": "postgresql://ann:secret@h/d"}
    assert cli("db", "url", environ=environ).stdout == "postgresql://ann:****@h/d\n"
    shown = cli("db", "url", "--show-password", environ=environ)
    assert shown.stdout == "postgresql://ann:secret@h/d\n"
    pooled = cli("db", "url", environ={"DATABASE_URL_UNPOOLED": POOLED})
    assert "-pooler" not in pooled.stdout
    assert "direct" in pooled.stderr
