"""What the administrators' tests share: an owner as Neon never makes one, who no policy spares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.conftest import Postgres
from todo_cli.admin import migrate

OWNER = "plain_owner"
_names = itertools.count(1)


@pytest.fixture(scope="session")
def owner(postgres: Postgres, template: str) -> str:
    """A role with CREATEROLE and CREATEDB, no superuser, without BYPASSRLS."""
    postgres.execute(f"create role {OWNER} login createrole createdb nobypassrls")
    postgres.execute(f"grant todo_app to {OWNER} with admin option")
    # As a role made in SQL may look on after them; whoever lacks it sees less, and is told.
    return OWNER


@pytest.fixture
def owned_url(postgres: Postgres, owner: str) -> Iterator[str]:
    """The URL of a migrated database, its plain owner's: row-level security binds them."""
    name = f"owned_{next(_names)}"
    postgres.execute(f"create database {name} owner {owner}")
    url = Postgres(postgres.socket_dir, owner).url(name)
    migrate.upgrade(url)
    yield url
    postgres.execute(f"drop database {name} with (force)")


@pytest.fixture
def empty_owned_url(postgres: Postgres, owner: str) -> Iterator[str]:
    """The URL of an empty database, its plain owner's."""
    name = f"owned_{next(_names)}"
    postgres.execute(f"create database {name} owner {owner}")
    yield Postgres(postgres.socket_dir, owner).url(name)
    postgres.execute(f"drop database {name} with (force)")
