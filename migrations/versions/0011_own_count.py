"""Failures to change a password are counted for each session, apart from failures to sign in.

Revision 0006 counted both together for each address. So anybody could lock an address by ten wrong
passwords, again and again, and its owner could not change the password even with a valid session.
To lock the change in one session, one needs the token of that session.

As for signing in, the attempt returns nothing and does the same work for success and failure.
Another transaction returns the outcome; see revision 0006.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}

ATTEMPT = """
create function todo_auth.attempt_password_change(derived_key text, token text) returns void
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    mine record;
    counted_by bytea;
    mark bytea := sha256(convert_to(token, 'UTF8'));
    is_right boolean;
    is_closed boolean;
begin
    if token !~ '^[A-Za-z0-9_-]{32,128}$' then
        raise exception 'malformed token' using errcode = 'check_violation';
    end if;
    select s.id as session_id, s.user_id, substr(a.password, 34) as derived_key into mine
    from public.sessions as s
    left join public.accounts as a on a.user_id = s.user_id and a.provider_id = 'credential'
        and a.password ~ '^[0-9a-f]{32}:[0-9a-f]{128}$'
    where s.token = current_setting('todo.session_token', true) and s.expires_at > now()
    order by a.created_at limit 1;
    if not found then
        return;
    end if;
    -- No address has this digest: theirs are keyed by the database's secret.
    counted_by := sha256(convert_to('session ' || mine.session_id, 'UTF8'));
    is_right := coalesce(
        sha256(convert_to(mine.derived_key, 'UTF8')) = sha256(convert_to(derived_key, 'UTF8')),
        false
    );
    is_closed := todo_auth.door_closed_until(counted_by, mark) is not null;
    insert into todo_auth.sign_in_attempts
        (token_digest, address_digest, user_id, failed, refused, transaction_id)
    values (
        mark, counted_by, mine.user_id, not is_right and not is_closed, is_closed,
        pg_current_xact_id()
    )
    on conflict (token_digest) do nothing;
end
$$
"""

CHANGE_PASSWORD = """
create or replace function todo_auth.change_password(token text, password_hash text)
returns table (outcome text, retry_at timestamptz)
language plpgsql volatile strict security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    me uuid := todo_auth.current_user_id();
    settled record;
begin
    if password_hash !~ '^[0-9a-f]{{32}}:[0-9a-f]{{128}}$' then
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
        where u.id = me and {attempts}
            and a.token_digest <> sha256(convert_to(change_password.token, 'UTF8'));
    end if;
    return query select settled.outcome, settled.retry_at where settled.outcome is not null;
end
$$
"""
BY_ADDRESS = "a.address_digest = todo_auth.address_digest(u.email)"
BY_ADDRESS_OR_SESSION = f"({BY_ADDRESS} or a.user_id = me)"

UPGRADE = [
    ATTEMPT,
    "revoke all on function todo_auth.attempt_password_change(text, text) from public",
    "grant execute on function todo_auth.attempt_password_change(text, text) to todo_app",
    CHANGE_PASSWORD.format(attempts=BY_ADDRESS_OR_SESSION),
]

DOWNGRADE = [
    CHANGE_PASSWORD.format(attempts=BY_ADDRESS),
    "drop function todo_auth.attempt_password_change(text, text)",
]


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
