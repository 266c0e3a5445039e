"""Signing in, decided inside the database: the door, the salts, the round trips, the retries."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.conftest import Postgres
from tests.support.proxy import UnixUpstream, WireProxy
from todo_cli.accounts import Accounts, derive_key, new_token
from todo_cli.admin.connect import connected
from todo_cli.admin.unlock import Unlocked, unlock
from todo_cli.database.session import Call, Database
from todo_cli.errors import AddressTaken, NotLoggedIn, TooManyFailures, WrongPassword

PASSWORD = "correct horse"
ADA = "ada@example.org"


@dataclass
class Place:
    """One database, and ways into it."""

    url: str
    open_database: Callable[..., Database]

    def accounts(self, token: str | None = None) -> Accounts:
        return Accounts(self.open_database(self.url, token), user_agent="todo on a test")

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def call(self, sql: str, **values: object) -> list[dict[str, Any]]:
        return self.open_database(self.url, None).call(Call(sql, values), as_nobody=True)


@pytest.fixture
def place(database_url: str, open_database: Callable[..., Database]) -> Place:
    return Place(database_url, open_database)


@pytest.fixture
def ada(place: Place) -> str:
    """Ada's first session token."""
    return place.accounts().register(ADA, "Ada", PASSWORD)[1]


def fail(place: Place, email: str, times: int) -> None:
    """Wrong keys, without the tenth of a second that deriving each one costs."""
    database = place.open_database(place.url, None)
    for _ in range(times):
        values = {"email": email, "key": "0" * 128, "token": new_token()}
        database.call(
            Call("select todo_auth.attempt_sign_in(%(email)s, %(key)s, %(token)s)", values),
            Call("select * from todo_auth.finish_sign_in(%(token)s, 'x')", values),
            as_nobody=True,
        )


def test_a_registered_account_is_what_the_web_application_makes(place: Place) -> None:
    account, token = place.accounts().register("Ada@Example.org", " Ada  Lovelace ", PASSWORD)
    assert (account.email, account.name) == ("ada@example.org", "Ada Lovelace")
    ((user, verified, account_id, provider, stored, kept, days, agent),) = place.execute(
        """
        select u.id, u.email_verified, a.account_id, a.provider_id, a.password, s.token,
            round(extract(epoch from s.expires_at - now()) / 86400), s.user_agent
        from users as u join accounts as a on a.user_id = u.id
        join sessions as s on s.user_id = u.id
        """
    )
    assert (user, verified, account_id, provider) == (
        account.user_id,
        False,
        str(user),
        "credential",
    )
    assert re.fullmatch("[0-9a-f]{32}:[0-9a-f]{128}", stored)
    assert (kept, days, agent) == (token, 7, "todo on a test")


def test_an_address_has_one_account(place: Place, ada: str) -> None:
    with pytest.raises(AddressTaken):
        place.accounts().register("ADA@example.org", "Eve", "another password")
    assert place.execute("select count(*) from users") == [(1,)]


def test_logging_in_makes_another_session(place: Place, ada: str) -> None:
    account, token = place.accounts().log_in("ADA@example.org", PASSWORD)
    assert token != ada
    assert place.accounts(token).current() == account
    listed = place.accounts(token).sessions()
    assert [one.is_current for one in listed] == [True, False]


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(
    place: Place, ada: str, postgres: Postgres
) -> None:
    name = place.url.partition("@/")[2].partition("?")[0]
    answers = []
    for email in (ADA, "nobody@example.org"):
        with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
            url = f"postgresql://todo@{proxy.host}:{proxy.port}/{name}"
            accounts = Accounts(place.open_database(url, None), user_agent="x")
            with pytest.raises(WrongPassword) as caught:
                accounts.log_in(email, "wrong password")
            sizes = [len(message) for message in proxy.server_messages_seen]
        answers.append((caught.value.message, proxy.stats.round_trips, sizes))
    assert answers[0] == answers[1]
    assert answers[0][1] == 2


def test_logging_in_and_changing_the_password_cost_two_round_trips_and_registering_one(
    place: Place, postgres: Postgres
) -> None:
    name = place.url.partition("@/")[2].partition("?")[0]
    counts = []
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        url = f"postgresql://todo@{proxy.host}:{proxy.port}/{name}"

        def counted(token: str | None, work: Callable[[Accounts], Any]) -> Any:
            proxy.stats.reset()
            answer = work(Accounts(place.open_database(url, token), user_agent="x"))
            counts.append(proxy.stats.round_trips)
            return answer

        counted(None, lambda accounts: accounts.register(ADA, "Ada", PASSWORD))
        _, token = counted(None, lambda accounts: accounts.log_in(ADA, PASSWORD))
        counted(token, lambda accounts: accounts.change_password(PASSWORD, "battery staple"))
        counted(token, lambda accounts: accounts.current())
        counted(token, lambda accounts: accounts.log_out())
    assert counts == [1, 2, 2, 1, 1]


def test_no_statement_holds_a_secret(place: Place, postgres: Postgres) -> None:
    """Statements are seen in `pg_stat_activity` and in logs; values are sent beside them."""
    name = place.url.partition("@/")[2].partition("?")[0]
    with WireProxy(upstream=UnixUpstream(postgres.socket_dir)) as proxy:
        url = f"postgresql://todo@{proxy.host}:{proxy.port}/{name}"
        accounts = Accounts(place.open_database(url, None), user_agent="x")
        _, first = accounts.register(ADA, "Ada", PASSWORD)
        _, second = accounts.log_in(ADA, PASSWORD)
        Accounts(place.open_database(url, second), user_agent="x").change_password(
            PASSWORD, "battery staple"
        )
        statements = "\n".join(proxy.stats.queries)
    ((salt, key),) = place.execute("select left(password, 32), right(password, 128) from accounts")
    assert "attempt_sign_in" in statements and "change_password" in statements
    for secret in (PASSWORD, "battery staple", first, second, salt, key, ADA):
        assert secret not in statements


def test_the_salt_of_an_unknown_address_looks_real_and_stays(place: Place, ada: str) -> None:
    def salt(email: str) -> str:
        rows = place.call("select todo_auth.password_salt(%(email)s) as salt", email=email)
        return str(rows[0]["salt"])

    ((stored,),) = place.execute("select left(password, 32) from accounts")
    assert salt(ADA) == salt("ADA@EXAMPLE.ORG") == stored
    assert re.fullmatch("[0-9a-f]{32}", salt("nobody@example.org"))
    assert salt("nobody@example.org") == salt("Nobody@example.org")
    assert salt("nobody@example.org") != salt("someone@example.org")
    # Another database imagines other salts, so that they cannot be told by comparing.
    place.execute("update todo_auth.secrets set value = sha256('other')")
    assert salt(ADA) == stored


def test_ten_failures_close_the_door_also_for_the_right_password(place: Place, ada: str) -> None:
    fail(place, ADA, 9)
    place.accounts().log_in(ADA, PASSWORD)  # a success resets
    fail(place, ADA, 9)
    with pytest.raises(WrongPassword):
        place.accounts().log_in(ADA, "the tenth")
    for password in (PASSWORD, "wrong"):
        with pytest.raises(TooManyFailures) as caught:
            place.accounts().log_in(ADA, password)
        assert re.search(r"closed until \d\d:\d\d UTC", caught.value.message)
    assert place.accounts(ada).current().email == ADA  # a session that is there lives on


def test_the_door_of_an_unknown_address_closes_too(place: Place) -> None:
    fail(place, "nobody@example.org", 10)
    with pytest.raises(TooManyFailures):
        place.accounts().log_in("nobody@example.org", PASSWORD)


def test_a_flood_on_one_address_keeps_no_other_out(place: Place, ada: str) -> None:
    place.accounts().register("bob@example.org", "Bob", PASSWORD)
    fail(place, ADA, 200)
    place.accounts().log_in("bob@example.org", PASSWORD)


def test_the_door_opens_after_15_minutes_and_counts_anew(place: Place, ada: str) -> None:
    fail(place, ADA, 10)
    fail(place, ADA, 5)  # at a closed door: they do not keep it closed
    shift = "update todo_auth.sign_in_attempts set attempted_at = attempted_at - %s::interval"
    place.execute(shift, "14 minutes 50 seconds")
    with pytest.raises(TooManyFailures):
        place.accounts().log_in(ADA, PASSWORD)
    place.execute(shift, "15 seconds")
    fail(place, ADA, 9)
    place.accounts().log_in(ADA, PASSWORD)


def test_failures_far_apart_do_not_close_the_door(place: Place, ada: str) -> None:
    for _ in range(3):
        fail(place, ADA, 5)
        place.execute(
            "update todo_auth.sign_in_attempts set attempted_at = attempted_at - interval '8 min'"
        )
    place.accounts().log_in(ADA, PASSWORD)


def test_no_more_than_ten_of_many_tried_at_once_are_told(place: Place, ada: str) -> None:
    told: list[str] = []
    start = threading.Barrier(24)

    def guess() -> None:
        with psycopg.connect(place.url, autocommit=True) as connection:
            values = {"email": ADA, "key": "0" * 128, "token": new_token()}
            start.wait()
            connection.execute(
                "select todo_auth.attempt_sign_in(%(email)s, %(key)s, %(token)s)", values
            )
            row = connection.execute(
                "select outcome from todo_auth.finish_sign_in(%(token)s, 'x')", values
            ).fetchone()
            assert row is not None
            told.append(row[0])

    threads = [threading.Thread(target=guess) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 24
    assert told.count("wrong") <= 10


def test_an_attempt_in_an_open_transaction_does_not_make_others_wait(
    place: Place, ada: str
) -> None:
    with psycopg.connect(place.url) as idle:
        idle.execute("select todo_auth.attempt_sign_in(%s, %s, %s)", (ADA, "0" * 128, new_token()))
        place.accounts().log_in(ADA, PASSWORD)
        idle.rollback()


def test_what_is_sent_twice_is_done_once(place: Place, ada: str) -> None:
    """As after a lost answer: the same attempt and the same token again."""
    salt = place.call("select todo_auth.password_salt(%(e)s) as salt", e=ADA)[0]["salt"]
    values = {"email": ADA, "key": derive_key(PASSWORD, salt), "token": new_token()}
    calls = (
        Call("select todo_auth.attempt_sign_in(%(email)s, %(key)s, %(token)s)", values),
        Call("select * from todo_auth.finish_sign_in(%(token)s, 'x')", values),
    )
    first, second = (
        place.open_database(place.url, None).call(*calls, as_nobody=True) for _ in range(2)
    )
    assert first == second and first[0]["user_id"] is not None
    assert place.execute("select count(*) from sessions") == [(2,)]


def test_a_session_that_was_ended_does_not_come_back_by_its_token(place: Place, ada: str) -> None:
    _, token = place.accounts().log_in(ADA, PASSWORD)
    place.accounts(token).log_out()
    (row,) = place.call("select * from todo_auth.finish_sign_in(%(t)s, 'x')", t=token)
    assert row["user_id"] is None
    with pytest.raises(NotLoggedIn):
        place.accounts(token).current()


def test_an_attempt_is_good_for_five_minutes(place: Place, ada: str) -> None:
    salt = place.call("select todo_auth.password_salt(%(e)s) as salt", e=ADA)[0]["salt"]
    values = {"email": ADA, "key": derive_key(PASSWORD, salt), "token": new_token()}
    place.call("select todo_auth.attempt_sign_in(%(email)s, %(key)s, %(token)s)", **values)
    place.execute(
        "update todo_auth.sign_in_attempts set attempted_at = attempted_at - interval '6 minutes'"
    )
    assert place.call("select * from todo_auth.finish_sign_in(%(token)s, 'x')", **values) == []


def test_old_attempts_are_cleared_away(place: Place, ada: str) -> None:
    fail(place, "nobody@example.org", 30)
    place.execute(
        "update todo_auth.sign_in_attempts set attempted_at = attempted_at - interval '2 hours'"
    )
    fail(place, "somebody@example.org", 1)
    assert place.execute("select count(*) from todo_auth.sign_in_attempts") == [(1,)]


def test_changing_the_password_ends_the_other_sessions(place: Place, ada: str) -> None:
    _, token = place.accounts().log_in(ADA, PASSWORD)
    with pytest.raises(WrongPassword):
        place.accounts(token).change_password("wrong", "battery staple")
    place.accounts(token).change_password(PASSWORD, "battery staple")
    assert len(place.accounts(token).sessions()) == 1
    with pytest.raises(NotLoggedIn):
        place.accounts(ada).current()
    with pytest.raises(WrongPassword):
        place.accounts().log_in(ADA, PASSWORD)
    place.accounts().log_in(ADA, "battery staple")


def fail_to_change(place: Place, token: str, times: int) -> None:
    """Wrong keys in a session, without the time that deriving each one costs."""
    database = place.open_database(place.url, token)
    for _ in range(times):
        values = {"key": "0" * 128, "token": new_token(), "hash": f"{'0' * 32}:{'0' * 128}"}
        database.call(
            Call("select todo_auth.attempt_password_change(%(key)s, %(token)s)", values),
            Call("select * from todo_auth.change_password(%(token)s, %(hash)s)", values),
        )


def test_a_stolen_session_cannot_guess_the_password_either(place: Place, ada: str) -> None:
    fail_to_change(place, ada, 9)
    with pytest.raises(WrongPassword):
        place.accounts(ada).change_password("wrong password", "battery staple")
    with pytest.raises(TooManyFailures, match="in this session"):
        place.accounts(ada).change_password(PASSWORD, "battery staple")


def test_a_session_changes_the_password_while_its_address_is_locked(place: Place, ada: str) -> None:
    fail(place, ADA, 10)
    with pytest.raises(TooManyFailures):
        place.accounts().log_in(ADA, PASSWORD)
    place.accounts(ada).change_password(PASSWORD, "battery staple")
    # The failures were made against the old password.
    place.accounts().log_in(ADA, "battery staple")


def test_a_locked_session_locks_no_other_and_not_the_address(place: Place, ada: str) -> None:
    fail_to_change(place, ada, 10)
    _, other = place.accounts().log_in(ADA, PASSWORD)
    with pytest.raises(TooManyFailures):
        place.accounts(ada).change_password(PASSWORD, "battery staple")
    place.accounts(other).change_password(PASSWORD, "battery staple")


def test_an_older_program_still_changes_the_password(place: Place, ada: str) -> None:
    """It makes the attempt as for signing in."""
    salt = place.call("select todo_auth.password_salt(%(e)s) as salt", e=ADA)[0]["salt"]
    values = {
        "email": ADA,
        "key": derive_key(PASSWORD, salt),
        "token": new_token(),
        "hash": f"{'0' * 32}:{'0' * 128}",
    }
    (row,) = place.open_database(place.url, ada).call(
        Call("select todo_auth.attempt_sign_in(%(email)s, %(key)s, %(token)s)", values),
        Call("select * from todo_auth.change_password(%(token)s, %(hash)s)", values),
    )
    assert row["outcome"] == "right"


@pytest.mark.parametrize("lock", [fail, fail_to_change])
def test_an_administrator_unlocks_an_account(
    place: Place, ada: str, lock: Callable[[Place, str, int], None]
) -> None:
    lock(place, ADA if lock is fail else ada, 10)
    with connected(place.url) as connection:
        assert unlock(connection, "ADA@example.org") == Unlocked(ADA, True, True, 10)
        assert unlock(connection, ADA) == Unlocked(ADA, True, False, 0)
        assert unlock(connection, "eve@example.org") == Unlocked("eve@example.org", False, False, 0)
    place.accounts().log_in(ADA, PASSWORD)
    place.accounts(ada).change_password(PASSWORD, "battery staple")


def test_unlocking_leaves_others_locked(place: Place, ada: str) -> None:
    place.accounts().register("bob@example.org", "Bob", PASSWORD)
    fail(place, ADA, 10)
    fail(place, "bob@example.org", 10)
    with connected(place.url) as connection:
        unlock(connection, ADA)
    with pytest.raises(TooManyFailures):
        place.accounts().log_in("bob@example.org", PASSWORD)


def test_an_address_without_an_account_is_unlocked_too(place: Place) -> None:
    fail(place, "nobody@example.org", 10)
    with connected(place.url) as connection:
        done = unlock(connection, "nobody@example.org")
    assert done == Unlocked("nobody@example.org", False, True, 10)


def test_a_session_is_pushed_on_once_a_day_when_used(place: Place, ada: str) -> None:
    def days_left() -> float:
        ((seconds,),) = place.execute("select extract(epoch from expires_at - now()) from sessions")
        return float(seconds) / 86_400

    place.execute("update sessions set expires_at = now() + interval '6 days 1 hour'")
    place.accounts(ada).current()
    assert days_left() < 6.1
    place.execute("update sessions set expires_at = now() + interval '5 days 23 hours'")
    place.accounts(ada).current()
    assert days_left() > 6.9
    place.execute("update sessions set expires_at = now() - interval '1 second'")
    with pytest.raises(NotLoggedIn):
        place.accounts(ada).current()


def test_an_account_without_a_password_is_like_an_unknown_one(place: Place, ada: str) -> None:
    """Somebody who signed up on the web by another provider."""
    place.execute("update accounts set provider_id = 'github', password = null")
    with pytest.raises(WrongPassword):
        place.accounts().log_in(ADA, PASSWORD)
