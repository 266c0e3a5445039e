"""Every command in every place: it succeeds, or is refused as its recipe says.

A command without a recipe fails. After the commands through the pooler, its server connections
are looked at: nothing of a person may stay in them.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.places.recipes import RECIPES, Place
from tests.support.agent import AgentHome
from tests.support.commands import commands
from tests.support.leftovers import left_behind, left_behind_in_all
from tests.support.neon import OWNER, POOL_SIZE, Neon
from tests.support.streams import Result, run_here
from todo_cli.admin import grants

ROLE = "role_in_places"


@dataclass
class Scene:
    """A place that is ready: how to call the program there, and what its recipes name."""

    call: Callable[..., Result]
    names: dict[str, str]


def test_every_command_has_a_recipe() -> None:
    called = {recipe.words for recipe in RECIPES}
    missing = [
        name
        for name in commands()
        if not any(words == name or words.startswith(f"{name} ") for words in called)
    ]
    assert missing == []


@pytest.mark.parametrize("place", list(Place))
def test_every_command_does_what_its_recipe_says(
    place: Place, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _SCENES[place](request) as scene:
        unexpected = [
            (recipe.words, done.exit_code, done.stderr)
            for recipe in RECIPES
            if place in recipe.places
            for done in [scene.call(*_words(recipe.words, scene.names), stdin=recipe.stdin)]
            if done.exit_code != recipe.refused.get(place, 0) or "Traceback" in done.stderr
        ]
    assert unexpected == []


def test_every_command_answers_with_one_json_document(request: pytest.FixtureRequest) -> None:
    """An error is one too, on stderr. Help alone is text for people."""
    not_json = []
    with _embedded(request) as scene:
        for recipe in RECIPES:
            if Place.EMBEDDED not in recipe.places or recipe.words.startswith("help"):
                continue
            json_option = [] if "--json" in recipe.words else ["--json"]
            words = [*_words(recipe.words, scene.names), *json_option]
            done = scene.call(*words, stdin=recipe.stdin)
            answer = done.stdout if done.exit_code == 0 else done.stderr.splitlines()[-1]
            if not all(map(_is_json, answer.splitlines() if "--jsonl" in words else [answer])):
                not_json.append((words, done))
    assert not_json == []


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _words(recipe: str, names: dict[str, str]) -> list[str]:
    return [word.format_map(names) for word in shlex.split(recipe)]


@contextmanager
def _folder() -> Iterator[Path]:
    """Not pytest's: its path may be too long for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="todo-place-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _embedded(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with _folder() as folder:
        environ = {"TODO_DATA_DIR": str(folder / "data")}
        yield _scene_of_embedded(folder, lambda *words, stdin="": _here(words, stdin, environ))
        _here(["db", "stop"], "", environ)


@contextmanager
def _agent(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with _folder() as folder:
        home = AgentHome(folder)

        def call(*words: str, stdin: str = "") -> Result:
            answer = home.todo(*words, stdin=stdin.encode())
            return Result(answer.exit_code, answer.stdout, answer.stderr)

        try:
            yield _scene_of_embedded(folder, call)
        finally:
            home.end()
            call("db", "stop")
            home.end()


def _scene_of_embedded(folder: Path, call: Callable[..., Result]) -> Scene:
    assert call("list").exit_code == 0
    url = call("db", "url", "--show-password").stdout.strip()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create database again")
        database = connection.info.dbname
    names = {"folder": str(folder), "empty": url.replace(f"/{database}?", "/again?")}
    return Scene(call, {**names, "database": "embedded"})


@contextmanager
def _server(
    request: pytest.FixtureRequest, url_of: Callable[[Neon, str], str], label: str
) -> Iterator[Scene]:
    neon: Neon = request.getfixturevalue("neon")
    database: str = request.getfixturevalue("neon_database")
    empty = f"{database}_again"
    with _folder() as folder, ExitStack() as stack:
        neon.execute(f"create database {empty} owner {OWNER} strategy file_copy")
        stack.callback(neon.execute, f"drop database {empty} with (force)")
        # As migration 0006 does: a clone of a database does not have the privileges on it.
        neon.execute(f"revoke temporary on database {database} from public")
        environ = {"TODO_DATA_DIR": str(folder), "TODO_DATABASE_URL": url_of(neon, database)}
        names = {
            "folder": str(folder),
            "empty": url_of(neon, empty),
            "database": f"{database}_{label}",
        }
        yield Scene(lambda *words, stdin="": _here(words, stdin, environ), names)


@contextmanager
def _direct(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with _server(request, lambda neon, name: neon.url(name, is_pooled=False), "d") as scene:
        yield scene


@contextmanager
def _pooled(request: pytest.FixtureRequest) -> Iterator[Scene]:
    neon: Neon = request.getfixturevalue("neon")
    url = neon.url(request.getfixturevalue("neon_database"))
    _, clean = left_behind(url)
    with _server(request, lambda neon, name: neon.url(name), "p") as scene:
        yield scene
        found = left_behind_in_all(url, POOL_SIZE)
        assert len(found) == POOL_SIZE
        assert all(state == clean for state in found.values()), found


@contextmanager
def _granted(request: pytest.FixtureRequest) -> Iterator[Scene]:
    neon: Neon = request.getfixturevalue("neon")
    owners = neon.url(request.getfixturevalue("neon_database"), is_pooled=False)
    url = grants.grant(owners, ROLE)
    try:
        with _server(request, lambda neon, name: url, "g") as scene:
            yield scene
    finally:
        grants.revoke(owners, ROLE)


_SCENES = {
    Place.AGENT: _agent,
    Place.EMBEDDED: _embedded,
    Place.DIRECT: _direct,
    Place.POOLED: _pooled,
    Place.GRANTED: _granted,
}


def _here(words: Sequence[str], stdin: str, environ: dict[str, str]) -> Result:
    return run_here(words, stdin.encode(), None, environ)
