"""The commands on accounts.

A password comes from the terminal or from standard input. Other processes can read arguments and
variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from todo_cli.commands.options import CommandGroup, current_run
from todo_cli.errors import (
    DatabaseLoginRefused,
    DatabaseUnreachable,
    InvalidInput,
    RuleViolated,
    SchemaBehind,
    SessionEnded,
    TodoError,
    TokenFromEnvironment,
)
from todo_cli.values import StoreKind

if TYPE_CHECKING:
    from todo_cli.accounts import Accounts
    from todo_cli.context import Run
    from todo_cli.values import Account

commands = CommandGroup()

Email = Annotated[
    str | None, typer.Option("--email", metavar="ADDRESS", help="The account's e-mail address.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
CredentialStore = Annotated[
    StoreKind,
    typer.Option("--credential-store", help="Where to store the session; a file is less safe."),
]


@commands.command(needs_own_process=True)
def register(
    ctx: typer.Context,
    email: Email = None,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Your name, as others see it.")
    ] = None,
    password_stdin: PasswordStdin = False,
    credential_store: CredentialStore = StoreKind.KEYRING,
) -> None:
    """Create an account and log in. It is the same account on the web.

    \b
    Examples:
      todo register
      todo register --email ada@example.org --name "Ada Lovelace"
      pass todo | todo register --email a@example.org --name A --password-stdin
    """
    run = current_run(ctx)
    _refuse_variable(run, "log in")
    _look_first(run, credential_store)
    email = run.questions.ask("E-mail: ", option="--email") if email is None else email
    name = run.questions.ask("Name: ", option="--name") if name is None else name
    password = _new_password(run, from_stdin=password_stdin)
    account, token = run.workspace.anonymous_accounts.register(email, name, password)
    _keep_new_session(run, account, token, credential_store)


@commands.command(needs_own_process=True)
def login(
    ctx: typer.Context,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Read a session token from standard input.")
    ] = False,
    credential_store: CredentialStore = StoreKind.KEYRING,
) -> None:
    """Log in to your account, the same as on the web. `--database-url` also keeps that database.

    The session, and the URL with it, is kept in the system's keyring. The next commands go to the
    database that was last given with --database-url.

    \b
    Examples:
      todo login
      todo login --email ada@example.org --database-url postgresql://…
      pass show todo | todo login --email ada@example.org --password-stdin
      todo login --with-token < token.txt
    """
    run = current_run(ctx)
    if with_token and (password_stdin or email is not None):
        raise InvalidInput("--with-token goes with neither --email nor --password-stdin.")
    _refuse_variable(run, "log in")
    _choose_database(run)
    _look_first(run, credential_store)
    if with_token:
        token = _secret(
            run, "session token", "--with-token", from_stdin=not run.questions.has_terminal
        )
        token = token.strip()
        _keep(run, _logged_in_by(run, token, credential_store).current(), token)
        return
    email = run.questions.ask("E-mail: ", option="--email") if email is None else email
    password = _secret(run, "password", "--password-stdin", from_stdin=password_stdin)
    account, token = run.workspace.anonymous_accounts.log_in(email, password)
    _keep_new_session(run, account, token, credential_store)


@commands.command(needs_own_process=True)
def logout(
    ctx: typer.Context,
    everywhere: Annotated[
        bool, typer.Option("--all", help="End every session of the account.")
    ] = False,
) -> None:
    """End the session, and forget it and the database's URL on this machine.

    \b
    Examples:
      todo logout
      todo logout --all             # also on the web and on other machines
    """
    run = current_run(ctx)
    _refuse_variable(run, "log out")
    workspace = run.workspace
    is_logged_in = workspace.login is not None
    count = _end_session(run, everywhere=everywhere) if is_logged_in else 0
    workspace.forget_login()
    was = "Logged out of" if is_logged_in else "Nobody was logged in on"
    run.render.note(f"{was} {workspace.target.label}.")
    if workspace.logs_in_by_itself:
        run.render.note("The next command logs in to its local account.")
    if run.options.json:
        run.render.facts({"database": workspace.target.label, "sessions_ended": count})


@commands.command()
def whoami(ctx: typer.Context) -> None:
    """Show who is logged in, to which database, and when the session expires.

    \b
    Examples:
      todo whoami
      todo whoami --json
    """
    run = current_run(ctx)
    run.render.facts(_facts(run, run.workspace.accounts.current()))


@commands.command()
def sessions(
    ctx: typer.Context,
    revoke: Annotated[
        str | None,
        typer.Option(metavar="ID", help="End this session; the beginning of its id is enough."),
    ] = None,
) -> None:
    """List the sessions of the account, here, on other machines and on the web.

    \b
    Examples:
      todo sessions
      todo sessions --revoke 3f2a
    """
    run = current_run(ctx)
    if revoke is None:
        run.render.sessions(run.workspace.accounts.sessions())
        return
    revoked = run.workspace.accounts.revoke(revoke)
    run.render.note(f"Ended session {str(revoked.id)[:8]}.")
    if run.options.json:
        run.render.facts({"id": revoked.id, "revoked": True})


@commands.command(needs_own_process=True)
def passwd(ctx: typer.Context, password_stdin: PasswordStdin = False) -> None:
    """Change the account's password, here and on the web, and end its other sessions.

    With --password-stdin, the first line is the current password, the second the new one.

    \b
    Examples:
      todo passwd
      todo passwd --password-stdin < two-lines.txt
    """
    run = current_run(ctx)
    if password_stdin:
        current, new = _two_lines(run)
    else:
        if run.questions.has_terminal:
            run.workspace.accounts.current()  # fails before anybody types three passwords
        current = run.questions.ask_secret("Current password: ", option="--password-stdin")
        new = _new_password(run, from_stdin=False)
    run.workspace.accounts.change_password(current, new)
    run.render.note("The password is changed; the other sessions are ended.")
    if run.options.json:
        run.render.facts({"changed": True})


def _refuse_variable(run: Run, what: str) -> None:
    if run.settings.session_token:
        raise TokenFromEnvironment(
            f"Cannot {what}: TODO_SESSION_TOKEN is set, and decides who is logged in."
        )


def _look_first(run: Run, kind: StoreKind) -> None:
    """Before the first question, check that a session can be stored and created."""
    run.workspace.check_store(kind)
    if run.questions.has_terminal:
        run.workspace.require_schema()


def _logged_in_by(run: Run, token: str, kind: StoreKind) -> Accounts:
    """The accounts under the token's session. `kind` is where the session will be stored."""
    return run.workspace.use_token(token, run.workspace.store_kind(kind))


def _choose_database(run: Run) -> None:
    """Ask for the database's URL if no server was named. The embedded database may not exist yet.

    Raises:
        InvalidInput: no server was named, and there is no embedded database.
    """
    if not run.workspace.logs_in_by_itself:
        return
    is_made = run.workspace.home.is_made
    if run.questions.has_terminal:
        question = f"Database URL{' (nothing for the embedded one)' if is_made else ''}: "
        if url := run.questions.ask_secret(question, option="--database-url").strip():
            run.workspace.use_database(url)
            return
    if not is_made:
        raise InvalidInput(
            "No database was named to log in to. The embedded database needs no log-in.",
            hint="Name it with: todo login --database-url postgresql://…",
        )


def _keep_new_session(run: Run, account: Account, token: str, kind: StoreKind) -> None:
    """Store a new session, or end it if it cannot be stored."""
    accounts = _logged_in_by(run, token, kind)
    try:
        _keep(run, account, token)
    except TodoError:
        accounts.log_out()
        raise


def _keep(run: Run, account: Account, token: str) -> None:
    workspace = run.workspace
    assert workspace.login is not None
    kind = StoreKind(workspace.login.source)
    workspace.keep_login(account, token, kind)
    run.render.note(f"Logged in as {account.email} on {workspace.target.label}.")
    if run.options.json:
        run.render.facts(_facts(run, account))


def _end_session(run: Run, *, everywhere: bool) -> int:
    """End the session in the database. Returns how many sessions it ended.

    A session that ended before is not an error. An unreachable database is one with `everywhere`
    only: otherwise it is enough to forget the token here.
    """
    try:
        if everywhere:
            return run.workspace.accounts.log_out_everywhere()
        run.workspace.accounts.log_out()
    except SessionEnded:
        return 0
    except (DatabaseUnreachable, DatabaseLoginRefused, RuleViolated, SchemaBehind) as error:
        if everywhere:
            raise
        run.render.note(f"Warning: {error.message} The session may go on there until it expires.")
        return 0
    return 1


def _facts(run: Run, account: Account) -> dict[str, Any]:
    return {
        "user_id": account.user_id,
        "email": account.email,
        "name": account.name,
        "database": run.workspace.target.label,
        "database_source": run.workspace.target.source,
        "credential_source": run.workspace.login.source if run.workspace.login else None,
        "expires_at": account.expires_at,
    }


def _new_password(run: Run, *, from_stdin: bool) -> str:
    password = _secret(run, "new password", "--password-stdin", from_stdin=from_stdin)
    if not from_stdin and password != run.questions.ask_secret(
        "Again: ", option="--password-stdin"
    ):
        raise InvalidInput("The two passwords differ.")
    return password


def _secret(run: Run, what: str, option: str, *, from_stdin: bool) -> str:
    if not from_stdin:
        return run.questions.ask_secret(f"{what.capitalize()}: ", option=option)
    secret = run.stdin_text(f"the {what}").removesuffix("\n").removesuffix("\r")
    if not secret:
        raise InvalidInput("Standard input is empty.", hint=f"{option} reads from it.")
    return secret


def _two_lines(run: Run) -> tuple[str, str]:
    text = run.stdin_text("the current password and the new one, a line each")
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if len(lines) != 2 or not all(lines):
        raise InvalidInput(
            "Standard input does not have two lines.",
            hint="The first line is the current password, the second the new one.",
        )
    return lines[0], lines[1]
