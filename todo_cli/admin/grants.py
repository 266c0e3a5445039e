"""Log-in roles for people: members of `todo_app` with a password.

A person with the URL of such a role can send SQL. The policies limit it to the rows of an account
for which the person has a session token. The role owns nothing.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from todo_cli.admin.connect import Connection, connected
from todo_cli.config import DEFAULT_TIMEOUT_SECONDS
from todo_cli.database import target
from todo_cli.database.session import APP_ROLE
from todo_cli.errors import InvalidInput, RoleRefused, SchemaBehind

MARK = "todo: for people"
"""The comment on the roles that this module creates. It deletes no other roles."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OWNERS = {
    *("user", "password", "passfile", "sslpassword", "sslkey", "sslcert", "sslcertmode"),
    "require_auth",
}
"""Options of a URL that say who connects. libpq prefers them to the user before the host."""

_PASSWORD_BYTES = 24
"""192 random bits; Neon asks for 60 or more."""

_STATE = """
select
    pg_catalog.to_regrole(%(app)s) is not null
        and pg_catalog.to_regnamespace('todo_auth') is not null as has_app,
    pg_catalog.to_regrole(%(name)s) is not null as exists,
    pg_catalog.shobj_description(pg_catalog.to_regrole(%(name)s), 'pg_authid') = %(mark)s as is_ours
"""
_MAY_CONNECT = """
select pg_catalog.has_database_privilege(%(name)s, pg_catalog.current_database(), 'connect'),
    pg_catalog.current_database()
"""
_IS_BOUND = """
select not (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
from pg_catalog.pg_roles where rolname = %(name)s
"""
_GRANTED = """
select rolname::text from pg_catalog.pg_roles
where pg_catalog.shobj_description(oid, 'pg_authid') = %(mark)s order by rolname
"""
_OID = "select pg_catalog.to_regrole(%(name)s)::oid"
_END_CONNECTIONS = "select pg_terminate_backend(pid) from pg_stat_activity where usesysid = %(oid)s"


def grant(url: str, name: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> str:
    """Create a role for people. Returns the database's URL with its name and password.

    Raises:
        InvalidInput: the name is not valid for a role.
        RoleRefused: the role exists, or could bypass row-level security.
        TodoError: the database refused; nothing was created.
    """
    _check(name)
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    with connected(url, timeout_seconds=timeout_seconds) as connection, connection.transaction():
        exists, _ = _state(connection, name)
        if exists:
            raise RoleRefused(f"The role {name} already exists.", reason="role_exists", name=name)
        _make(connection, name, _as_sent(connection, url, name, password))
    return _url_for(url, name, password)


def revoke(url: str, name: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
    """Delete a role that `grant` created, and end its connections.

    NOLOGIN is committed first, so that nobody reconnects while the role is deleted.

    Raises:
        RoleRefused: there is no such role, or `grant` did not create it.
        TodoError: the database refused. The role still exists, perhaps without the right to log
            in. Another call does the rest.
    """
    _check(name)
    with connected(url, timeout_seconds=timeout_seconds) as connection:
        with connection.transaction():
            exists, is_ours = _state(connection, name)
            (oid,) = connection.execute(_OID, {"name": name}).fetchone() or (None,)
        if not exists or not is_ours:
            raise RoleRefused(f"There is no role {name} for people.", reason="no_such_role")
        role, app = sql.Identifier(name), sql.Identifier(APP_ROLE)
        is_superuser = connection.info.parameter_status("is_superuser") == "on"
        with connection.transaction():
            if not is_superuser:
                # Only a member may end its connections and drop its objects.
                connection.execute(sql.SQL("grant {} to current_user").format(role))
            connection.execute(sql.SQL("alter role {} nologin").format(role))
            connection.execute(sql.SQL("revoke {} from {}").format(app, role))
        with connection.transaction():
            connection.execute(_END_CONNECTIONS, {"oid": oid})
        with connection.transaction():
            connection.execute(sql.SQL("drop owned by {}").format(role))
            connection.execute(sql.SQL("drop role {}").format(role))
        # Ends connections that were starting. Without superuser this may be refused, since nobody
        # can be a member of a deleted role.
        with (
            contextlib.suppress(psycopg.errors.InsufficientPrivilege),
            connection.transaction(),
        ):
            connection.execute(_END_CONNECTIONS, {"oid": oid})


def granted(url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> list[str]:
    """The names of the roles that `grant` created on this server, in alphabetical order.

    Raises:
        TodoError: the database cannot be reached, or refused.
    """
    with connected(url, timeout_seconds=timeout_seconds) as connection, connection.transaction():
        return [name for (name,) in connection.execute(_GRANTED, {"mark": MARK})]


def _make(connection: Connection, name: str, password: str) -> None:
    role = sql.Identifier(name)
    for statement in (
        "create role {} login inherit password {}",
        "grant {app} to {}",
        "comment on role {} is {mark}",
    ):
        connection.execute(
            sql.SQL(statement).format(
                role, sql.Literal(password), app=sql.Identifier(APP_ROLE), mark=sql.Literal(MARK)
            )
        )
    may_connect, database = connection.execute(_MAY_CONNECT, {"name": name}).fetchone() or (0, "")
    if not may_connect:
        connect = sql.SQL("grant connect on database {} to {}")
        connection.execute(connect.format(sql.Identifier(str(database)), role))
    bound = connection.execute(_IS_BOUND, {"name": name}).fetchone()
    if bound != (True,):
        raise RoleRefused(f"The role {name} could bypass row-level security. It was not created.")


def _as_sent(connection: psycopg.Connection[Any], url: str, name: str, password: str) -> str:
    """The password for the statement: a SCRAM verifier, so that no log has the password.

    Neon accepts only plain passwords, since its proxy needs them.
    """
    if target.is_neon(url):
        return password
    pgconn = connection.pgconn
    return pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()


def _state(connection: Connection, name: str) -> tuple[bool, bool]:
    """Whether the role exists, and whether `grant` created it."""
    values = {"app": APP_ROLE, "name": name, "mark": MARK}
    row = connection.execute(_STATE, values).fetchone()
    assert row is not None
    if not row[0]:
        raise SchemaBehind("The database's schema is missing or behind.")
    return bool(row[1]), bool(row[2])


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith("pg_") or name == APP_ROLE:
        raise InvalidInput(
            "That cannot be the name of a role for people.", reason="invalid_role_name"
        )


def _url_for(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    options = [word for word in parts.query.split("&") if not _is_owners(word)]
    return urlunsplit(
        parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}", query="&".join(options))
    )


def _is_owners(option: str) -> bool:
    return unquote(option.partition("=")[0]) in _OWNERS
