"""The attacks. Each returns its outcome in a few words, and raises where it succeeds.

What is told to the attacker in any way, in rows, counts, errors or notices, is searched for Bob's
secrets afterwards, and Bob's rows are compared with what they were.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import psycopg

from tests.attacks.scene import PASSWORD_OF_BOB, ROLE, WAYS, Attacker
from todo_cli.accounts import derive_key, new_token
from todo_cli.admin import expected

Attack = Callable[[Attacker], str]
ATTACKS: dict[str, Attack] = {}

NOTHING = "nothing: own rows only"
REFUSED = "refused"

_ATTEMPT = "select todo_auth.attempt_sign_in(%s, %s, %s)"
_ANY_TRIGGER = "suppress_redundant_updates_trigger()"
_FINISH = "select outcome from todo_auth.finish_sign_in(%s, 'x')"


def attack(name: str) -> Callable[[Attack], Attack]:
    def register(function: Attack) -> Attack:
        ATTACKS[name] = function
        return function

    return register


# Reading what is another's


@attack("read others' tasks: select, table, join, union, sub-query, cte, window, for update")
def _(alice: Attacker) -> str:
    bob = str(alice.scene.bob.id)
    for statement in (
        "select * from tasks",
        "table tasks",
        "select * from public.tasks where user_id = '{bob}' or true",
        "select t.* from tasks as t right join (values (1)) as v(n) on true",
        "select title from tasks union all select description from tasks",
        "select (select string_agg(title, ',') from tasks)",
        "with t as materialized (select * from tasks) select * from t",
        "select title, lag(title) over (order by number) from tasks",
        "select * from tasks for update",
        "select * from only tasks tablesample system (100)",
        "select row_to_json(t) from tasks as t",
        "select json_agg(t) from tasks as t",
    ):
        alice.run(statement.replace("{bob}", bob))
    assert alice.run("select count(*) from tasks where user_id = %s", bob) == [(0,)]
    assert alice.run("select 1 from tasks where id = %s", alice.scene.bobs_task) == []
    return NOTHING


@attack("read users, accounts, sessions, verifications, counters, attempts, secrets")
def _(alice: Attacker) -> str:
    assert alice.run("select id from users") == [(alice.scene.alice.id,)]
    assert alice.run("select email from todo_auth.own_account()") == [(alice.scene.alice.email,)]
    for column in ("email", "created_at", "*"):
        alice.refused(f"select {column} from users")
    for table in (
        "accounts",
        "sessions",
        "verifications",
        "todo_auth.task_counters",
        "todo_auth.sign_in_attempts",
        "todo_auth.secrets",
        "alembic_version",
    ):
        alice.all_refused(f"select * from {table}", f"select count(*) from {table}")
    return "own user only; the other tables: refused"


@attack("error messages: casts, arithmetic and regular expressions on others' text")
def _(alice: Attacker) -> str:
    for statement in (
        "select * from tasks where title::int > 0 and user_id <> todo_auth.current_user_id()",
        "select * from tasks where 1 / (case when title like 'Secret%%' then 0 else 1 end) = 1",
        "select id from users where name like 'bob%%' and 1 / 0 = 1",
    ):
        try:
            alice.run(statement)
        except psycopg.errors.DataError:
            assert alice.run("select count(*) from tasks where title like 'Secret%%'") == [(0,)]
    return "errors come from own rows only"


@attack("find days, tags, projects, extra: operators of indexes, leakproof or not, that raise")
def _(alice: Attacker) -> str:
    others = "user_id <> todo_auth.current_user_id()"
    for condition in (
        "due_on between '2031-01-01' and '2031-12-31'",
        "due_on = '2031-03-07' and number > 0",
        "tags @> array['SecretTag']",
        "tags && array['SecretTag']",
        "'SecretTag' = any (tags)",
        "project ^@ 'Sec'",
        "project = 'Secret.project3'",
        "extra ? 'key'",
        'extra @> \'{"key": "Secret extra"}\'',
        "priority = 1",
        "wait_on is not null and " + others,
        "(due_on, number) > ('2031-01-01', 0)",
    ):
        for tail in ("", " order by due_on, number limit 1"):
            rows = alice.connection.execute(
                f"select 1 from tasks where {condition} and not completed"
                f" and deleted_at is null{tail}".encode()
            ).fetchall()
            assert rows == [], condition
    for raising in (
        "1 / (due_on - date '2031-03-07') > 0",
        "(due_on + due_time) at time zone (due_zone || 'x') is not null",
        "(due_on + due_time) at time zone project is not null",
        "project::int > 0",
        "tags[1]::date is not null",
        "(extra ->> 'key')::int > 0",
        "extra::text::xml is not null",
        "jsonb_path_query_first(extra, 'strict $.nothing') is not null",
        "project ~ (project || '[')",
        "todo_auth.current_user_id()::text || project = '' or (priority::int / 0) = 1",
    ):
        alice.run(f"select 1 from tasks where {others} and {raising}")
        alice.run(f"select 1 from tasks where {raising} and due_on > '2031-01-01'")
    return NOTHING


@attack("error messages of the checks and of the trigger of tags, on rows of others")
def _(alice: Attacker) -> str:
    bob = alice.scene.bob.id
    for assigned in (
        "tags = tags || array['a b']",
        "tags = array_append(tags, null)",
        "tags = array_fill('x'::text, array[60])",
        "priority = priority + 9",
        "project = project || '..'",
        "due_zone = due_zone || '/x'",
        "due_on = null",
        "wait_on = 'infinity'",
        "extra = to_jsonb(extra::text)",
    ):
        for condition in ("user_id = %s", "user_id = %s and number > 0 and due_on is not null"):
            assert alice.changed(f"update tasks set {assigned} where {condition}", bob) == 0
    alice.all_refused(
        "select todo_auth.sort_task_tags()",
        "create trigger mine before insert on tasks for each row"
        " execute function todo_auth.sort_task_tags()",
    )
    for statement, sqlstate in (
        ("insert into tasks (user_id, title, tags) values (%s, 'x', '{a,b}')", "42501"),
        ("insert into tasks (user_id, title, tags) values (%s, 'x', '{\"a b\"}')", "42501"),
        ("insert into tasks (user_id, title, due_on) values (%s, 'x', 'infinity')", "42501"),
    ):
        alice.refused(statement, bob, sqlstate=sqlstate)
    return "no row of others is checked: nothing is told"


@attack("copy to and from, files and programs of the server")
def _(alice: Attacker) -> str:
    alice.copied("copy tasks to stdout")
    alice.copied("copy (select * from tasks) to stdout")
    alice.all_refused(
        "copy accounts to stdout",
        "copy tasks to program 'cat'",
        "copy tasks to '/tmp/x'",
        "select pg_read_file('postgresql.conf')",
        "select pg_ls_dir('.')",
        "select lo_import('/etc/passwd')",
    )
    alice.refused("copy tasks (title) from stdin", sqlstate="0A000")
    return "own rows only; files and programs: refused"


@attack("prepared statements and cursors that outlive the token")
def _(alice: Attacker) -> str:
    alice.run("prepare everything as select * from tasks")
    alice.run("execute everything")
    alice.be("nobody's")
    assert alice.run("execute everything") == []
    alice.run("deallocate everything")
    alice.be(alice.scene.alice.token)
    alice.run("begin")
    alice.run("declare mine cursor for select * from tasks")
    alice.be("nobody's")
    assert alice.run("fetch all from mine") == []
    alice.run("rollback")
    return "follow the token that is presented: no row"


@attack("explain analyze verbose")
def _(alice: Attacker) -> str:
    for options in ("analyze, verbose, buffers", "verbose"):
        alice.run(f"explain ({options}) select * from tasks where title like '%%a%%'")
    return "plans name no value of others"


@attack("spell addresses and titles by the planner's estimates, prefix by prefix")
def _(alice: Attacker) -> str:
    for table, column in (
        ("users", "name"),
        ("tasks", "title"),
        ("tasks", "description"),
        ("tasks", "project"),
        ("tasks", "due_zone"),
    ):
        spelled = _spelled(alice, table, column)
        alice.told += spelled
        for text in spelled:
            for whole in _values_of_bob(alice, table, column):
                assert not whole.startswith(text[:4]), f"was spelled: {text!r} of {whole!r}"
    return "the estimates are the same for every value"


@attack("spell values by what explain analyze counts: rows removed, parts never executed")
def _(alice: Attacker) -> str:
    asked = 0
    for switched_off in _OTHER_SCANS:
        alice.run("reset all")
        alice.be(alice.scene.alice.token)
        for setting in switched_off:
            alice.run(f"set {setting} = off")
        for table, column, _ in _readable_columns(alice):
            if column == "id" and table != "users":
                continue  # not kept off: which identifiers of tasks are in use
            asked_for = f"select {column} from {table}".encode()
            own = [value for (value,) in alice.connection.execute(asked_for)]
            values = [each for each in _values_of_bob(alice, table, column) if each not in own]
            for condition, value in _conditions_met_by(column, values):
                met, unmet = (
                    _counted(alice, f"select {column} from {table} where {condition}", each)
                    for each in (value, _ABSENT[type(value)])
                )
                assert met == unmet, f"{table}.{column} {condition}"
                asked += 1
    assert asked > 100
    return "the counts are the same for every value; but which UUIDs of tasks are in use is told"


_SCANS = ("enable_seqscan", "enable_indexscan", "enable_bitmapscan")
_OTHER_SCANS = [
    ("enable_sort", *(other for other in (*_SCANS, "enable_indexonlyscan") if other not in kept))
    for kept in (_SCANS[:1], (_SCANS[1], "enable_indexonlyscan"), _SCANS[2:])
]
_ABSENT = {
    str: "Nobody wrote this",
    uuid.UUID: uuid.UUID(int=1),
    datetime: datetime(1999, 9, 9, tzinfo=UTC),
    int: 987_654_321,
    date: date(1999, 9, 9),
    time: time(3, 33),
    list: ["Nobody", "wrote"],
}


def _conditions_met_by(column: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
    """Conditions on a column that Bob's values meet, without a comparison or with several."""
    known = [value for value in values if type(value) in _ABSENT]
    for value in known[:1]:
        yield f"{column} = %s", value
        yield f"{column} in (%s, %s)", value
        yield f"{column} >= %s and {column} <= %s order by {column}", value
        yield f"not ({column} <> %s) and {column} is not null", value


def _counted(alice: Attacker, statement: str, value: Any) -> list[tuple[Any, ...]]:
    """What every part of the plan counted when it ran; the time and the estimates aside.

    The plan is not remembered as told: it repeats the value that was asked for.
    """
    (document,) = alice.connection.execute(
        f"explain (analyze, timing off, format json) {statement}".encode(),
        (value,) * statement.count("%s"),
    ).fetchone() or ([],)
    parts = [document[0]["Plan"]]
    for part in parts:
        parts += part.get("Plans", [])
    return [
        (part["Actual Loops"], part["Actual Rows"], part.get("Rows Removed by Filter"))
        for part in parts
    ]


def _values_of_bob(alice: Attacker, table: str, column: str) -> list[str]:
    whose = "id" if table == "users" else "user_id"
    rows = alice.scene.as_owner(
        f"select {column} from {table} where {whose} = %s",
        alice.scene.bob.id,
    )
    return [value for (value,) in rows]


def _spelled(alice: Attacker, table: str, column: str) -> list[str]:
    """Where the estimate of `column < text` steps over a value, to as many letters as it tells.

    Between two values of the histogram the estimate grows in proportion, and is a multiple of one
    step exactly at a value.
    """

    def share(text: str) -> float:
        (document,) = alice.connection.execute(
            f"explain (format json) select 1 from {table} as t"  # names of the test
            " join generate_series(1, 1000000000) as g"
            f' on (t.{column} < %s collate "C" or g = 0), generate_series(1, 1000000000)',
            (text,),
            prepare=False,
        ).fetchone() or ([],)
        return float(document[0]["Plan"]["Plan Rows"])

    letters = [chr(code) for code in range(32, 127)]
    lowest, highest = share(""), share("~" * 30)
    if highest == lowest:
        return []
    found = []
    for step in range(1, 20):
        level = lowest + (highest - lowest) * step / 20
        text = ""
        while len(text) < 12:
            below = [letter for letter in letters if share(text + letter) <= level]
            if not below:
                break
            text += below[-1]
        found.append(text)
    return found


@attack("compare estimates before and after somebody else's rows change")
def _(alice: Attacker) -> str:
    owner, carol = alice.scene.as_owner, alice.scene.carol.id
    before = _estimates(alice)
    for statement in (
        "alter table tasks disable trigger user",
        "update users set email = 'm' || email, name = 'M', image = 'm', created_at = '2001-01-01',"
        " updated_at = '2001-01-01' where id = %s",
        "update tasks set title = 'M ' || title, description = null, created_at = '2001-01-01',"
        " updated_at = '2001-01-01' where user_id = %s",
        "update tasks_archive set title = 'M', description = 'M', created_at = '2001-01-01',"
        " updated_at = '2001-01-01', archived_at = '2001-01-01' where user_id = %s",
        "alter table tasks enable trigger user",
        "vacuum (full, analyze) users",
        "vacuum (full, analyze) tasks",
        "vacuum (full, analyze) tasks_archive",
    ):
        owner(statement, *([carol] if "%s" in statement else []))
    after = _estimates(alice)
    telling = [statement for statement in before if before[statement] != after[statement]]
    owner("update users set email = substr(email, 2) where id = %s and email ~ '^m'", carol)
    assert telling == []
    return "no estimate on what they wrote, or when, changes"


_SAMPLES = {
    "text": ["''", "'a'", "'bob'", "'carol@example.org'", "'Carol 11'", "'M'", "'S'", "'~'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'80000000-0000-0000-0000-000000000000'"],
    "timestamp with time zone": ["'2001-01-01'", "'2020-01-01'", "now()", "'2999-01-01'"],
    "boolean": ["true"],
    "bigint": ["-1", "10", "1000"],
    "smallint": ["1", "3"],
    "date": ["'2001-01-01'", "'2026-12-04'", "'9999-12-31'"],
    "time(0) without time zone": ["'00:00'", "'17:00'"],
    "text[]": ["'{}'", "'{a}'", "'{home,phone}'"],
    "jsonb": ["'{}'", """'{"a": 1}'"""],
}
_PROBES = [
    "select 1 from {table} as t where t.{column} < {value}",
    "select 1 from {table} as t where t.{column} = {value}",
    "select 1 from {table} as t where t.{column} between {value} and {value}",
    "select 1 from {table} as t where t.{column} is null",
    "select 1 from {table} as t join generate_series(1, 1000000000) as g"
    " on (t.{column} < {value} or g = 0)",
    "select 1 from {table} as t join generate_series(1, 1000000000) as g"
    " on (t.{column} = {value} or g = 0)",
    "select 1 from {table} as t join (values ({value}::{kind}), ({value})) as v (x)"
    " on t.{column} = v.x",
    "select 1 from {table} as t join {table} as other on t.{column} = other.{column}",
    "select 1 from {table} as t join {table} as other on t.{column} < other.{column}",
    "select {column} from {table} where {column} > {value} group by {column}",
    "select max({column}::text) from {table} where {column} > {value}",
]


def _estimates(alice: Attacker) -> dict[str, list[float]]:
    """The rows that the planner expects, for questions on every column that may be read."""
    columns = _readable_columns(alice)
    probes = [
        probe.format(table=table, column=column, kind=kind, value=value)
        for table, column, kind in columns
        for value in _SAMPLES[kind]
        for probe in _PROBES
    ]
    explained = dict.fromkeys(probes, "explain (format json) ")
    if alice.connection.info.server_version >= 160000:
        explained |= {
            f"select 1 from {table} where {column} < $1": "explain (generic_plan, format json) "
            for table, column, _ in columns
        }
    return {
        probe: sorted(_rows_expected(alice.run(f"{explain}{probe}")[0][0][0]["Plan"]))
        for probe, explain in explained.items()
    }


def _readable_columns(alice: Attacker) -> list[tuple[Any, ...]]:
    """Table, column and type of all that a person may name in a question."""
    columns = alice.run(
        "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod)"
        " from pg_attribute where attnum > 0 and not attisdropped"
        " and has_column_privilege(attrelid, attnum, 'select') and attrelid in ("
        " select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r')"
    )
    assert len(columns) > 20
    return columns


def _rows_expected(plan: dict[str, Any]) -> list[float]:
    below = [rows for child in plan.get("Plans", []) for rows in _rows_expected(child)]
    return [plan["Plan Rows"], *below]


@attack("catalogs: statistics, activity, roles, sources of functions")
def _(alice: Attacker) -> str:
    alice.run("select * from pg_stats where schemaname in ('public', 'todo_auth')")
    alice.run("select * from pg_stat_activity")
    alice.run("select * from pg_policies")
    alice.run("select prosrc from pg_proc")
    alice.run("select * from pg_settings")
    alice.run("select * from pg_prepared_statements")
    alice.run("select * from information_schema.columns")
    alice.run("select query from pg_stat_activity")
    alice.all_refused(
        "select * from pg_statistic", "select * from pg_authid", "table pg_hba_file_rules"
    )
    return "no secret in them; the closed ones: refused"


# Writing what is another's


@attack("update and delete others' tasks, by id, by user, all")
def _(alice: Attacker) -> str:
    task, bob = alice.scene.bobs_task, alice.scene.bob.id
    for where, values in (("id = %s", [task]), ("user_id = %s", [bob]), ("title ~ 'Secret'", [])):
        assert alice.changed(f"update tasks set title = 'mine' where {where}", *values) == 0
        assert alice.changed(f"delete from tasks where {where}", *values) == 0
    alice.run("begin")
    assert alice.changed("update tasks set completed = true") == alice.changed("delete from tasks")
    alice.run("rollback")
    return "no row, as if they did not exist"


@attack("insert for others; find out by it which users exist")
def _(alice: Attacker) -> str:
    insert = "insert into tasks (user_id, title) values (%s, 'planted')"
    exists = alice.refused(insert, alice.scene.bob.id)
    assert exists == alice.refused(insert, uuid.uuid4())
    alice.be("nobody's")
    alice.refused(insert, alice.scene.bob.id)
    alice.refused("insert into tasks (title) values ('nobody''s')")
    return "refused, in the same words for users that exist and that do not"


@attack("hand over: change user_id, id, number or the times of a task")
def _(alice: Attacker) -> str:
    for column, value in (
        ("user_id", str(alice.scene.bob.id)),
        ("id", alice.scene.bobs_task),
        ("number", "1"),
        ("created_at", "2000-01-01"),
        ("updated_at", "2000-01-01"),
    ):
        alice.refused(f"update tasks set {column} = '{value}'")
    alice.refused("insert into tasks (number, title) values (1, 'x')")
    return REFUSED


@attack("merge, and on conflict with the id of another's task")
def _(alice: Attacker) -> str:
    task = alice.scene.bobs_task
    source = f"merge into tasks as t using (values ('{task}'::uuid)) as v(id) on t.id = v.id"
    assert alice.changed(f"{source} when matched then update set title = 'mine'") == 0
    assert alice.changed(f"{source} when matched then delete") == 0
    insert = f"insert into tasks (id, title) values ('{task}', 'x') on conflict (id)"
    assert alice.changed(f"{insert} do nothing") == 0
    alice.refused(f"{insert} do update set title = excluded.title")
    alice.refused(f"{insert} do update set title = tasks.title returning *")
    return "no row or refused; tells whether a UUID that one knows is in use"


@attack("unique violation with the id of another's task")
def _(alice: Attacker) -> str:
    words = alice.refused(
        "insert into tasks (id, title) values (%s, 'x')", alice.scene.bobs_task, sqlstate="23505"
    )
    assert alice.scene.bobs_task not in words
    return "refused without the row; tells that the UUID is in use"


@attack("read others' history: select, by task, by batch, copy, explain analyze")
def _(alice: Attacker) -> str:
    batch, task = _event_of_bob(alice)
    for statement in (
        "select * from task_events",
        "select before, after from task_events for share of task_events",
        f"select * from task_events where batch_id = '{batch}'",
        f"select * from task_events where task_id = '{task}' or after ->> 'title' like 'Secret%%'",
        "select t.title, e.* from task_events as e left join tasks as t on t.id = e.task_id",
        "explain (analyze, verbose) select * from task_events where after ->> 'title' like 'S%%'",
    ):
        if " for share" in statement:
            alice.refused(statement)
        else:
            alice.run(statement)
    alice.copied("copy (select * from task_events) to stdout")
    alice.refused("copy task_events from stdin")
    bob = alice.scene.bob.id
    assert alice.run("select count(*) from task_events where user_id = %s", bob) == [(0,)]
    return NOTHING


@attack("forge, change or delete history, one's own too")
def _(alice: Attacker) -> str:
    own = alice.scene.alice.id
    for whose in (own, alice.scene.bob.id):
        alice.all_refused(
            "insert into task_events (id, user_id, batch_id, command)"
            f" values (gen_random_uuid(), '{whose}', gen_random_uuid(), 'done')",
            f"update task_events set command = 'x' where user_id = '{whose}'",
            f"delete from task_events where user_id = '{whose}'",
        )
    alice.all_refused(
        "truncate task_events",
        "alter table task_events disable row level security",
        "drop trigger tasks_log_added on tasks",
        "merge into task_events using (values (1)) as v on true when matched then delete",
    )
    return REFUSED


@attack("undo another's command, by the id of its batch")
def _(alice: Attacker) -> str:
    batch, _ = _event_of_bob(alice)
    own = "select user_id from task_events where task_id is not null group by user_id"
    alice.run("begin")
    for is_redo in ("false", "true"):
        for is_dry_run in ("true", "false"):
            alice.run(f"select todo_auth.undo('{batch}', {is_redo}, {is_dry_run})")
    assert set(alice.run(own)) == {(alice.scene.alice.id,)}
    alice.run("rollback")
    alice.be("nobody's")
    assert alice.run(f"select todo_auth.undo('{batch}', false, false) ->> 'refused'") == [
        ("nothing",)
    ]
    return "only one's own commands are undone"


@attack("name another's batch in the settings, or have a change not logged")
def _(alice: Attacker) -> str:
    batch, task = _event_of_bob(alice)
    names = {"todo.batch_id": batch, "todo.command": "undo", "todo.undoing": "on"}
    if alice.way == WAYS[0]:  # an owner's URL may maintain
        names["todo.maintenance"] = "on"
    alice.run("begin")
    for name, value in names.items():
        alice.run("select set_config(%s, %s, true)", name, value)
    ((own,),) = alice.run("insert into tasks (title) values ('Mine') returning id")
    alice.run("update tasks set title = 'Mine too' where id = %s", own)
    alice.run("update tasks set title = 'Mine too' where id = %s", task)
    logged = "select user_id, undoes from task_events where batch_id = %s and task_id = %s"
    assert alice.run(logged, batch, own) == [(alice.scene.alice.id, None)] * 2
    alice.run("delete from tasks where id = %s", own)
    kept = "select count(*), count(before), count(after) from task_events where task_id = %s"
    assert alice.run(kept, own) == [(1, 0, 0)]
    alice.run("rollback")
    return "logged as one's own"


def _event_of_bob(alice: Attacker) -> tuple[str, str]:
    """The ids of a batch and a task of Bob's, which the attacker happens to know."""
    ((batch, task),) = alice.scene.as_owner(
        "select batch_id, task_id from task_events where user_id = %s limit 1", alice.scene.bob.id
    )
    return str(batch), str(task)


@attack("truncate, alter, drop; switch off triggers, policies or row-level security")
def _(alice: Attacker) -> str:
    alice.all_refused(
        "truncate tasks",
        "alter table tasks disable row level security",
        "alter table tasks no force row level security",
        "alter table tasks disable trigger all",
        "drop policy tasks_own on tasks",
        "create policy mine on tasks using (true)",
        "drop table tasks",
        "drop function todo_auth.current_user_id()",
        "alter function todo_auth.current_user_id() security invoker",
        "create rule r as on select to tasks do instead select 1",
        f"create trigger t before insert on tasks execute function {_ANY_TRIGGER}",
        "truncate users",
    )
    return REFUSED


@attack("write users, sessions, accounts directly")
def _(alice: Attacker) -> str:
    bob = alice.scene.bob.id
    alice.all_refused(
        "update users set email = 'x@example.org'",
        "delete from users",
        f"insert into sessions (user_id, token, expires_at) values ('{bob}', 'x', now() + '1 day')",
        "update sessions set user_id = user_id",
        "delete from sessions",
        "update accounts set password = 'x'",
        "insert into todo_auth.secrets values ('x', 'x')",
        "update todo_auth.task_counters set last_number = 1",
        "delete from todo_auth.sign_in_attempts",
        "truncate accounts",
    )
    return REFUSED


# Being somebody else


@attack("forge a token: empty, padded, other case, patterns, SQL, ids instead of tokens")
def _(alice: Attacker) -> str:
    bob = alice.scene.bob
    session = alice.scene.as_owner("select id from sessions where user_id = %s", bob.id)[0][0]
    for token in (
        "",
        " ",
        "%",
        "_" * 43,
        f"{bob.token} ",
        bob.token.swapcase(),
        bob.token[:-1],
        "' or true --",
        str(bob.id),
        str(session),
        bob.email,
        "x" * 1_000_000,
    ):
        alice.be(token)
        assert alice.is_nobody(), token
    alice.connection.execute("reset todo.session_token")
    assert alice.is_nobody()
    return "nobody: no row"


@attack("use a token that has expired, was ended, or whose user is gone")
def _(alice: Attacker) -> str:
    owner = alice.scene.as_owner
    ((user,),) = owner("insert into users (email, name) values ('gone@x.org', 'G') returning id")
    for token, expires in (("expired", "now()"), ("ended", "now() + '1 day'")):
        owner(
            "insert into sessions (user_id, token, expires_at)"
            f" values (%s, %s, {expires} - interval '1 microsecond')",
            user,
            token,
        )
    alice.be("expired")
    assert alice.is_nobody()
    assert alice.run("select todo_auth.resume_session()") == [(None,)]
    alice.be("ended")
    assert alice.run("select todo_auth.sign_out()") == [(True,)]
    assert alice.is_nobody()
    owner("delete from users where id = %s", user)
    assert alice.is_nobody()
    return "nobody: no row"


@attack("set what policies might read: user ids, claims, row_security, search_path")
def _(alice: Attacker) -> str:
    bob = str(alice.scene.bob.id)
    for name in ("todo.user_id", "app.user_id", "request.jwt.claim.sub", "neon.user_id"):
        alice.run("select set_config(%s, %s, false)", name, bob)
    alice.run("set search_path = pg_temp, todo_auth, public, pg_catalog")
    alice.run("select * from public.tasks")
    assert alice.run("select count(*) from public.tasks where user_id = %s", bob) == [(0,)]
    if alice.way == WAYS[0]:
        alice.refused("set session_replication_role = replica")
    alice.run("set row_security = off")
    alice.refused("select * from public.tasks")
    alice.refused("select id from public.users")
    return "only the token counts; row_security = off: refused"


@attack("take another role, or make or change one")
def _(alice: Attacker) -> str:
    if alice.way == WAYS[1]:
        alice.all_refused(
            "create role evil",
            "alter role todo_app bypassrls",
            "grant pg_read_all_data to todo_app",
        )
        return "refused under todo_app (who holds the owner's URL can leave it)"
    for role in ("todo", "pg_read_all_data", "pg_write_all_data", "pg_execute_server_program"):
        alice.refused(f"set role {role}")
        alice.refused(f"select set_config('role', '{role}', true)")
    alice.all_refused(
        "set session authorization todo",
        "create role evil",
        "create database evil",
        "alter role todo_app bypassrls",
        "alter role current_user bypassrls",
        "alter role current_user superuser",
        "grant todo to current_user",
        "grant pg_read_all_data to todo_app",
        "alter system set log_statement = 'all'",
    )
    alice.run("set role todo_app")
    alice.run("reset role")
    alice.run("select * from tasks")
    return REFUSED


@attack("drop owned, reassign owned, alter role and default privileges of todo_app")
def _(alice: Attacker) -> str:
    allowed = [
        "reassign owned by todo_app to todo_app",
        "revoke all on function todo_auth.current_user_id() from todo_app",
        "revoke all on tasks from todo_app",
        "alter default privileges revoke all on tables from todo_app",
        "alter default privileges grant all on tables to public",
        "alter role todo_app set search_path = evil",
        "alter role todo_app reset all",
    ]
    before = _what_todo_app_may(alice)
    if alice.way == WAYS[0]:
        alice.run("drop owned by current_user")
        alice.refused("drop owned by todo_app, current_user")
        alice.run("reassign owned by todo_app to current_user")
        alice.run("set role todo_app")
    for statement in allowed:
        alice.run(statement)
    alice.all_refused(
        "drop owned by todo_app",
        "alter role todo_app login",
        "alter role todo_app nologin",
        "comment on role todo_app is 'evil'",
        "alter policy users_own on users to todo_app",
        f"drop owned by {ROLE}" if alice.way == WAYS[1] else "drop owned by todo",
        "drop role todo_app",
    )
    alice.refused("alter role todo_app rename to evil", sqlstate="0A000")
    assert _what_todo_app_may(alice) == before
    for person in (alice.scene.bob, alice.scene.alice):
        alice.connection.execute(
            "select set_config('todo.session_token', %s, false)", (person.token,)
        )
        seen = alice.connection.execute("select id from users").fetchall()
        assert seen == [(person.id,)], "somebody's own account is gone"
    alice.run("alter default privileges revoke all on tables from public")
    return "no policy, privilege or setting that others depend on is changed"


def _what_todo_app_may(alice: Attacker) -> list[tuple[Any, ...]]:
    """Its privileges, and every policy."""
    return alice.scene.as_owner(
        f"select jsonb_build_object('policies', {expected.FOUND_POLICIES},"
        f" 'privileges', {expected.FOUND_PRIVILEGES})"  # constants
    )


# Laying things in the way


@attack("create objects in public, todo_auth, a schema of one's own, or temporary ones")
def _(alice: Attacker) -> str:
    for schema in ("public", "todo_auth", "pg_temp"):
        for statement in (
            "create table {}.tasks (title text)",
            "create view {}.tasks_ as select 1",
            "create function {}.lower(text) returns text language sql as 'select $1'",
            "create type {}.mood as enum ('x')",
            "create sequence {}.s",
        ):
            alice.refused(statement.format(schema))
    alice.all_refused(
        "create schema evil",
        "create temporary table sessions (token text)",
        "create extension dblink",
        "create extension pg_trgm",
        f"create event trigger e on ddl_command_start execute function {_ANY_TRIGGER}",
        "create operator public.= (leftarg = text, rightarg = text, function = texteq)",
    )
    return REFUSED


@attack("shadow functions, operators and tables by search_path, where somebody left them")
def _(alice: Attacker) -> str:
    owner = alice.scene.as_owner
    for statement in (
        "create schema if not exists evil",
        "create or replace function evil.current_setting(text, boolean) returns text"
        " language sql as 'select token from public.sessions order by created_at desc limit 1'",
        "create or replace function evil.texteq(text, text) returns boolean language sql as"
        " 'select true'",
        "create or replace function evil.now() returns timestamptz language sql as"
        " 'select timestamptz ''1970-01-01'''",
        "create table if not exists evil.sessions (like public.sessions)",
        "drop operator if exists evil.= (text, text)",
        "create operator evil.= (leftarg = text, rightarg = text, function = evil.texteq)",
        "grant usage on schema evil to public",
        "grant all on all tables in schema evil to public",
    ):
        owner(statement)
    try:
        alice.run("set search_path = evil, pg_catalog, public")
        alice.be("forged")
        assert alice.run("select todo_auth.current_user_id()") == [(None,)]
        assert alice.run("select todo_auth.resume_session()") == [(None,)]
        assert alice.run("select count(*) from public.tasks") == [(0,)]
        assert alice.run("select * from todo_auth.own_sessions()") == []
        alice.run("reset search_path")
    finally:
        owner("drop schema evil cascade")
    return "the functions look in pg_catalog only"


@attack("call the definer functions with hostile arguments")
def _(alice: Attacker) -> str:
    hostile = ("", " ", "'", "\\", "%", "%s", "$1", "'; drop table users; --", "x" * 1_000_000, "é")
    for text in hostile:
        alice.run("select length(todo_auth.password_salt(%s))", text)
        alice.run("select * from todo_auth.finish_sign_in(%s, %s)", text, text)
        alice.refused(_ATTEMPT, text, text, text, sqlstate="23514")
        alice.run(_ATTEMPT, text, text, new_token())
        alice.refused(
            "select todo_auth.sign_up(%s, 'x', %s, %s, 'x')",
            text,
            "0" * 161,
            new_token(),
            sqlstate="23514",
        )
        alice.refused("select todo_auth.change_password(%s, %s)", text, text, sqlstate="23514")
    good = ("new@example.org", "New", f"{'0' * 32}:{'0' * 128}", new_token())
    for position, bad in (
        (0, "BOB@example.org"),
        (1, "\x1b[2J"),
        (1, "\t"),
        (2, "x"),
        (3, "short"),
    ):
        values = [*good[:position], bad, *good[position + 1 :]]
        alice.refused("select todo_auth.sign_up(%s, %s, %s, %s, 'x')", *values, sqlstate="23514")
    for function in ("password_salt(null)", "revoke_session(null)", "finish_sign_in(null, null)"):
        alice.run(f"select todo_auth.{function}")
    return "malformed values: refused; others: no effect"


@attack("call the functions that are not for people")
def _(alice: Attacker) -> str:
    alice.all_refused(
        "select todo_auth.address_digest('x')",
        "select todo_auth.settle_attempt('x')",
        "select todo_auth.door_closed_until('x', 'x')",
        "select todo_auth.assign_task_number()",
        "select todo_auth.count_task_numbers()",
        "select todo_auth.stamp_task()",
        "select todo_auth.admit_task_writer()",
        "select todo_auth.log_added_tasks()",
        "select todo_auth.log_changed_tasks()",
        "select todo_auth.log_deleted_tasks()",
        f"select * from todo_auth.batch_changes('{alice.scene.bob.id}', gen_random_uuid())",
        f"select todo_auth.batch_to_undo('{alice.scene.bob.id}', false)",
        f"select todo_auth.undone_command('{alice.scene.bob.id}', gen_random_uuid())",
    )
    granted = alice.run(
        "select proname from pg_proc as p where pronamespace = 'todo_auth'::regnamespace"
        " and (proacl is null or exists (select from aclexplode(proacl) where grantee = 0))"
    )
    assert granted == []
    return REFUSED


@attack("end or list another's sessions, change another's password")
def _(alice: Attacker) -> str:
    bob = alice.scene.bob
    ((session,),) = alice.scene.as_owner("select id from sessions where user_id = %s", bob.id)
    assert alice.run("select todo_auth.revoke_session(%s)", session) == [(False,)]
    assert len(alice.run("select * from todo_auth.own_sessions()")) == 1
    new_hash = f"{'0' * 32}:{'0' * 128}"
    change = "select outcome from todo_auth.change_password(%s, %s)"
    assert alice.run(change, bob.token, new_hash) == []
    # Even with Bob's password: it is not the password of Alice's account.
    ((salt,),) = alice.connection.execute(
        "select todo_auth.password_salt(%s)", (bob.email,)
    ).fetchall()
    token = new_token()
    alice.run(_ATTEMPT, bob.email, derive_key(PASSWORD_OF_BOB, salt), token)
    assert alice.run(change, token, new_hash) == []
    return "no effect"


@attack("register an address that is taken, with a token that is in use")
def _(alice: Attacker) -> str:
    bob = alice.scene.bob
    new_hash = f"{'0' * 32}:{'0' * 128}"
    sign_up = "select user_id from todo_auth.sign_up(%s, 'Eve', %s, %s, 'x')"
    assert alice.run(sign_up, bob.email, new_hash, new_token()) == []
    words = alice.refused(sign_up, "eve@example.org", new_hash, bob.token, sqlstate="23514")
    assert "token" in words
    return "no account; tells that the address is taken, as the web does"


# Guessing


@attack("guess a password in transactions that are rolled back, so that nothing is counted")
def _(alice: Attacker) -> str:
    email = alice.scene.bob.email
    ((salt,),) = alice.connection.execute("select todo_auth.password_salt(%s)", (email,)).fetchall()
    right = derive_key(PASSWORD_OF_BOB, salt)
    observed = set()
    for key in (right, "0" * 128):
        token = new_token()
        alice.run("begin")
        before = _work_seen(alice)
        alice.run(_ATTEMPT, email, key, token)
        observed.add(tuple(b - a for a, b in zip(before, _work_seen(alice), strict=True)))
        assert alice.run(_FINISH, token) == []
        alice.run("savepoint s")
        assert alice.run(_FINISH, token) == []
        alice.be(token)
        assert alice.is_nobody()
        alice.run("rollback")
        alice.refused(
            f"do $$ begin perform todo_auth.attempt_sign_in('{email}', '{key}', "
            f"'{new_token()}'); raise exception 'back'; end $$",
            sqlstate="P0001",
        )
        assert alice.run(_FINISH, token) == []
    assert len(observed) == 1, f"a right key can be told by its work: {observed}"
    return "nothing is told before it is committed; the work is the same"


def _work_seen(alice: Attacker) -> list[int]:
    """What a transaction can see of its own work: rows touched in every table, WAL written."""
    rows = alice.run(
        """
        select coalesce(sum(seq_scan + seq_tup_read + coalesce(idx_scan, 0)
            + coalesce(idx_tup_fetch, 0)), 0)::int,
            coalesce(sum(n_tup_ins), 0)::int, coalesce(sum(n_tup_upd + n_tup_del), 0)::int
        from pg_stat_xact_all_tables where schemaname in ('public', 'todo_auth')
        """
    )
    return [int(value) for value in rows[0]]


@attack("guess a password more than ten times in 15 minutes")
def _(alice: Attacker) -> str:
    email = alice.scene.bob.email
    ((salt,),) = alice.connection.execute("select todo_auth.password_salt(%s)", (email,)).fetchall()
    outcomes = []
    for key in [*["0" * 128] * 10, derive_key(PASSWORD_OF_BOB, salt)]:
        token = new_token()
        alice.run(_ATTEMPT, email, key, token)
        outcomes += alice.run(_FINISH, token)
    alice.scene.as_owner("delete from todo_auth.sign_in_attempts")
    assert outcomes == [("wrong",)] * 10 + [("closed",)]
    return "the address is locked, for the right password as well"


@attack("lock somebody out: wrong passwords for the address, in the session, in one's own session")
def _(alice: Attacker) -> str:
    bob = alice.scene.bob
    guess_in_session = "select todo_auth.attempt_password_change(%s, %s)"
    for _ in range(12):
        alice.run(_ATTEMPT, bob.email, "0" * 128, new_token())
        alice.run(guess_in_session, "0" * 128, new_token())
    ((salt,),) = alice.connection.execute(
        "select todo_auth.password_salt(%s)", (bob.email,)
    ).fetchall()
    alice.be(bob.token)
    token = new_token()
    alice.run(guess_in_session, derive_key(PASSWORD_OF_BOB, salt), token)
    stored = alice.scene.as_owner("select password from accounts where user_id = %s", bob.id)
    change = "select outcome from todo_auth.change_password(%s, %s)"
    alice.run("begin")
    outcome = alice.connection.execute(change, (token, stored[0][0])).fetchall()
    alice.run("rollback")
    alice.scene.as_owner("delete from todo_auth.sign_in_attempts")
    assert outcome == [("right",)], "Bob cannot change his password"
    return (
        "signing in is closed for 15 minutes; who has a session changes the password all the same"
    )


@attack("reuse one attempt for many guesses, or an attempt of another transaction")
def _(alice: Attacker) -> str:
    email = alice.scene.bob.email
    ((salt,),) = alice.connection.execute("select todo_auth.password_salt(%s)", (email,)).fetchall()
    token = new_token()
    alice.run(_ATTEMPT, email, "0" * 128, token)
    alice.run(_ATTEMPT, email, derive_key(PASSWORD_OF_BOB, salt), token)
    assert alice.run(_FINISH, token) == [("wrong",)]
    alice.scene.as_owner("delete from todo_auth.sign_in_attempts")
    return "the first guess stands"


# Holding others up


@attack("cancel or end others' connections")
def _(alice: Attacker) -> str:
    with psycopg.connect(alice.scene.url) as other:
        pid = other.info.backend_pid
        words = {
            alice.refused(f"select {function}({pid})")
            for function in ("pg_cancel_backend", "pg_terminate_backend")
        }
        other.execute("select 1")
    assert words
    return REFUSED


@attack("hold others up with locks: on tables, on the key of the migrations")
def _(alice: Attacker) -> str:
    for table in ("users in share mode", "sessions in access share mode", "accounts"):
        alice.run("begin")
        alice.refused(f"lock table {table}")
    # PostgreSQL lets whoever may delete from a table lock it, and anybody take advisory locks.
    alice.run("begin")
    alice.run("lock table tasks in access exclusive mode")
    alice.run("select pg_advisory_xact_lock(7307199250321003123)")
    alice.run("rollback")
    return "not kept off: tasks can be locked while connected; nothing is read or changed by it"
