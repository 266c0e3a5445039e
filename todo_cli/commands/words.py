"""The words of a command line: guesses what was meant, and quotes words for a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from urllib.parse import urlsplit

from todo_cli.errors import InvalidInput
from todo_cli.values import printable

MIN_SIMILARITY = 0.7
"""As `difflib` counts it: `upgarde` and `upgrade` have 0.86."""

SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "todo": {
        **dict.fromkeys(
            ("complete", "finish", "close", "check", "tick", "do", "mark", "resolve"), ("done",)
        ),
        **dict.fromkeys(("uncomplete", "undone", "uncheck", "pending"), ("reopen",)),
        **dict.fromkeys(("delete", "del", "remove", "erase", "drop", "discard"), ("rm",)),
        **dict.fromkeys(("undelete", "recover", "unarchive"), ("restore",)),
        **dict.fromkeys(("revert", "rollback"), ("undo",)),
        **dict.fromkeys(("log", "changes"), ("history",)),
        **dict.fromkeys(("new", "create", "make", "insert", "append"), ("add",)),
        **dict.fromkeys(("quick", "capture", "quickadd"), ("q",)),
        **dict.fromkeys(("date", "parse"), ("when",)),
        **dict.fromkeys(("due", "tag", "wait", "prioritize", "prioritise"), ("edit",)),
        **dict.fromkeys(("find", "search", "grep", "filter"), ("list --search",)),
        **dict.fromkeys(("tasks", "all", "dir"), ("list",)),
        **dict.fromkeys(("overdue", "late", "now"), ("today",)),
        **dict.fromkeys(("agenda", "week", "calendar", "soon"), ("upcoming",)),
        **dict.fromkeys(("urgent", "ready"), ("next",)),
        **dict.fromkeys(("project", "folders"), ("projects",)),
        **dict.fromkeys(("labels", "contexts"), ("tags",)),
        **dict.fromkeys(("trash", "bin"), ("list --trash",)),
        **dict.fromkeys(("archive", "archived"), ("list --archived",)),
        **dict.fromkeys(("view", "get", "info", "details", "cat"), ("show",)),
        "open": ("show", "reopen"),
        **dict.fromkeys(("change", "modify", "update", "rename", "set"), ("edit",)),
        **dict.fromkeys(("flip", "switch"), ("toggle",)),
        **dict.fromkeys(("statistics", "summary", "report", "chart"), ("stats",)),
        **dict.fromkeys(("signup", "sign-up"), ("register",)),
        **dict.fromkeys(("signin", "sign-in"), ("login",)),
        **dict.fromkeys(("signout", "sign-out"), ("logout",)),
        **dict.fromkeys(("password", "passwords"), ("passwd",)),
        **dict.fromkeys(("who", "me", "user", "account"), ("whoami",)),
        **dict.fromkeys(("database", "migrate", "admin"), ("db",)),
        **dict.fromkeys(("man", "usage", "commands"), ("help",)),
    },
    "todo db": {
        **dict.fromkeys(("migrate", "init", "create", "setup", "update"), ("upgrade",)),
        **dict.fromkeys(("rollback", "revert"), ("downgrade",)),
        **dict.fromkeys(("check", "doctor", "ping"), ("health",)),
        **dict.fromkeys(("dump", "export", "save"), ("backup",)),
        **dict.fromkeys(("load", "import"), ("restore",)),
        **dict.fromkeys(("version", "current", "revision"), ("status",)),
        **dict.fromkeys(("plan", "plans", "analyze"), ("explain",)),
        **dict.fromkeys(("unseed", "clean"), ("cleanup",)),
    },
    "todo agent": {
        **dict.fromkeys(("kill", "end", "quit"), ("stop",)),
        **dict.fromkeys(("info", "show"), ("status",)),
        "run": ("start",),
    },
}
"""Other programs' names for our commands, by group."""

_NUMBERS = re.compile(r"[0-9][0-9,-]*")
_DATABASE_URL = re.compile(r"postgres(ql)?:", re.IGNORECASE)
_HIDDEN = "…"


def no_such_command(group: str, words: Sequence[str], names: Sequence[str]) -> InvalidInput:
    """The error for an unknown command of a group, with the line that was probably meant."""
    name, *rest = words
    if group == "todo" and _is_filter(name):
        hint = f"Filter the list with: {command_line(['list', *words])}"
        return InvalidInput(f"No such command {name!r}.", hint=hint)
    if group == "todo" and _NUMBERS.fullmatch(name):
        meant, rest = ["show" if _is_one_task(words) else "done"], list(words)
    else:
        meant = nearest_commands(group, name, names)
    if meant:
        hint = "Did you mean: " + ", or ".join(_meant_line(group, one, rest) for one in meant)
    elif group == "todo" and _is_about_help(rest):
        hint = "See: todo help"
    elif group == "todo":
        hint = f"Add a task with: {command_line(['add', *words])} (all commands: todo help)"
    else:
        hint = f"See: {group} --help"
    return InvalidInput(f"No such command {name!r}.", hint=hint)


def nearest_commands(group: str, name: str, names: Sequence[str]) -> list[str]:
    """The commands that `name` may mean: those of a synonym, else those with a similar spelling."""
    synonyms = SYNONYMS.get(group, {})
    known = {**synonyms, **{one: (one,) for one in names}}
    if name.lower() in known:
        return list(known[name.lower()])
    alike = get_close_matches(name.lower(), known, n=1, cutoff=MIN_SIMILARITY)
    return list(dict.fromkeys(command for one in alike for command in known[one]))


def command_line(words: Sequence[str]) -> str:
    """The command line, quoted for the shell. URLs that may hold a password are hidden."""
    shown = []
    is_url = False
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--database-url" and equals:
            shown.append(_quoted(word) if _is_public(value) else f"{name}={_HIDDEN}")
        elif is_url or _DATABASE_URL.search(word):
            shown.append(_quoted(word) if _is_public(word) else _HIDDEN)
        else:
            shown.append(_quoted(word))
        is_url = word == "--database-url"
    return " ".join(["todo", *shown])


def _is_one_task(words: Sequence[str]) -> bool:
    """Whether words that begin with a number name one task, which is what `show` takes."""
    numbers = [word for word in words if _NUMBERS.fullmatch(word)]
    return len(numbers) == 1 and numbers[0].isdigit()


def _is_about_help(rest: Sequence[str]) -> bool:
    """Whether the words ask for help."""
    return bool(rest) and rest[-1] in ("--help", "-h")


def _is_filter(word: str) -> bool:
    """Whether a word is a term of a filter, and so was meant for `todo list`."""
    from todo_cli.filters import is_term

    return is_term(word)


def _meant_line(group: str, meant: str, rest: Sequence[str]) -> str:
    words = [*group.split()[1:], *meant.split()]
    if meant.endswith("--search") and rest:
        rest = [" ".join(rest)]
    return command_line([*words, *rest])


def _quoted(word: str) -> str:
    """A word, quoted for bash and zsh. Control characters are written as escapes."""
    if printable(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if printable(character) == character:
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _is_public(url: str) -> bool:
    """Whether a URL certainly holds no secret: neither a password nor options."""
    try:
        parts = urlsplit(url)
        return parts.password is None and "@" not in parts.path and not parts.query + parts.fragment
    except ValueError:
        return False
