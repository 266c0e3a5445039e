"""Functions of the database to sign up, sign in and change a password.

`todo_app` may call these functions, but read none of their tables. PostgreSQL has no scrypt, so the
client derives the key, from the salt that `password_salt` returns. For an address without an
account this is a fake salt, derived from the address and a secret of this database. It looks like
a real one and is the same every time.

Signing in takes two transactions, because a client that sends its own SQL can roll back. If one
function both checked a password and counted the failure, such a client could call it a million
times in transactions that never commit. So `attempt_sign_in` returns nothing. It stores the
outcome, with the same work and in a row of the same size for success and failure. `finish_sign_in`
returns the outcome, but only if the attempt was made in another, committed transaction. By then
the attempt is counted. The client sends both in one round trip.

Ten failures within 15 minutes lock an address for 15 minutes, whether or not it has an account. The
functions call this a closed door. The lock is checked when the outcome is returned, over all
committed attempts, so that of many concurrent attempts no more than ten get an answer. No attempt
waits for the row lock of another one, so many attempts on one address do not block other people.
Attempts on a locked address are not counted, so that they do not prolong the lock.

Only the owner may make temporary objects, or objects in `public`. Behind a pooler that shares
connections, a temporary table named `tasks` would shadow the real one for the next client.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

# 244 random bits; gen_random_uuid() draws them from the system's generator.
MAKE_SECRET = """
insert into todo_auth.secrets (name, value)
values ('salts', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
"""

ADDRESS_DIGEST = """
create function todo_auth.address_digest(address text) returns bytea
language sql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
    -- Nested, as in HMAC: what is hashed cannot be extended.
    select sha256(s.value || sha256(s.value || convert_to(lower(address), 'UTF8')))
    from todo_auth.secrets as s
    where s.name = 'salts'
$$
"""

PASSWORD_SALT = """
create function todo_auth.password_salt(address text) returns text
language sql stable strict security definer
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select substr(a.password, 1, 32)
            from public.users as u
            join public.accounts as a on a.user_id = u.id and a.provider_id = 'credential'
            where u.email = lower(address) and a.password ~ '^[0-9a-f]{32}:[0-9a-f]{128}$'
            order by a.created_at limit 1
        ),
        substr(encode(todo_auth.address_digest('salt of ' || address), 'hex'), 1, 32)
    )
$$
"""

DOOR_CLOSED_UNTIL = """
create function todo_auth.door_closed_until(door bytea, but_for bytea) returns timestamptz
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select max(tenth.attempted_at) + interval '15 minutes'
    from (
        select a.attempted_at, lag(a.attempted_at, 9) over (order by a.attempted_at) as first_at
        from todo_auth.sign_in_attempts as a
        where a.address_digest = door and a.failed and a.token_digest <> but_for
            and a.attempted_at > clock_timestamp() - interval '30 minutes'
    ) as tenth
    where tenth.first_at > tenth.attempted_at - interval '15 minutes'
        and tenth.attempted_at > clock_timestamp() - interval '15 minutes'
$$
"""

ATTEMPT_SIGN_IN = """
create function todo_auth.attempt_sign_in(address text, derived_key text, token text)
returns void
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    door bytea := todo_auth.address_digest(address);
    mark bytea := sha256(convert_to(token, 'UTF8'));
    stored record;
    is_right boolean;
    is_closed boolean;
begin
    if token !~ '^[A-Za-z0-9_-]{32,128}$' then
        raise exception 'malformed token' using errcode = 'check_violation';
    end if;
    select u.id, substr(a.password, 34) as derived_key into stored
    from public.users as u
    join public.accounts as a on a.user_id = u.id and a.provider_id = 'credential'
    where u.email = lower(address) and a.password ~ '^[0-9a-f]{32}:[0-9a-f]{128}$'
    order by a.created_at limit 1;
    -- Digests, so that the time it takes says nothing about where two keys begin to differ.
    is_right := coalesce(
        sha256(convert_to(stored.derived_key, 'UTF8')) = sha256(convert_to(derived_key, 'UTF8')),
        false
    );
    is_closed := todo_auth.door_closed_until(door, mark) is not null;
    -- No column is NULL and none varies in size; no key refers to another table. Whatever a
    -- transaction can see of its own work is the same for a right key as for a wrong one.
    insert into todo_auth.sign_in_attempts
        (token_digest, address_digest, user_id, failed, refused, transaction_id)
    values (
        mark, door, coalesce(stored.id, gen_random_uuid()),
        not is_right and not is_closed, is_closed, pg_current_xact_id()
    )
    -- A repeated try, or a token used for another guess: the first one stands.
    on conflict (token_digest) do nothing;
end
$$
"""

SETTLE_ATTEMPT = """
create function todo_auth.settle_attempt(
    token text, out outcome text, out retry_at timestamptz, out user_id uuid, out is_first boolean
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    mark bytea := sha256(convert_to(token, 'UTF8'));
    attempt record;
begin
    select a.* into attempt
    from todo_auth.sign_in_attempts as a
    where a.token_digest = mark and a.attempted_at > clock_timestamp() - interval '5 minutes'
        and a.transaction_id <> pg_current_xact_id()
    for update;
    if not found then
        return;
    end if;
    retry_at := todo_auth.door_closed_until(attempt.address_digest, mark);
    if retry_at is not null or attempt.refused then
        outcome := 'closed';
    elsif attempt.failed then
        outcome := 'wrong';
    else
        outcome := 'right';
        user_id := attempt.user_id;
        is_first := not attempt.spent;
        update todo_auth.sign_in_attempts as a set spent = true where a.token_digest = mark;
        delete from todo_auth.sign_in_attempts as a
        where a.address_digest = attempt.address_digest and a.failed;
    end if;
    delete from todo_auth.sign_in_attempts as a
    where a.token_digest in (
        select old.token_digest from todo_auth.sign_in_attempts as old
        where old.attempted_at < clock_timestamp() - interval '1 hour'
        order by old.attempted_at limit 100 for update skip locked
    );
end
$$
"""

FINISH_SIGN_IN = """
create function todo_auth.finish_sign_in(token text, user_agent text)
returns table (
    outcome text, retry_at timestamptz, user_id uuid, email text, name text,
    expires_at timestamptz
)
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    settled record;
begin
    settled := todo_auth.settle_attempt(token);
    -- Once only: a session that was ended must not come back by its old token.
    if settled.is_first then
        delete from public.sessions as s
        where s.user_id = settled.user_id and s.expires_at <= clock_timestamp();
        insert into public.sessions (user_id, token, expires_at, user_agent)
        values (
            settled.user_id, finish_sign_in.token, clock_timestamp() + interval '168 hours',
            left(finish_sign_in.user_agent, 200)
        )
        on conflict do nothing;
    end if;
    return query
        select settled.outcome, settled.retry_at, u.id, u.email, u.name, s.expires_at
        from (select) as one
        left join public.sessions as s
            on s.token = finish_sign_in.token and s.user_id = settled.user_id
        left join public.users as u on u.id = s.user_id
        where settled.outcome is not null;
end
$$
"""

SIGN_UP = r"""
create function todo_auth.sign_up(
    address text, called text, password_hash text, token text, user_agent text
)
returns table (user_id uuid, email text, name text, expires_at timestamptz)
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    new_id uuid;
begin
    if length(address) > 254 or address <> lower(address) or address !~
        '^([a-z0-9_''+-]+\.)*[a-z0-9_''+-]*[a-z0-9_+-]@([a-z0-9][a-z0-9-]*\.)+[a-z]{2,}$'
    then
        raise exception 'malformed e-mail address' using errcode = 'check_violation';
    elsif called !~ '\S' or length(called) > 200 or called ~ '[\u0001-\u001F\u007F-\u009F]' then
        raise exception 'malformed name' using errcode = 'check_violation';
    elsif password_hash !~ '^[0-9a-f]{32}:[0-9a-f]{128}$' then
        raise exception 'malformed password hash' using errcode = 'check_violation';
    elsif token !~ '^[A-Za-z0-9_-]{32,128}$' then
        raise exception 'malformed token' using errcode = 'check_violation';
    end if;
    insert into public.users (email, name) values (address, called)
    on conflict do nothing returning id into new_id;
    if new_id is not null then
        insert into public.accounts (user_id, account_id, provider_id, password)
        values (new_id, new_id::text, 'credential', password_hash);
        insert into public.sessions (user_id, token, expires_at, user_agent)
        values (
            new_id, sign_up.token, clock_timestamp() + interval '168 hours',
            left(sign_up.user_agent, 200)
        )
        on conflict do nothing;
        if not found then
            raise exception 'malformed token' using errcode = 'check_violation';
        end if;
    end if;
    -- No row: the address is taken. A repeated try finds what the first one made, by its token.
    return query
        select u.id, u.email, u.name, s.expires_at
        from public.users as u join public.sessions as s on s.user_id = u.id
        where u.email = address and s.token = sign_up.token;
end
$$
"""

CHANGE_PASSWORD = """
create function todo_auth.change_password(token text, password_hash text)
returns table (outcome text, retry_at timestamptz)
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    me uuid := todo_auth.current_user_id();
    settled record;
begin
    if password_hash !~ '^[0-9a-f]{32}:[0-9a-f]{128}$' then
        raise exception 'malformed password hash' using errcode = 'check_violation';
    end if;
    settled := todo_auth.settle_attempt(token);
    if settled.outcome = 'right' and settled.user_id is distinct from me then
        return;
    end if;
    if settled.is_first then
        update public.accounts as a set password = password_hash, updated_at = clock_timestamp()
        where a.user_id = me and a.provider_id = 'credential';
        delete from public.sessions as s
        where s.user_id = me and s.token <> current_setting('todo.session_token');
        -- Attempts that were made with the old password are worth nothing any more.
        delete from todo_auth.sign_in_attempts as a
        using public.users as u
        where u.id = me and a.address_digest = todo_auth.address_digest(u.email)
            and a.token_digest <> sha256(convert_to(change_password.token, 'UTF8'));
    end if;
    return query select settled.outcome, settled.retry_at where settled.outcome is not null;
end
$$
"""

OWN_ACCOUNT = """
create function todo_auth.own_account()
returns table (user_id uuid, email text, name text, expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select u.id, u.email, u.name, s.expires_at
    from public.sessions as s join public.users as u on u.id = s.user_id
    where s.token = current_setting('todo.session_token', true) and s.expires_at > now()
$$
"""

OWN_SESSIONS = """
create function todo_auth.own_sessions()
returns table (
    id uuid, is_current boolean, created_at timestamptz, updated_at timestamptz,
    expires_at timestamptz, ip_address text, user_agent text
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select s.id, s.token = current_setting('todo.session_token'), s.created_at, s.updated_at,
        s.expires_at, s.ip_address, s.user_agent
    from public.sessions as s
    where s.user_id = todo_auth.current_user_id() and s.expires_at > now()
    order by s.created_at desc, s.id
$$
"""

REVOKE_SESSION = """
create function todo_auth.revoke_session(session_id uuid) returns boolean
language sql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
    with revoked as (
        delete from public.sessions as s
        where s.id = session_id and s.user_id = todo_auth.current_user_id()
        returning 1
    )
    select exists (select from revoked)
$$
"""

SIGN_OUT = """
create function todo_auth.sign_out() returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with ended as (
        delete from public.sessions as s
        where s.token = current_setting('todo.session_token', true)
        returning 1
    )
    select exists (select from ended)
$$
"""

SIGN_OUT_EVERYWHERE = """
create function todo_auth.sign_out_everywhere() returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with ended as (
        delete from public.sessions as s
        where s.user_id = todo_auth.current_user_id()
        returning 1
    )
    select count(*) from ended
$$
"""

FUNCTIONS = {
    "address_digest(text)": ADDRESS_DIGEST,
    "password_salt(text)": PASSWORD_SALT,
    "door_closed_until(bytea, bytea)": DOOR_CLOSED_UNTIL,
    "attempt_sign_in(text, text, text)": ATTEMPT_SIGN_IN,
    "settle_attempt(text)": SETTLE_ATTEMPT,
    "finish_sign_in(text, text)": FINISH_SIGN_IN,
    "sign_up(text, text, text, text, text)": SIGN_UP,
    "change_password(text, text)": CHANGE_PASSWORD,
    "own_account()": OWN_ACCOUNT,
    "own_sessions()": OWN_SESSIONS,
    "revoke_session(uuid)": REVOKE_SESSION,
    "sign_out()": SIGN_OUT,
    "sign_out_everywhere()": SIGN_OUT_EVERYWHERE,
}
INTERNAL = {"address_digest(text)", "door_closed_until(bytea, bytea)", "settle_attempt(text)"}
"""Only the other functions may call these."""

# Where we do not own the database or the schema, PostgreSQL only warns, and nothing changes.
CLOSE_DATABASE = """
do $$
begin
    execute format('revoke temporary on database %I from public', current_database());
    revoke create on schema public from public;
end
$$
"""

REOPEN_DATABASE = """
do $$
begin
    execute format('grant temporary on database %I to public', current_database());
end
$$
"""

UPGRADE = [
    CLOSE_DATABASE,
    """
    create table todo_auth.secrets (
        name text not null,
        value bytea not null,
        constraint pk_secrets primary key (name)
    )
    """,
    """
    create table todo_auth.sign_in_attempts (
        token_digest bytea not null,
        address_digest bytea not null,
        user_id uuid not null,
        failed boolean not null,
        refused boolean not null,
        spent boolean not null default false,
        transaction_id xid8 not null,
        attempted_at timestamptz not null default clock_timestamp(),
        constraint pk_sign_in_attempts primary key (token_digest)
    )
    """,
    "create index ix_sign_in_attempts_address_digest_attempted_at"
    " on todo_auth.sign_in_attempts (address_digest, attempted_at)",
    "create index ix_sign_in_attempts_attempted_at on todo_auth.sign_in_attempts (attempted_at)",
    # No role has privileges on these tables, and they have no policies: only the owner has access.
    "alter table todo_auth.secrets enable row level security",
    "alter table todo_auth.sign_in_attempts enable row level security",
    "alter table todo_auth.task_counters enable row level security",
    MAKE_SECRET,
    *FUNCTIONS.values(),
    *(f"revoke all on function todo_auth.{name} from public" for name in FUNCTIONS),
    *(
        f"grant execute on function todo_auth.{name} to todo_app"
        for name in FUNCTIONS
        if name not in INTERNAL
    ),
]

DOWNGRADE = [
    *(f"drop function todo_auth.{name}" for name in reversed(FUNCTIONS)),
    "alter table todo_auth.task_counters disable row level security",
    "drop table todo_auth.sign_in_attempts",
    "drop table todo_auth.secrets",
    REOPEN_DATABASE,
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
