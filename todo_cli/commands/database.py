"""The commands for administrators: `todo db …`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from todo_cli.commands.options import CommandGroup, current_run
from todo_cli.errors import AccountNotFound, InvalidInput

if TYPE_CHECKING:
    from todo_cli.admin.connect import Connection
    from todo_cli.admin.dump import Manifest
    from todo_cli.admin.migrate import IndexProgress, Revision, Status
    from todo_cli.context import Run
    from todo_cli.database.target import Target
    from todo_cli.render_database import Progress

db = CommandGroup()
"""`app.py` adds these commands to the program as `todo db`."""

_SECTIONS = "cache, connections, long-running, locks, tables, indexes, statements"
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, but change nothing.")]


@db.command()
def upgrade(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(metavar="[REVISION]", show_default=False)] = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements instead.")] = False,
) -> None:
    """Upgrade the schema to the newest revision, or to REVISION.

    It is safe to run this twice, at the same time as somebody else, and again after an
    interruption. It also restores missing policies and privileges.

    \b
    Examples:
      todo db upgrade
      todo db upgrade 0004
      todo db upgrade --sql > schema.sql
    """
    from todo_cli.admin import migrate

    run = current_run(ctx)
    if sql:
        run.database_render.sql(migrate.upgrade_sql(revision))
        return
    target = named_target(run, prepare=False)
    with run.database_render.progress("Upgrading") as progress:
        migrate.upgrade(
            target.url,
            revision,
            timeout_seconds=run.settings.timeout_seconds,
            watcher=_Narrator(run, progress),
        )
    _show_status(run, target)


@db.command()
def downgrade(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(metavar="REVISION", show_default=False)],
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements instead.")] = False,
    backup: Annotated[
        Path | None,
        typer.Option("--backup", metavar="FILE", help="Write a backup to FILE first."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Downgrade the schema to REVISION; `base` removes it all.

    The command first says what would be lost, and offers a backup.

    \b
    Examples:
      todo db downgrade 0004 --backup before.dump
      todo db downgrade 0004 --sql
    """
    from todo_cli.admin import migrate

    run = current_run(ctx)
    if sql:
        run.database_render.sql(migrate.downgrade_sql(revision))
        return
    target = named_target(run, prepare=False)
    if not yes:
        run.questions.require_confirmable("--yes")
    losses = migrate.losses(target.url, revision, timeout_seconds=run.settings.timeout_seconds)
    for loss in losses:
        count = "An unknown number" if loss.count is None else f"{loss.count:,}"
        run.render.note(f"Lost with {loss.revision}: {count} {loss.what}")
    if losses and backup is None and not yes:
        question = "File for a backup (Enter: no backup): "
        backup = _as_path(run.questions.ask(question, option="--backup"))
    _require_yes(run, lambda: f"Go back to {revision}?", yes=yes)
    if backup is not None:
        _back_up(run, target, backup)
        run.render.note(f"Backed up to {backup}.")
    if home := run.workspace.home_of(target):
        home.forget_revision()
    with run.database_render.progress("Downgrading") as progress:
        migrate.downgrade(
            target.url,
            revision,
            timeout_seconds=run.settings.timeout_seconds,
            watcher=_Narrator(run, progress),
        )
    _show_status(run, target)


@db.command()
def status(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a revision is pending.")
    ] = False,
) -> None:
    """Show the schema's revision, the newest one, and those in between.

    Exits with 1 if the schema is newer than this program.

    \b
    Examples:
      todo db status
      todo db status --check --json
    """
    run = current_run(ctx)
    found = _show_status(run, named_target(run, prepare=False))
    if found.is_newer:
        run.render.note(
            f"The schema is newer than this program ({found.head}). Upgrade the program."
        )
    if found.is_newer or (check and found.pending):
        raise typer.Exit(1)


@db.command()
def start(ctx: typer.Context) -> None:
    """Start the embedded server, if it is not running.

    \b
    Example:
      todo db start
    """
    from todo_cli.database.embedded import EmbeddedServer

    run = current_run(ctx)
    server = EmbeddedServer(run.settings.data_dir, run.invocation.environ)
    was_running = server.is_running()
    server.start()
    run.workspace.home.keep_running()
    run.render.note(
        "The embedded server was already running." if was_running else "The embedded server runs."
    )
    if run.options.json:
        run.database_render.facts({"running": True, "changed": not was_running})


@db.command()
def stop(ctx: typer.Context) -> None:
    """Stop the embedded server; the next command starts it again.

    \b
    Example:
      todo db stop
    """
    from todo_cli.database.embedded import EmbeddedServer

    run = current_run(ctx)
    stopped = EmbeddedServer(run.settings.data_dir, run.invocation.environ).stop()
    run.render.note(
        "The embedded server is stopped." if stopped else "The embedded server was not running."
    )
    if run.options.json:
        run.database_render.facts({"running": False, "changed": stopped})


@db.command()
def url(
    ctx: typer.Context,
    show_password: Annotated[
        bool, typer.Option("--show-password", help="Do not mask the password.")
    ] = False,
) -> None:
    """Print the URL of the database that the `db` commands work on.

    \b
    Examples:
      todo db url
      psql "$(todo db url --show-password)"
    """
    from todo_cli.admin.target import masked

    run = current_run(ctx)
    target = _target(run)
    shown = target.url if show_password else masked(target.url)
    if run.options.json:
        run.database_render.facts({"url": shown, "source": target.source})
    else:
        run.database_render.sql(shown)


@db.command()
def seed(
    ctx: typer.Context,
    users: Annotated[
        int, typer.Option(min=1, max=10_000_000, metavar="N", help="How many people.")
    ] = 10,
    tasks: Annotated[
        int, typer.Option(min=0, max=1_000_000_000, metavar="N", help="How many tasks in all.")
    ] = 250,
    random_seed: Annotated[
        int, typer.Option(min=0, max=2**62, metavar="N", help="Equal seeds create equal data.")
    ] = 1,
) -> None:
    """Create demonstration data: people with addresses that end in .seed.example.com, and tasks.

    Other people's tasks are not touched. `todo db cleanup` deletes the data again.

    \b
    Examples:
      todo db seed
      todo db seed --users 1000 --tasks 100000 --random-seed 7
    """
    from todo_cli.admin import seed as seeding

    run = current_run(ctx)
    with _connected(run) as connection, run.database_render.progress("Seeding") as progress:
        try:
            made = seeding.seed(
                connection, users=users, tasks=tasks, random_seed=random_seed, progress=progress
            )
        except KeyboardInterrupt as interruption:
            if hasattr(interruption, "__notes__"):
                interruption.add_note("hint: Delete them with: todo db cleanup")
            raise
    run.database_render.facts(
        {
            "users": made.users,
            "tasks": made.tasks,
            "seconds": round(made.seconds, 3),
            "tasks_per_second": round(made.tasks_per_second),
        }
    )


@db.command()
def cleanup(ctx: typer.Context, yes: Yes = False) -> None:
    """Delete the demonstration data of `todo db seed`, and nothing else.

    \b
    Example:
      todo db cleanup --yes
    """
    from todo_cli.admin import seed as seeding

    run = current_run(ctx)
    target = named_target(run)

    def question() -> str:
        with _connected(run, target) as connection:
            found = seeding.count(connection)
        return f"Delete {found.users:,} users of {seeding.DOMAIN}, and their {found.tasks:,} tasks?"

    _require_yes(run, question, yes=yes)
    with _connected(run, target) as connection, run.database_render.progress("Deleting") as seen:
        removed = seeding.cleanup(connection, progress=seen)
    run.database_render.facts({"users": removed.users, "tasks": removed.tasks})


@db.command()
def schema(
    ctx: typer.Context,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="mermaid, sql or json.")
    ] = "mermaid",
) -> None:
    """Show the tables, read from the catalog: a diagram, statements, or JSON.

    \b
    Examples:
      todo db schema
      todo db schema --format sql
      todo db schema --json
    """
    from todo_cli.admin.schema import Schema

    run = current_run(ctx)
    if form not in ("mermaid", "sql", "json"):
        raise InvalidInput(f"There is no format {form}.", hint="Use mermaid, sql or json.")
    with _connected(run) as connection:
        found = Schema.read(connection)
    if run.options.json or form == "json":
        run.database_render.document(found.description)
    else:
        run.database_render.sql(found.mermaid() if form == "mermaid" else found.sql())


@db.command()
def archive(
    ctx: typer.Context,
    older_than: Annotated[str, typer.Option(metavar="AGE", help="30d, 8w, 1y.")] = "365d",
    dry_run: DryRun = False,
) -> None:
    """Archive completed tasks that have not changed for a year, or for AGE.

    Their owners see them with `todo list --archived`, and restore them with
    `todo restore --archived`. It is safe to run this while others work, and to interrupt it.

    \b
    Examples:
      todo db archive --dry-run
      todo db archive --older-than 90d
    """
    from todo_cli.admin import retention

    run = current_run(ctx)
    age = retention.parse_age(older_than)
    with _connected(run) as connection:
        if dry_run:
            count = retention.count_archivable(connection, age)
            run.database_render.facts({"tasks": count, "dry_run": True})
            return
        _maintain(run, "Archiving", lambda seen: retention.archive(connection, age, progress=seen))


@db.command()
def purge(
    ctx: typer.Context,
    older_than: Annotated[str, typer.Option(metavar="AGE", help="30d, 8w, 1y.")] = "30d",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete for good what has been in the trash for 30 days, or AGE. Numbers are not reused.

    The history of these tasks goes too, and all events of the history that are older than 90 days.
    The commands of that time can then no longer be undone.

    \b
    Examples:
      todo db purge --dry-run
      todo db purge --older-than 8w --yes
    """
    from todo_cli.admin import retention

    run = current_run(ctx)
    age = retention.parse_age(older_than)
    target = named_target(run)

    def question() -> str:
        with _connected(run, target) as connection:
            count = retention.count_purgeable(connection, age)
        return f"Delete {count:,} tasks of everybody's trash, older than {older_than}, for good?"

    if not dry_run:
        _require_yes(run, question, yes=yes)
    with _connected(run, target) as connection:
        if dry_run:
            count = retention.count_purgeable(connection, age)
            events = retention.count_forgettable(connection)
            run.database_render.facts({"tasks": count, "events": events, "dry_run": True})
            return
        also = {"events": 0}

        def work(seen: Progress) -> int:
            tasks = retention.purge(connection, age, progress=seen)
            also["events"] = retention.forget_events(connection, progress=seen)
            return tasks

        _maintain(run, "Purging", work, also)


BackupFile = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@db.command()
def backup(ctx: typer.Context, file: BackupFile) -> None:
    """Write a verified dump of all rows to FILE, and its contents to FILE.manifest.json.

    Keep both files secret: the dump has everybody's tasks and password hashes. It has no sessions,
    so everybody logs in again after a restore. It has only the tables of this program.

    \b
    Example:
      todo db backup monday.dump
    """
    run = current_run(ctx)
    manifest = _back_up(run, named_target(run), file)
    _show_manifest(run, file, manifest)
    run.render.note(f"The backup leaves out the rows of {', '.join(manifest.left_out)}.")


@db.command()
def restore(ctx: typer.Context, file: BackupFile) -> None:
    """Restore a backup into an empty database: all of it, or nothing.

    The migrations create the schema, and no statement of the backup is run. Its rows decide who can
    log in and who sees which task, so restore only backups that you trust.

    \b
    Examples:
      createdb again
      todo db restore monday.dump --database-url postgresql:///again
      TODO_DATA_DIR=~/again todo db restore monday.dump
    """
    from todo_cli.admin.restore import restore as bring_back

    run = current_run(ctx)
    target = named_target(run, prepare=False)
    if home := run.workspace.home_of(target):
        home.forget_revision()
    with run.database_render.progress("Restoring") as progress:
        manifest = bring_back(
            target.url,
            file.absolute(),
            environ=run.invocation.environ,
            timeout_seconds=run.settings.timeout_seconds,
            progress=progress,
        )
    _show_manifest(run, file, manifest)
    run.render.note("A backup has no sessions: everybody has to log in again.")
    if manifest.roles:
        names = ", ".join(manifest.roles)
        run.render.note(f"A backup has no log-in roles. Grant them again: {names}")


def _show_manifest(run: Run, file: Path, manifest: Manifest) -> None:
    run.database_render.facts(
        {
            "file": str(file),
            "bytes": manifest.bytes,
            "sha256": manifest.sha256,
            "users": manifest.tables.get("public.users", 0),
            "tasks": manifest.tables.get("public.tasks", 0),
            "archived_tasks": manifest.tables.get("public.tasks_archive", 0),
            "revision": manifest.revision,
        }
    )


@db.command()
def health(
    ctx: typer.Context,
    wait: Annotated[
        float,
        typer.Option(
            min=0, max=86_400, metavar="SECONDS", help="Wait for the database up to SECONDS."
        ),
    ] = 0.0,
) -> None:
    """Check the database; exit with 1 if a check fails, 3 if it cannot be reached.

    \b
    Examples:
      todo db health
      todo db health --wait 60 --json
    """
    from todo_cli.admin.health import CheckStatus, examine
    from todo_cli.commands.hints import hint_of_check

    run = current_run(ctx)
    target = named_target(run)
    home = run.workspace.home_of(target)
    found = examine(
        target.url,
        now=run.now,
        wait_seconds=wait,
        data_dir=home.data_dir if home else None,
    )
    checks = [vars(check) | {"hint": hint_of_check(check)} for check in found.checks]
    for check in checks:
        del check["reason"]
    run.database_render.health(str(found.status), target.label, checks)
    if found.status is CheckStatus.FAIL:
        raise typer.Exit(1)


@db.command()
def explain(
    ctx: typer.Context,
    plans: Annotated[bool, typer.Option("--plans", help="Show the plans as outlines.")] = False,
) -> None:
    """Show how the database runs the seven query patterns for you: plan, time, target, verdict.

    The statements are those of the commands. They run under your session and change nothing.

    \b
    Examples:
      todo db explain
      todo db explain --plans
      todo db explain --json
    """
    from todo_cli.admin.explain import explain as explained

    run = current_run(ctx)
    workspace = run.workspace
    run.render.note(f"Target: {workspace.target.label}")  # not the administrative target
    patterns = explained(workspace.database)
    rows = [
        {
            "pattern": one.pattern,
            "indexes": one.plan.indexes,
            "milliseconds": round(one.plan.milliseconds or 0.0, 3),
            "rows": one.plan.rows,
            "target_milliseconds": one.target_milliseconds,
            "ok": one.ok,
        }
        for one in patterns
    ]
    run.database_render.rows(rows)
    if plans and not run.options.json:
        for one in patterns:
            run.database_render.sql(f"\n{one.pattern}\n{one.plan.text}")


@db.command()
def inspect(
    ctx: typer.Context,
    section: Annotated[
        str | None, typer.Argument(metavar="[SECTION]", help=_SECTIONS, show_default=False)
    ] = None,
) -> None:
    """Inspect the running database: all sections, or one.

    \b
    Examples:
      todo db inspect
      todo db inspect tables
      todo db inspect locks --json
    """
    from todo_cli.admin.inspect import Section, has_statements, sees_everything
    from todo_cli.admin.inspect import inspect as look

    run = current_run(ctx)
    if section is not None and section not in list(Section):
        raise InvalidInput(f"There is no section {section}.", hint=f"Use one of: {_SECTIONS}")
    sections = list(Section) if section is None else [Section(section)]
    with _connected(run) as connection:
        if not sees_everything(connection):
            run.render.note(
                "This role is not a member of pg_read_all_stats and cannot see other roles' "
                "sessions."
            )
        if Section.STATEMENTS in sections and not has_statements(connection):
            run.render.note("Statements are not counted: create extension pg_stat_statements")
        found = {str(one): look(connection, one) for one in sections}
    run.database_render.sections(found, as_array=section is not None)


@db.command()
def grant(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The role's name.")],
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Delete the role and end its connections.")
    ] = False,
) -> None:
    """Create a log-in role for a person, and print its URL once.

    Row-level security limits the role to its person's own tasks. With the URL and an account, all
    personal commands work. No `db` command that changes anything does.

    \b
    Examples:
      todo db grant ada
      todo db grant ada --revoke
    """
    from todo_cli.admin import grants

    run = current_run(ctx)
    target = named_target(run)
    if revoke:
        grants.revoke(target.url, name, timeout_seconds=run.settings.timeout_seconds)
        run.render.note(f"Deleted the role {name}.")
        if run.options.json:
            run.render.facts({"role": name, "revoked": True})
        return
    url = grants.grant(target.url, name, timeout_seconds=run.settings.timeout_seconds)
    if run.options.json or run.render.is_terminal:
        run.render.note("This URL is shown only once. It contains the role's password.")
    if run.options.json:
        run.render.facts({"role": name, "url": url, "database": target.label})
    else:
        run.render.line(url)


@db.command("grants")
def list_grants(ctx: typer.Context) -> None:
    """List the log-in roles for people that `todo db grant` made.

    \b
    Examples:
      todo db grants
      todo db grants --json
    """
    from todo_cli.admin import grants

    run = current_run(ctx)
    target = named_target(run)
    names = grants.granted(target.url, timeout_seconds=run.settings.timeout_seconds)
    run.database_render.rows([{"role": name} for name in names])


@db.command()
def unlock(
    ctx: typer.Context,
    email: Annotated[str, typer.Argument(metavar="E-MAIL", show_default=False)],
) -> None:
    """Unlock an account that too many wrong passwords have locked.

    The failures of the last half hour no longer count. Passwords and sessions stay.

    \b
    Examples:
      todo db unlock ada@example.org
      todo db unlock ada@example.org --json
    """
    from dataclasses import asdict

    from todo_cli.admin.unlock import unlock as unlocked

    run = current_run(ctx)
    with _connected(run) as connection:
        done = unlocked(connection, email)
    if not done.has_account and not done.failures:
        raise AccountNotFound(f"No account has the address {done.email}; nothing was locked.")
    if done.was_locked:
        run.render.note(f"{done.email} was locked and can log in again.")
    else:
        run.render.note(f"{done.email} was not locked. Failures forgotten: {done.failures}.")
    if not done.has_account:
        run.render.note("No account has that address.")
    if run.options.json:
        run.database_render.facts(asdict(done))


def named_target(run: Run, *, prepare: bool = True) -> Target:
    """The database to work on, named on stderr. The embedded database is started.

    With `prepare`, the embedded database is also created and migrated. A server is not, so that
    nobody migrates a team's database by accident.
    """
    target = _target(run)
    run.render.note(f"Target: {target.label}")
    if home := run.workspace.home_of(target):
        if prepare:
            run.workspace.prepare()
        home.start()
    return target


def _connected(run: Run, target: Target | None = None) -> AbstractContextManager[Connection]:
    """A connection to the target, by default to the database that the command line names."""
    from todo_cli.admin.connect import connected

    url = (target or named_target(run)).url
    return connected(url, timeout_seconds=run.settings.timeout_seconds)


def _target(run: Run) -> Target:
    from todo_cli.admin.target import administrative_target, direct

    given = (
        administrative_target(run.options.database_url, run.invocation.environ)
        or run.workspace.target
    )
    target = direct(given)
    if target != given:
        run.render.note("This command needs the direct host and takes it instead of the pooled.")
    return target


def _require_yes(run: Run, question: Callable[[], str], *, yes: bool) -> None:
    """Ask, unless `--yes` was given. `question` may read the database."""
    if yes:
        return
    run.questions.require_confirmable("--yes")
    if not run.questions.confirm(question(), option="--yes"):
        run.render.note("Nothing was changed.")
        raise typer.Exit(1)


def _back_up(run: Run, target: Target, file: Path) -> Manifest:
    from todo_cli.admin.backup import backup

    with run.database_render.progress("Dumping") as progress:
        return backup(
            target.url,
            file.absolute(),
            environ=run.invocation.environ,
            timeout_seconds=run.settings.timeout_seconds,
            progress=progress,
        )


def _as_path(answer: str) -> Path | None:
    return Path(answer.strip()).expanduser() if answer.strip() else None


def _maintain(
    run: Run, what: str, work: Callable[[Progress], int], also: Mapping[str, int] | None = None
) -> None:
    """Do the work with a progress bar. Show how many tasks it was, how fast, and what `also`."""
    started = time.perf_counter()
    with run.database_render.progress(what) as progress:
        tasks = work(progress)
    seconds = time.perf_counter() - started
    rate = round(tasks / seconds) if seconds else 0
    run.database_render.facts(
        {"tasks": tasks, "seconds": round(seconds, 3), "tasks_per_second": rate, **(also or {})}
    )


def _show_status(run: Run, target: Target) -> Status:
    """Show and return the status of the schema."""
    from todo_cli.admin import migrate

    found = migrate.status(target.url, timeout_seconds=run.settings.timeout_seconds)
    render = run.database_render
    if render.wants_json:
        pending = [{"revision": one.revision, "title": one.title} for one in found.pending]
        render.document(
            {
                "current": found.current,
                "head": found.head,
                "pending": pending,
                "newer": found.is_newer,
            }
        )
    else:
        names = [f"{one.revision} {one.title}" for one in found.pending]
        render.facts({"current": found.current, "head": found.head, "pending": names})
    return found


class _Narrator:
    """Writes notes about what the migrations do."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run = run
        self._progress = progress

    def applied(self, revision: Revision, *, is_upgrade: bool) -> None:
        verb = "Applied" if is_upgrade else "Reverted"
        self._run.render.note(f"{verb} {revision.revision}: {revision.title}")

    def repaired(self, what: str) -> None:
        self._run.render.note(f"Repaired: {what}")

    def building(self, progress: IndexProgress) -> None:
        self._progress(progress.done, progress.total or None, f"{progress.index}: {progress.phase}")
